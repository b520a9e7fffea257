//! Lines that a real RouterOS takes differently: what they are taken for, and that a note says so.

use router_config::{Item, Outcome, Tree, import};

fn take(script: &str) -> Outcome {
    import(&Tree::new(), script).unwrap_or_else(|e| panic!("{script}\n{e}"))
}

fn texts(outcome: &Outcome, menu: &str, property: &str) -> Vec<String> {
    outcome.tree.items(menu).filter_map(|item: &Item| item.text(property)).collect()
}

fn setting(outcome: &Outcome, menu: &str, property: &str) -> String {
    outcome.tree.settings(menu).and_then(|item| item.text(property)).unwrap_or_default()
}

fn has_note(outcome: &Outcome, part: &str) -> bool {
    outcome.notes.iter().any(|note| note.reason.contains(part))
}

#[test]
fn an_identical_pool_is_the_same_pool_and_another_one_is_refused() {
    let outcome =
        take("/ip pool\nadd name=a ranges=192.0.2.10-192.0.2.20\nadd name=a ranges=192.0.2.10-192.0.2.20");
    assert_eq!(texts(&outcome, "ip/pool", "name"), ["a"]);
    assert!(has_note(&outcome, "an identical item exists already"));
    let other = "/ip pool\nadd name=a ranges=192.0.2.10-192.0.2.20\nadd name=a ranges=192.0.2.30-192.0.2.40";
    let errors = import(&Tree::new(), other).unwrap_err();
    assert_eq!(errors.to_string(), "failure: pool with such name exists (line 3 column 1)");
}

#[test]
fn other_names_of_properties_and_menus() {
    let outcome = take(
        "/ip settings set max-arp-entries=4096 arp-timeout=300\n/tool romon interface add interface=ether2",
    );
    assert_eq!(setting(&outcome, "ip/settings", "max-neighbor-entries"), "4096");
    assert_eq!(setting(&outcome, "ip/settings", "arp-timeout"), "5m");
    assert_eq!(texts(&outcome, "tool/romon/port", "interface"), ["ether2"]);
    let outcome =
        take("/ip firewall nat add chain=dstnat action=netmap to-address=192.0.2.7 to-ports=80 protocol=tcp");
    assert_eq!(texts(&outcome, "ip/firewall/nat", "to-addresses"), ["192.0.2.7"]);
}

#[test]
fn enabled_is_the_opposite_of_disabled() {
    let outcome = take("/interface vlan add interface=ether1 vlan-id=5 name=v enabled=no");
    assert!(outcome.tree.items("interface/vlan").all(Item::is_disabled));
    assert!(has_note(&outcome, "enabled=no is taken as disabled=yes"));
    let outcome = take("/tool mac-server set allowed-interfaces=all enabled=no");
    assert_eq!(setting(&outcome, "tool/mac-server", "allowed-interface-list"), "none");
}

#[test]
fn items_that_exist_on_every_router_are_changed() {
    let outcome = take("/user add name=admin group=read password=x");
    assert_eq!(texts(&outcome, "user", "group"), ["read"]);
    let outcome = take("/ppp profile set *FFFFFFFE use-compression=yes\n/ppp profile set *0 only-one=yes");
    assert_eq!(texts(&outcome, "ppp/profile", "use-compression"), ["default", "yes"]);
    let outcome = take("/interface lte set 0 apn=internet.example user=u password=p enabled=yes");
    assert_eq!(texts(&outcome, "interface/lte/apn", "apn"), ["internet.example"]);
    assert_eq!(texts(&outcome, "interface/lte", "name"), ["lte1"]);
}

#[test]
fn one_line_may_mean_an_item_of_another_menu() {
    let outcome = take("/interface vrrp add interface=ether2 vrid=7 virtual-address=192.0.2.254/24");
    assert_eq!(texts(&outcome, "interface/vrrp", "name"), ["vrrp1"]);
    assert_eq!(texts(&outcome, "ip/address", "address"), ["192.0.2.254/32"]);
    assert_eq!(texts(&outcome, "ip/address", "interface"), ["vrrp1"]);
    let outcome = take("/interface vxlan add name=x vni=7 remote-address=198.51.100.2");
    assert_eq!(texts(&outcome, "interface/vxlan/vteps", "remote-ip"), ["198.51.100.2"]);
    let outcome = take("/ppp secret set use-radius=yes");
    assert_eq!(setting(&outcome, "ppp/aaa", "use-radius"), "yes");
    assert!(has_note(&outcome, "belongs to /ppp aaa"));
    let outcome = take("/tool mac-server mac-winbox add address=00:00:5E:00:53:01 user=u");
    assert_eq!(texts(&outcome, "tool/mac-server/mac-winbox/client", "user"), ["u"]);
    let outcome = take(
        "/mpls vpls add name=v vpls-id=100:1\n/interface ethernet switch vlan add vlan-id=10 ports=ether2",
    );
    assert_eq!(texts(&outcome, "interface/vpls", "name"), ["v"]);
    assert_eq!(texts(&outcome, "interface/ethernet/switch/vlan", "switch"), ["switch1"]);
}

#[test]
fn parents_ciphers_routes_and_certificates() {
    let outcome = take(
        "/interface macvlan add interface=ether2 master-interface=ether2 name=m\n\
         /interface macsec profile add name=p cipher-suite=gcm-aes-256\n\
         /interface macsec add interface=ether2 profile=p enabled=yes\n\
         /ip route add dst-address=192.0.2.0/24 type=blackhole\n\
         /certificate add name=c common-name=router.example\n/certificate export c file=c password=x\n\
         /certificate import file=c.crt password=x",
    );
    assert_eq!(texts(&outcome, "interface/macvlan", "interface"), ["ether2"]);
    assert_eq!(texts(&outcome, "interface/macsec/profile", "ciphers"), ["aes-gcm-128", "aes-gcm-256"]);
    assert_eq!(texts(&outcome, "ip/route", "blackhole"), ["yes"]);
    assert_eq!(outcome.notes.iter().filter(|n| n.reason.contains("is done once")).count(), 2);
    let errors =
        import(&Tree::new(), "/interface macvlan add interface=ether2 master-interface=ether3 name=m");
    assert!(errors.is_err());
}
