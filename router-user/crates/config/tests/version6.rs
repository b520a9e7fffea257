//! Forms of RouterOS 6 and what each is taken for; nothing of them is refused, and a note tells of each.

use router_config::{ExportOptions, Outcome, Tree, export, import};

/// A script, the lines of RouterOS 7 that it means, and a part of a note.
type Case = (&'static str, &'static [&'static str], &'static str);

fn take(script: &str) -> Outcome {
    import(&Tree::new(), script).unwrap_or_else(|e| panic!("{script}\n{e}"))
}

fn written(tree: &Tree) -> String {
    export(tree, &ExportOptions { terse: true, sensitive: true, ..ExportOptions::default() })
}

fn check(cases: &[Case]) {
    for (script, meant, note) in cases {
        let outcome = take(script);
        let meant = take(&meant.join("\n"));
        assert_eq!(written(&outcome.tree), written(&meant.tree), "{script}");
        assert!(outcome.tree == meant.tree, "{script}");
        assert!(
            outcome.notes.iter().any(|n| n.reason.contains(note)),
            "{script}\nno note with {note:?}: {:#?}",
            outcome.notes
        );
    }
}

#[test]
fn routes_rules_and_vrfs() {
    check(&[
        (
            "/ip route add gateway=192.0.2.1 routing-mark=isp1",
            &["/routing table add fib name=isp1", "/ip route add gateway=192.0.2.1 routing-table=isp1"],
            "the table isp1 is made",
        ),
        (
            "/routing table add name=isp1 fib\n/ip route add gateway=192.0.2.1 routing-mark=isp1",
            &["/routing table add name=isp1 fib", "/ip route add gateway=192.0.2.1 routing-table=isp1"],
            "routing-mark is taken as routing-table",
        ),
        (
            "/ip route add dst-address=10.0.0.0/8 type=blackhole",
            &["/ip route add blackhole dst-address=10.0.0.0/8"],
            "taken as blackhole",
        ),
        (
            "/ip route rule add src-address=192.0.2.0/24 action=lookup-only-in-table table=isp1",
            &[
                "/routing table add fib name=isp1",
                "/routing rule add action=lookup-only-in-table src-address=192.0.2.0/24 table=isp1",
            ],
            "taken as /routing rule",
        ),
        (
            "/ip route vrf add interfaces=ether2 routing-mark=office route-distinguisher=65000:1 \
             import-route-targets=65000:1 export-route-targets=65000:1",
            &[
                "/routing bgp instance add as=65530 name=default",
                "/ip vrf add interfaces=ether2 name=office",
                "/routing bgp vpn add export.route-targets=65000:1 import.route-targets=65000:1 instance=default \
                 label-allocation-policy=per-vrf name=office route-distinguisher=65000:1 vrf=office",
            ],
            "taken as /ip vrf",
        ),
    ]);
}

#[test]
fn bgp() {
    check(&[
        (
            "/interface vpls bgp-vpls add name=v route-distinguisher=65000:1 import-route-targets=65000:1 pw-mtu=1500",
            &["/routing bgp vpls add name=v rd=65000:1 import-route-targets=65000:1 pw-l2mtu=1500 site-id=1"],
            "site-id is taken as 1",
        ),
        (
            "/routing bgp instance set default as=65001 router-id=192.0.2.1 redistribute-connected=yes \
             redistribute-static=yes redistribute-rip=no",
            &[
                "/routing bgp instance add as=65001 name=default router-id=192.0.2.1",
                "/routing bgp template set default output.redistribute=connected,static",
            ],
            "the instance default of RouterOS 6 is made",
        ),
        (
            "/routing bgp instance add name=up as=65001 client-to-client-reflection=no out-filter=out",
            &[
                "/routing bgp instance add as=65001 name=up",
                "/routing bgp template add name=up output.filter-chain=out \
                 output.no-client-to-client-reflection=yes",
            ],
            "as the template up",
        ),
        (
            "/ip address add address=192.0.2.9/32 interface=ether1\n/routing bgp instance set default as=65001\n\
             /routing bgp peer add name=p remote-address=198.51.100.1 remote-as=65002 update-source=ether1 \
             in-filter=i out-filter=\"\" passive=yes ttl=default hold-time=30s",
            &[
                "/ip address add address=192.0.2.9/32 interface=ether1",
                "/routing bgp instance add name=default as=65001",
                "/routing bgp connection add connect=no hold-time=30s input.filter=i instance=default \
               local.address=192.0.2.9 local.role=ebgp name=p remote.address=198.51.100.1 remote.as=65002 \
               templates=default",
            ],
            "taken as /routing bgp connection",
        ),
        (
            "/routing bgp peer add name=r remote-address=198.51.100.1 remote-as=65530 route-reflect=yes \
             address-families=l2vpn,vpnv4",
            &[
                "/routing bgp instance add name=default as=65530",
                "/routing bgp connection add afi=l2vpn,vpnv4 instance=default local.role=ibgp-rr name=r \
               remote.address=198.51.100.1 remote.as=65530 templates=default",
            ],
            "the BGP instance default is made",
        ),
        (
            "/routing bgp network add network=203.0.113.0/24 synchronize=no\n\
             /routing bgp network add network=2001:db8::/32",
            &[
                "/ip firewall address-list add address=203.0.113.0/24 list=bgp-networks",
                "/ipv6 firewall address-list add address=2001:db8::/32 list=bgp-networks",
                "/routing bgp template set default output.network=bgp-networks",
            ],
            "taken as the address list bgp-networks",
        ),
        (
            "/ip route vrf add interfaces=ether2 routing-mark=office route-distinguisher=65000:1\n\
             /routing bgp instance vrf add redistribute-connected=yes routing-mark=office",
            &[
                "/routing bgp instance add name=default as=65530",
                "/ip vrf add interfaces=ether2 name=office",
                "/routing bgp vpn add export.redistribute=connected instance=default label-allocation-policy=per-vrf name=office \
               route-distinguisher=65000:1 vrf=office",
            ],
            "taken as /routing bgp vpn",
        ),
        (
            "/routing bgp connection add name=a remote.address=198.51.100.1 .as=65002 local.role=ebgp as=65001 \
             router-id=192.0.2.1 address-families=ip\n\
             /routing bgp connection add name=b remote.address=198.51.100.2 .as=65003 local.role=ebgp as=65001 \
             router-id=192.0.2.1",
            &[
                "/routing bgp instance add as=65001 name=bgp-instance-1 router-id=192.0.2.1",
                "/routing bgp connection add afi=ip as=65001 instance=bgp-instance-1 local.role=ebgp name=a \
                 remote.address=198.51.100.1 remote.as=65002",
                "/routing bgp connection add as=65001 instance=bgp-instance-1 local.role=ebgp name=b \
                 remote.address=198.51.100.2 remote.as=65003",
            ],
            "as /routing bgp instance bgp-instance-1",
        ),
    ]);
}

#[test]
fn ospf() {
    check(&[
        (
            "/routing ospf instance set [ find default=yes ] router-id=192.0.2.1 redistribute-connected=as-type-1 \
             redistribute-static=no redistribute-other-ospf=as-type-2 distribute-default=if-installed-as-type-1 \
             in-filter=i out-filter=o metric-default=20",
            &["/routing ospf instance add in-filter-chain=i name=default originate-default=if-installed \
               out-filter-chain=o redistribute=connected,ospf router-id=192.0.2.1"],
            "metrics are set by routing filters",
        ),
        (
            "/routing ospf area add area-id=0.0.0.1 name=a1\n\
             /routing ospf instance set [ find default=yes ] router-id=192.0.2.1",
            &[
                "/routing ospf instance add name=default router-id=192.0.2.1",
                "/routing ospf area add area-id=0.0.0.1 instance=default name=a1",
            ],
            "the OSPF instance default is made",
        ),
        (
            "/routing ospf network add area=backbone network=192.0.2.0/24",
            &[
                "/routing ospf instance add name=default",
                "/routing ospf area add instance=default name=backbone",
                "/routing ospf interface-template add area=backbone networks=192.0.2.0/24",
            ],
            "the OSPF area backbone is made",
        ),
        (
            "/routing ospf area add area-id=0.0.0.1 name=a1 type=nssa translator-role=translate-always \
             inject-summary-lsas=no\n/routing ospf network add area=a1 network=192.0.2.0/24",
            &[
                "/routing ospf instance add name=default",
                "/routing ospf area add area-id=0.0.0.1 instance=default name=a1 no-summaries nssa-translator=yes \
                 type=nssa",
                "/routing ospf interface-template add area=a1 networks=192.0.2.0/24",
            ],
            "the OSPF instance default is made",
        ),
        (
            "/routing ospf interface add interface=ether1 network-type=point-to-point authentication=md5 \
             authentication-key=s authentication-key-id=2 cost=5 passive=yes",
            &[
                "/routing ospf instance add name=default",
                "/routing ospf area add instance=default name=backbone",
                "/routing ospf interface-template add area=backbone auth=md5 auth-id=2 auth-key=s cost=5 \
               interfaces=ether1 passive type=ptp",
            ],
            "in the area backbone",
        ),
        (
            "/routing ospf nbma-neighbor add address=192.0.2.7 poll-interval=1m",
            &[
                "/routing ospf instance add name=default",
                "/routing ospf area add instance=default name=backbone",
                "/routing ospf static-neighbor add address=192.0.2.7 area=backbone poll-interval=1m",
            ],
            "static-neighbor",
        ),
        (
            "/routing ospf-v3 instance set [ find default=yes ] router-id=192.0.2.1\n\
             /routing ospf-v3 interface add area=backbone interface=ether1",
            &[
                "/routing ospf instance add name=default-v3 router-id=192.0.2.1 version=3",
                "/routing ospf area add instance=default-v3 name=backbone-v3",
                "/routing ospf interface-template add area=backbone-v3 interfaces=ether1",
            ],
            "taken as /routing ospf instance",
        ),
    ]);
}

#[test]
fn rip() {
    check(&[(
        "/routing rip set redistribute-connected=yes update-timer=20s distribute-default=always metric-static=2\n\
             /routing rip interface add interface=ether1 passive=yes receive=v2\n\
             /routing rip neighbor add address=192.0.2.7",
        &[
            "/routing rip instance add afi=ip name=rip originate-default=always redistribute=connected \
                 update-interval=20",
            "/routing rip interface-template add instance=rip interfaces=ether1 mode=passive",
            "/routing rip static-neighbor add address=192.0.2.7 instance=rip",
        ],
        "taken as /routing rip instance",
    )]);
}

#[test]
fn routing_filters() {
    let rule = |filter: &str| {
        let outcome = take(&format!("/routing filter add chain=c {filter}"));
        let rule = outcome.tree.items("routing/filter/rule").next().and_then(|item| item.text("rule"));
        rule.unwrap_or_default()
    };
    for (filter, expected) in [
        ("action=accept prefix=10.0.0.0/8", "if (dst==10.0.0.0/8) { accept }"),
        (
            "action=accept prefix=10.0.0.0/8 prefix-length=8-32",
            "if (dst in 10.0.0.0/8 && dst-len>=8 && dst-len<=32) { accept }",
        ),
        ("action=discard prefix-length=25", "if (dst-len==25) { reject }"),
        ("action=reject", "reject"),
        (
            "action=passthrough set-distance=20 set-bgp-local-pref=200",
            "set distance 20; set bgp-local-pref 200",
        ),
        (
            "protocol=connect,ospf action=jump jump-target=d invert-match=yes",
            "if (not ((protocol connected || protocol ospf))) { jump d }",
        ),
        (
            "bgp-communities=65000:1 action=accept set-bgp-prepend=3",
            "if (bgp-communities includes 65000:1) { set bgp-path-prepend 3; accept }",
        ),
    ] {
        assert_eq!(rule(filter), expected, "{filter}");
    }
    let kept = take("/routing filter add chain=c action=accept match-chain=d");
    assert_eq!(kept.tree.items("routing/filter").count(), 1);
    assert!(kept.notes.iter().any(|n| n.reason.contains("match-chain has no form")));
}

#[test]
fn ipsec_before_identities() {
    check(&[
        (
            "/ip ipsec peer add address=198.51.100.1/32 secret=s dh-group=modp2048 enc-algorithm=aes-256 \
             generate-policy=port-strict exchange-mode=main-l2tp\n\
             /ip ipsec policy add src-address=192.0.2.0/24 dst-address=203.0.113.0/24 \
             sa-src-address=198.51.100.9 sa-dst-address=198.51.100.1 tunnel=yes",
            &[
                "/ip ipsec profile add dh-group=modp2048 enc-algorithm=aes-256 name=peer1",
                "/ip ipsec peer add address=198.51.100.1/32 name=peer1 profile=peer1",
                "/ip ipsec identity add generate-policy=port-strict peer=peer1 secret=s",
                "/ip ipsec policy add dst-address=203.0.113.0/24 peer=peer1 src-address=192.0.2.0/24 tunnel=yes",
            ],
            "as /ip ipsec identity of peer1",
        ),
        (
            "/ip ipsec proposal set [ find default=yes ] enc-algorithms=aes-128,3des\n\
             /ip ipsec peer profile add name=p",
            &[
                "/ip ipsec proposal set [ find default=yes ] enc-algorithms=aes-128-cbc,3des",
                "/ip ipsec profile add name=p",
            ],
            "",
        ),
    ]);
}

#[test]
fn system_and_tools() {
    check(&[
        (
            "/system ntp client set enabled=yes primary-ntp=192.0.2.1 secondary-ntp=0.0.0.0 \
             server-dns-names=ntp.example,192.0.2.1",
            &[
                "/system ntp client set enabled=yes",
                "/system ntp client servers add address=192.0.2.1",
                "/system ntp client servers add address=ntp.example",
            ],
            "ntp.example is taken as an item",
        ),
        (
            "/system logging action set 3 bsd-syslog=yes remote=192.0.2.1",
            &["/system logging action set remote remote=192.0.2.1 remote-log-format=bsd-syslog"],
            "bsd-syslog=yes is taken as",
        ),
        (
            "/tool e-mail set address=192.0.2.1 start-tls=tls-only",
            &["/tool e-mail set server=192.0.2.1 tls=yes"],
            "start-tls=tls-only is taken as tls=yes",
        ),
        (
            "/ip traffic-flow target add address=192.0.2.1:9996 version=9",
            &["/ip traffic-flow target add dst-address=192.0.2.1 port=9996 version=9"],
            "dst-address and port",
        ),
        (
            "/tool mac-server add interface=ether1\n/tool mac-server mac-winbox add interface=ether1",
            &[
                "/interface list add name=mac-server",
                "/interface list member add interface=ether1 list=mac-server",
                "/tool mac-server set allowed-interface-list=mac-server",
                "/tool mac-server mac-winbox set allowed-interface-list=mac-server",
            ],
            "a member of the interface list mac-server",
        ),
        (
            "/mpls ldp set enabled=yes lsr-id=192.0.2.1 transport-address=192.0.2.1",
            &["/mpls ldp add afi=ip lsr-id=192.0.2.1 transport-addresses=192.0.2.1"],
            "taken as the item of /mpls ldp",
        ),
        (
            "/interface ovpn-server server set auth=sha1 enabled=yes port=1195",
            &["/interface ovpn-server server add auth=sha1 name=ovpn-server1 port=1195"],
            "the first item of /interface ovpn-server server",
        ),
        (
            "/interface ethernet set [ find default-name=ether3 ] master-port=ether2",
            &[
                "/interface bridge add name=bridge-ether2",
                "/interface bridge port add bridge=bridge-ether2 interface=ether2",
                "/interface bridge port add bridge=bridge-ether2 interface=ether3",
            ],
            "a port of the bridge bridge-ether2",
        ),
        (
            "/interface vrrp add interface=ether1 mtu=1500 name=v group-master=self",
            &["/interface vrrp add group-authority=self interface=ether1 name=v"],
            "group-master is taken as group-authority",
        ),
    ]);
}
