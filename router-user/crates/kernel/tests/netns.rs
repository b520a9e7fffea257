//! Configurations applied to a fresh network namespace each. They need root.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use lab::Netns;
use plan::Desired;
use plan::desired::{NextHop, Route, RouteKind, TABLE_MAIN};
use router_kernel::{Change, Kernel, Phase, Watch, foreign_rules, watch};

/// A namespace with ports ether1, ether2 and ether3, whose far ends are far1 to far3.
fn router(test: &str) -> Netns {
    let router = Netns::create(&format!("kt-{test}-{}", std::process::id())).unwrap();
    for i in 1..=3 {
        router.ip(&format!("link add ether{i} type veth peer name far{i}")).unwrap();
        router.ip(&format!("link set far{i} up")).unwrap();
    }
    router
}

/// Runs `f` inside the namespace, on a runtime of one thread.
fn inside<T: Send, F: Future<Output = T>>(router: &Netns, f: impl FnOnce() -> F + Send) -> T {
    let run = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(f());
    router.enter(run).unwrap()
}

async fn desired(kernel: &Kernel, text: &str) -> Desired {
    let facts = kernel.facts(&BTreeMap::new()).await.unwrap();
    let outcome = config::import(&config::Tree::new(), text).unwrap_or_else(|e| panic!("{e}"));
    plan::compile(&outcome.tree, &facts).unwrap_or_else(|e| panic!("{e}"))
}

async fn diff(kernel: &Kernel, desired: &Desired) -> Vec<String> {
    kernel.diff(desired).await.unwrap().iter().map(ToString::to_string).collect()
}

/// Makes `text` true, and asserts that nothing is left to do.
async fn apply(kernel: &Kernel, text: &str) -> Desired {
    let wanted = desired(kernel, text).await;
    let steps = kernel.diff(&wanted).await.unwrap();
    let _applied = kernel.apply(steps).await.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(diff(kernel, &wanted).await, [""; 0], "second diff");
    wanted
}

/// What of the namespace our steps could change, in a stable form.
fn picture(router: &Netns) -> String {
    let mut picture = String::new();
    for port in ["ether1", "ether2", "ether3"] {
        for what in
            ["-o addr show dev", "-6 route show dev", "neigh show nud permanent dev", "-o link show dev"]
        {
            picture.push_str(&router.ip(&format!("{what} {port}")).unwrap());
        }
    }
    picture.push_str(&router.ip("route show").unwrap());
    for key in [
        "net.ipv4.conf.ether1.forwarding",
        "net.ipv6.conf.all.forwarding",
        "net.ipv4.conf.ether1.accept_local",
    ] {
        picture.push_str(&router.read_sysctl(key).unwrap());
    }
    // Link-local addresses come and go with the link, in the kernel's own time.
    let stable: Vec<&str> = picture.lines().filter(|line| !line.contains("fe80::")).collect();
    // A port that was never up has no queueing discipline yet.
    stable.join("\n").replace("qdisc noop ", "qdisc noqueue ")
}

const OFFICE: &str = "\
    /interface ethernet set [ find default-name=ether1 ] name=WAN mtu=1400 mac-address=02:00:5E:10:00:01 comment=uplink\n\
    /ip address add address=203.0.113.2/29 interface=WAN\n\
    /ip address add address=192.168.1.1/24 interface=ether2\n\
    /ip address add address=10.0.0.1/32 network=10.0.0.2 interface=ether3\n\
    /ipv6 address add address=2001:db8:1::1/64 interface=WAN\n\
    /ip route add gateway=203.0.113.1\n\
    /ip route add dst-address=10.1.0.0/16 gateway=203.0.113.1,192.168.1.254 pref-src=192.168.1.1\n\
    /ip route add dst-address=10.2.0.0/16 blackhole\n\
    /ip route add dst-address=10.3.0.0/16 gateway=ether2\n\
    /ip route add dst-address=10.4.0.0/16 gateway=192.0.2.7%ether2\n\
    /ipv6 route add gateway=2001:db8:1::ffff\n\
    /ipv6 route add dst-address=2001:db8:f::/48 gateway=fe80::1%WAN,2001:db8:1::2\n\
    /ipv6 route add dst-address=2001:db8:dead::/48 type=unreachable\n\
    /ip arp add address=192.168.1.50 mac-address=02:00:00:00:00:50 interface=ether2\n\
    /ip arp add address=192.168.1.51 published=yes interface=ether2\n\
    /ipv6 neighbor add address=2001:db8:1::50 mac-address=02:00:00:00:00:50 interface=WAN\n";

#[test]
fn a_configuration_is_applied_and_the_second_diff_is_empty() {
    lab::need_root!();
    let router = router("apply");
    inside(&router, async || {
        let kernel = Kernel::open().await.unwrap();
        apply(&kernel, OFFICE).await;
    });
    let addresses = router.ip("-j -d addr show ether1").unwrap();
    for part in
        ["203.0.113.2", r#""prefixlen":29"#, "2001:db8:1::1", r#""mtu":1400"#, "02:00:5e:10:00:01", "WAN"]
    {
        assert!(addresses.contains(part), "{part} in {addresses}");
    }
    assert!(addresses.contains(r#""ifalias":"routerd:ether1 uplink""#), "{addresses}");
    assert!(router.ip("addr show ether3").unwrap().contains("10.0.0.1 peer 10.0.0.2/32"));
    let routes = router.ip("route show").unwrap();
    for part in [
        "default via 203.0.113.1 dev ether1 proto 200 metric 1",
        "blackhole 10.2.0.0/16 proto 200 metric 1",
        "10.1.0.0/16 proto 200 src 192.168.1.1 metric 1",
        "10.3.0.0/16 dev ether2 proto 200 scope link metric 1",
        "10.4.0.0/16 via 192.0.2.7 dev ether2 proto 200 metric 1 onlink",
    ] {
        assert!(routes.contains(part), "{part} in {routes}");
    }
    let routes = router.ip("-6 route show").unwrap();
    assert!(routes.contains("default via 2001:db8:1::ffff dev ether1 proto 200 metric 1"), "{routes}");
    assert!(routes.contains("unreachable 2001:db8:dead::/48"), "{routes}");
    let neighbors = router.ip("neigh show nud permanent").unwrap();
    assert!(
        neighbors.contains("192.168.1.50 dev ether2 lladdr 02:00:00:00:00:50 PERMANENT proto 200"),
        "{neighbors}"
    );
    assert!(router.ip("neigh show proxy").unwrap().contains("192.168.1.51 dev ether2"));
    assert_eq!(router.read_sysctl("net.ipv4.conf.ether1.forwarding").unwrap(), "1");
    assert_eq!(router.read_sysctl("net.ipv4.conf.ether1.accept_local").unwrap(), "1");
    assert_eq!(router.read_sysctl("net.ipv4.conf.far1.forwarding").unwrap(), "0");
}

#[test]
fn one_configuration_follows_another_and_nothing_of_the_first_stays() {
    lab::need_root!();
    let router = router("follow");
    inside(&router, async || {
        let kernel = Kernel::open().await.unwrap();
        apply(&kernel, OFFICE).await;
        // Another address of the network, another length of the IPv6 one, other gateways and kinds of route.
        apply(
            &kernel,
            "/ip address add address=203.0.113.3/29 interface=ether1\n\
             /ip address add address=192.168.1.1/24 interface=ether2\n\
             /ipv6 address add address=2001:db8:1::1/60 interface=ether1\n\
             /ip route add gateway=203.0.113.4\n\
             /ip route add dst-address=10.1.0.0/16 type=prohibit\n\
             /ip route add dst-address=10.2.0.0/16 gateway=192.168.1.7\n\
             /ipv6 route add dst-address=2001:db8:f::/48 gateway=2001:db8:1::9\n\
             /ip arp add address=192.168.1.50 mac-address=02:00:00:00:00:51 interface=ether2\n",
        )
        .await;
    });
    let link = router.ip("-d link show ether1").unwrap();
    assert!(link.contains("mtu 1500") && !link.contains("altname WAN"), "{link}");
    assert!(!router.ip("addr show").unwrap().contains("203.0.113.2/29"));
    let routes = router.ip("route show").unwrap();
    assert!(!routes.contains("203.0.113.1 ") && !routes.contains("10.3.0.0"), "{routes}");
    assert!(routes.contains("prohibit 10.1.0.0/16"), "{routes}");
    assert!(routes.contains("10.2.0.0/16 via 192.168.1.7 dev ether2"), "{routes}");
    assert!(router.ip("neigh show nud permanent").unwrap().contains("02:00:00:00:00:51"));
    inside(&router, async || apply(&Kernel::open().await.unwrap(), "").await);
    assert_eq!(router.ip("route show").unwrap(), "");
    assert!(!router.ip("-d addr show").unwrap().contains("routerd:"));
}

#[test]
fn interface_routes_survive_the_last_address_of_their_port() {
    lab::need_root!();
    let router = router("last");
    inside(&router, async || {
        let kernel = Kernel::open().await.unwrap();
        let route = "/ip route add dst-address=10.3.0.0/16 gateway=ether2\n";
        apply(&kernel, &format!("/ip address add address=192.168.1.1/24 interface=ether2\n{route}")).await;
        apply(&kernel, &format!("/interface ethernet set [ find default-name=ether2 ] mtu=1400\n{route}"))
            .await;
    });
    assert!(router.ip("route show").unwrap().contains("10.3.0.0/16 dev ether2"));
}

#[test]
fn a_refused_step_undoes_all_before_it() {
    lab::need_root!();
    let router = router("undo");
    let first = "/ip address add address=203.0.113.2/29 interface=ether1\n\
                 /ip address add address=192.168.1.1/24 interface=ether2\n\
                 /ip route add dst-address=10.5.0.0/16 gateway=203.0.113.1\n\
                 /ip route add dst-address=10.3.0.0/16 gateway=ether2\n";
    inside(&router, async || drop(apply(&Kernel::open().await.unwrap(), first).await));
    let before = picture(&router);
    inside(&router, async || {
        let kernel = Kernel::open().await.unwrap();
        let mut wanted = desired(
            &kernel,
            "/interface ethernet set [ find default-name=ether1 ] name=WAN mtu=1400 comment=x\n\
             /interface ethernet set [ find default-name=ether3 ] disabled=yes\n\
             /ip address add address=198.51.100.2/29 interface=WAN\n\
             /ip route add dst-address=10.5.0.0/16 gateway=198.51.100.1\n\
             /ip settings set ip-forward=no\n",
        )
        .await;
        wanted.routes.push(Route {
            kind: RouteKind::Unicast,
            destination: "192.0.2.0".parse().unwrap(),
            prefix_length: 24,
            table: TABLE_MAIN,
            metric: 1,
            preferred_source: None,
            next_hops: vec![NextHop { gateway: "100.64.0.1".parse().ok(), ifindex: Some(1), onlink: false }],
        });
        let steps = kernel.diff(&wanted).await.unwrap();
        let failed = kernel.apply(steps).await.unwrap_err();
        assert_eq!(failed.undo_errors, [""; 0]);
        assert!(
            failed.to_string().starts_with("+ route 192.0.2.0/24 via 100.64.0.1 on lo distance 1: "),
            "{failed}"
        );
    });
    assert_eq!(picture(&router), before);
}

#[test]
fn what_was_applied_can_be_undone_later() {
    lab::need_root!();
    let router = router("later");
    let before = picture(&router);
    inside(&router, async || {
        let kernel = Kernel::open().await.unwrap();
        let wanted = desired(&kernel, OFFICE).await;
        let (forwarding, base): (Vec<_>, Vec<_>) = kernel
            .diff(&wanted)
            .await
            .unwrap()
            .into_iter()
            .partition(|step| step.phase() == Phase::Forwarding);
        assert!(forwarding.iter().any(|step| step.to_string() == "~ net.ipv6.conf.all.forwarding 0 -> 1"));
        let mut applied = kernel.apply(base).await.unwrap();
        assert_eq!(router.read_sysctl("net.ipv4.conf.ether1.forwarding").unwrap(), "0");
        applied.extend(kernel.apply(forwarding).await.unwrap());
        assert_eq!(router.read_sysctl("net.ipv4.conf.ether1.forwarding").unwrap(), "1");
        kernel.undo(applied).await.unwrap();
    });
    assert_eq!(picture(&router), before);
}

#[test]
fn what_is_not_ours_stays() {
    lab::need_root!();
    let router = router("foreign");
    router.ip("link set ether1 alias of-the-operator").unwrap();
    router.ip("link set ether1 up").unwrap();
    router.ip("addr add 203.0.113.2/29 dev ether1").unwrap();
    router.ip("addr add 198.51.100.7/24 dev ether1").unwrap();
    router.ip("route add 10.9.0.0/16 via 203.0.113.1 metric 1").unwrap();
    router.ip("route add 10.8.0.0/16 via 198.51.100.1 proto static").unwrap();
    let text = "/ip address add address=203.0.113.2/29 interface=ether1\n\
                /ip route add dst-address=10.9.0.0/16 gateway=203.0.113.1\n\
                /ip route add dst-address=10.7.0.0/16 gateway=198.51.100.1\n";
    inside(&router, async || {
        let kernel = Kernel::open().await.unwrap();
        let wanted = desired(&kernel, text).await;
        let steps = diff(&kernel, &wanted).await;
        assert!(
            !steps.iter().any(|step| step.contains("203.0.113.2") || step.contains("10.9.0.0")),
            "{steps:?}"
        );
        apply(&kernel, text).await;
        kernel.release().await.unwrap();
    });
    let (addresses, routes) = (router.ip("-d addr show ether1").unwrap(), router.ip("route show").unwrap());
    assert!(addresses.contains("203.0.113.2/29") && addresses.contains("198.51.100.7/24"), "{addresses}");
    assert!(addresses.contains("of-the-operator"), "{addresses}");
    assert!(routes.contains("10.9.0.0/16") && routes.contains("10.8.0.0/16"), "{routes}");
    assert!(!routes.contains("10.7.0.0/16"), "{routes}");
}

#[test]
fn release_gives_back_what_a_former_process_found() {
    lab::need_root!();
    let router = router("release");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("originals.json");
    router.sysctl("net.ipv4.conf.all.rp_filter", "1").unwrap();
    router.sysctl("net.ipv6.conf.far1.accept_ra", "1").unwrap();
    let before = picture(&router);
    inside(&router, async || {
        let mut kernel = Kernel::open().await.unwrap();
        kernel.keep_originals(path.clone()).unwrap();
        apply(&kernel, OFFICE).await;
        apply(&kernel, "/ip address add address=203.0.113.2/29 interface=ether1\n").await;
    });
    assert_eq!(router.read_sysctl("net.ipv4.conf.all.rp_filter").unwrap(), "0");
    // Ports that are not ours keep what they had in effect.
    assert_eq!(router.read_sysctl("net.ipv4.conf.far1.rp_filter").unwrap(), "1");
    assert_eq!(router.read_sysctl("net.ipv6.conf.far1.accept_ra").unwrap(), "2");
    assert!(path.exists());
    inside(&router, async || {
        let mut kernel = Kernel::open().await.unwrap();
        kernel.keep_originals(path.clone()).unwrap();
        kernel.release().await.unwrap();
    });
    assert!(!path.exists());
    assert_eq!(router.read_sysctl("net.ipv4.conf.all.rp_filter").unwrap(), "1");
    assert_eq!(router.read_sysctl("net.ipv4.conf.far1.rp_filter").unwrap(), "0");
    assert_eq!(router.read_sysctl("net.ipv6.conf.far1.accept_ra").unwrap(), "1");
    assert_eq!(picture(&router), before);
}

#[test]
fn a_port_that_appears_comes_alive() {
    lab::need_root!();
    let router = router("appear");
    let text = "/ip address add address=192.0.2.1/24 interface=ether7\n";
    inside(&router, async || {
        let kernel = Kernel::open().await.unwrap();
        assert_eq!(apply(&kernel, text).await.inactive.len(), 2);
        router.ip("link add ether7 type veth peer name far7").unwrap();
        assert_eq!(apply(&kernel, text).await.inactive.len(), 0);
        router.ip("link del ether7").unwrap();
        assert_eq!(apply(&kernel, text).await.inactive.len(), 2);
    });
}

#[test]
fn next_hops_in_use_are_resolved_and_kept() {
    lab::need_root!();
    let router = router("alive");
    inside(&router, async || {
        let kernel = Kernel::open().await.unwrap();
        apply(&kernel, "/ip address add address=192.0.2.1/24 interface=ether1\n").await;
        let facts = kernel.facts(&BTreeMap::new()).await.unwrap();
        let ifindex = facts.links.iter().find(|link| link.name == "ether1").unwrap().ifindex;
        kernel.keep_alive(&[(ifindex, "192.0.2.9".parse::<IpAddr>().unwrap())]).await.unwrap();
    });
    assert!(router.ip("neigh show 192.0.2.9").unwrap().contains("ether1"));
}

#[test]
fn routes_that_need_more_than_the_destination_are_found() {
    lab::need_root!();
    let router = router("depend");
    let why = || {
        inside(&router, async || {
            Kernel::open().await.unwrap().routes_depend_on_more_than_destination().await.unwrap()
        })
    };
    router.ip("link set ether1 up").unwrap();
    router.ip("addr add 192.0.2.1/24 dev ether1").unwrap();
    assert_eq!(why(), None);
    router.ip("-6 rule add from 2001:db8::/32 lookup 100 pref 1000").unwrap();
    assert_eq!(why().as_deref(), Some("IPv6 policy rule 1000"));
    router.ip("-6 rule del pref 1000").unwrap();
    router.ip("route add 10.0.0.0/8 nexthop via 192.0.2.2 nexthop via 192.0.2.3").unwrap();
    assert_eq!(why().as_deref(), Some("multipath route 10.0.0.0/8"));
    router.ip("route del 10.0.0.0/8").unwrap();
    router.ip("route add 10.0.0.0/8 tos 0x10 via 192.0.2.2").unwrap();
    assert_eq!(why().as_deref(), Some("route 10.0.0.0/8 for one type of service"));
}

#[test]
fn foreign_rules_are_listed() {
    lab::need_root!();
    let router = router("nft");
    if router.run("nft list ruleset").is_err() {
        lab::skip!("nft is not installed or the kernel has no nf_tables");
    }
    router.run("nft add table inet guard").unwrap();
    router
        .run("nft add chain inet guard forwarded { type filter hook forward priority 0 ; policy drop ; }")
        .unwrap();
    let found = router.enter(foreign_rules).unwrap();
    assert!(found.iter().any(|rule| rule.to_string() == "inet guard forwarded: policy drop"), "{found:?}");
}

#[test]
fn sysctls_that_the_namespace_lacks_are_named() {
    lab::need_root!();
    let router = router("lacks");
    let missing = inside(&router, async || {
        let kernel = Kernel::open().await.unwrap();
        let wanted = apply(&kernel, "/ip settings set max-neighbor-entries=4096\n").await;
        kernel.unavailable(&wanted).unwrap()
    });
    assert!(missing.iter().all(|key| key.contains("gc_thresh")) && missing.len() == 3, "{missing:?}");
}

#[test]
fn ports_may_swap_their_names() {
    lab::need_root!();
    let router = router("swap");
    let named = |first: &str, second: &str| {
        format!(
            "/interface ethernet set [ find default-name=ether1 ] name={first}\n\
             /interface ethernet set [ find default-name=ether2 ] name={second}\n"
        )
    };
    inside(&router, async || {
        let kernel = Kernel::open().await.unwrap();
        apply(&kernel, &named("WAN", "LAN")).await;
        apply(&kernel, &named("LAN", "WAN")).await;
        // far3 is a link of the host: the port has that name in the configuration only.
        apply(&kernel, &named("LAN", "far3")).await;
    });
    assert!(router.ip("link show LAN").unwrap().contains("ether1"));
    assert!(router.ip("link show WAN").is_err());
}

#[test]
fn a_greater_distance_takes_over_from_a_port_without_carrier() {
    lab::need_root!();
    let router = router("carrier");
    inside(&router, async || {
        let kernel = Kernel::open().await.unwrap();
        apply(
            &kernel,
            "/ip address add address=203.0.113.2/24 interface=ether1\n\
             /ip address add address=198.51.100.2/24 interface=ether2\n\
             /ipv6 address add address=2001:db8:1::2/64 interface=ether1\n\
             /ipv6 address add address=2001:db8:2::2/64 interface=ether2\n\
             /ip route add gateway=203.0.113.1\n\
             /ip route add gateway=198.51.100.1 distance=2\n\
             /ipv6 route add gateway=2001:db8:1::1\n\
             /ipv6 route add gateway=2001:db8:2::1 distance=2\n",
        )
        .await;
    });
    let way = |to: &str| router.ip(&format!("route get {to}")).unwrap();
    assert!(
        way("192.0.2.1").contains("via 203.0.113.1") && way("2001:db8:f::1").contains("via 2001:db8:1::1")
    );
    router.ip("link set far1 down").unwrap();
    // The kernel tells of carriers at most once a second (net/core/link_watch.c).
    for (to, via) in [("192.0.2.1", "via 198.51.100.1"), ("2001:db8:f::1", "via 2001:db8:2::1")] {
        let deadline = Instant::now() + Duration::from_secs(5);
        while !way(to).contains(via) {
            assert!(Instant::now() < deadline, "{}", way(to));
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn an_ipv6_source_waits_for_duplicate_address_detection() {
    lab::need_root!();
    let router = router("dad");
    router.sysctl("net.ipv6.conf.ether1.accept_dad", "1").unwrap();
    inside(&router, async || {
        let kernel = Kernel::open().await.unwrap();
        apply(
            &kernel,
            "/ipv6 address add address=2001:db8:1::2/64 interface=ether1\n\
             /ipv6 route add gateway=2001:db8:1::1 pref-src=2001:db8:1::2\n",
        )
        .await;
    });
    assert!(router.ip("-6 route show default").unwrap().contains("src 2001:db8:1::2"));
}

#[test]
fn a_namespace_leaves_the_host_name_alone() {
    lab::need_root!();
    let router = router("name");
    let facts =
        inside(&router, async || Kernel::open().await.unwrap().facts(&BTreeMap::new()).await.unwrap());
    assert!(!facts.owns_hostname);
}

#[test]
fn the_host_name_is_set_and_given_back() {
    lab::need_root!();
    let router = router("uts");
    inside(&router, async || {
        let hostname = || rustix::system::uname().nodename().to_string_lossy().into_owned();
        let before = hostname();
        // SAFETY: file descriptors stay shared; the host name is this thread's own from here on.
        unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWUTS) }.unwrap();
        let kernel = Kernel::open().await.unwrap();
        let wanted = Desired { hostname: Some("edge-1".to_owned()), ..Desired::default() };
        let _applied = kernel.apply(kernel.diff(&wanted).await.unwrap()).await.unwrap();
        assert_eq!(hostname(), "edge-1");
        assert_eq!(diff(&kernel, &wanted).await, [""; 0]);
        kernel.release().await.unwrap();
        assert_eq!(hostname(), before);
    });
}

#[test]
fn many_routes_are_applied_changed_and_removed() {
    lab::need_root!();
    let routes: u32 = if lab::is_emulated() { 2_000 } else { 20_000 };
    let router = router("scale");
    let config = |gateway: &str| {
        let mut text = "/ip address add address=192.0.2.1/24 interface=ether1\n/ip route\n".to_owned();
        for i in 0..routes {
            text.push_str(&format!(
                "add dst-address=10.{}.{}.{}/32 gateway={gateway}\n",
                i >> 16,
                i >> 8 & 255,
                i & 255
            ));
        }
        text
    };
    let mut lap = std::time::Instant::now();
    let mut step = |what: &str| {
        println!("{what}: {:?}", lap.elapsed());
        lap = std::time::Instant::now();
    };
    inside(&router, async || {
        let kernel = Kernel::open().await.unwrap();
        let first = desired(&kernel, &config("192.0.2.2")).await;
        step("parse and plan");
        let steps = kernel.diff(&first).await.unwrap();
        step("diff");
        assert!(steps.len() > routes as usize);
        let _applied = kernel.apply(steps).await.unwrap();
        step("apply");
        assert_eq!(diff(&kernel, &first).await, [""; 0]);
        step("second diff");
        let second = desired(&kernel, &config("192.0.2.3")).await;
        step("parse and plan");
        let steps = kernel.diff(&second).await.unwrap();
        assert_eq!(steps.len(), routes as usize);
        let applied = kernel.apply(steps).await.unwrap();
        step("change");
        kernel.undo(applied).await.unwrap();
        step("undo");
        assert_eq!(diff(&kernel, &first).await, [""; 0]);
        kernel.release().await.unwrap();
        step("release");
    });
    assert_eq!(router.ip("route show").unwrap(), "");
}

mod watching {
    use super::*;
    use std::sync::mpsc::{Receiver, channel};

    fn watch_in(router: &Netns) -> (Watch, Receiver<Change>) {
        let (sender, receiver) = channel();
        let watch = router.enter(move || watch(move |change| drop(sender.send(change)))).unwrap().unwrap();
        (watch, receiver)
    }

    #[track_caller]
    fn expect(receiver: &Receiver<Change>, is_it: impl Fn(&Change) -> bool) {
        let mut seen = Vec::new();
        while let Ok(change) = receiver.recv_timeout(Duration::from_secs(5)) {
            if is_it(&change) {
                return;
            }
            seen.push(change);
        }
        panic!("not told; told were {seen:?}");
    }

    #[test]
    fn every_kind_of_change_is_told() {
        lab::need_root!();
        let router = router("watch");
        let (_watch, receiver) = watch_in(&router);
        router.ip("link set ether1 up").unwrap();
        expect(&receiver, |change| *change == Change::Links);
        router.ip("addr add 192.0.2.1/24 dev ether1").unwrap();
        expect(&receiver, |change| *change == Change::Addresses);
        router.ip("route add 10.0.0.0/8 via 192.0.2.2").unwrap();
        expect(&receiver, |change| *change == Change::Routes);
        router.ip("rule add from 10.0.0.1 lookup 100").unwrap();
        expect(&receiver, |change| *change == Change::Rules);
        router.ip("neigh add 192.0.2.9 lladdr 02:00:00:00:00:09 dev ether1").unwrap();
        let told = |mac: Option<Vec<u8>>| {
            move |change: &Change| {
                matches!(change, Change::Neighbor { address, mac: told, .. }
                    if *address == "192.0.2.9".parse::<IpAddr>().unwrap() && *told == mac)
            }
        };
        expect(&receiver, told(Some(vec![2, 0, 0, 0, 0, 9])));
        router.ip("neigh change 192.0.2.9 lladdr 02:00:00:00:00:09 nud stale dev ether1").unwrap();
        router.ip("neigh change 192.0.2.9 lladdr 02:00:00:00:00:0a nud stale dev ether1").unwrap();
        expect(&receiver, told(Some(vec![2, 0, 0, 0, 0, 10])));
        router.ip("neigh del 192.0.2.9 dev ether1").unwrap();
        expect(&receiver, told(None));
    }

    #[test]
    fn a_change_is_told_at_once() {
        lab::need_root!();
        const ROUNDS: usize = 50;
        const BOUND: Duration = Duration::from_millis(20); // what the data plane has; about 0.1 ms on an idle machine
        let router = router("delay");
        let (_watch, receiver) = watch_in(&router);
        let mut delays = inside(&router, move || async move {
            let kernel = Kernel::open().await.unwrap();
            let text = "/ip address add address=192.0.2.1/24 interface=ether1\n";
            apply(&kernel, text).await;
            let mut delays = Vec::new();
            for i in 0..ROUNDS {
                let wanted =
                    desired(&kernel, &format!("{text}/ip route add gateway=192.0.2.{}\n", i + 2)).await;
                let steps = kernel.diff(&wanted).await.unwrap();
                while receiver.try_recv().is_ok() {}
                let started = std::time::Instant::now();
                let _applied = kernel.apply(steps).await.unwrap();
                expect(&receiver, |change| *change == Change::Routes);
                delays.push(started.elapsed());
            }
            delays
        });
        delays.sort();
        println!("apply to callback: median {:?}, worst {:?}", delays[ROUNDS / 2], delays[ROUNDS - 1]);
        assert!(delays[ROUNDS / 2] < BOUND, "{delays:?}");
    }

    #[test]
    fn lost_messages_are_told_as_resync() {
        lab::need_root!();
        let router = router("resync");
        let (sender, receiver) = channel();
        // The callback stands still until the kernel had to drop messages.
        let (go, wait) = channel::<()>();
        let watching = router
            .enter(move || {
                watch(move |change| {
                    let first = change == Change::Links;
                    drop(sender.send(change));
                    if first {
                        let _ = wait.recv();
                    }
                })
            })
            .unwrap()
            .unwrap();
        router.ip("link set ether1 up").unwrap();
        expect(&receiver, |change| *change == Change::Links);
        let mut batch = tempfile::NamedTempFile::new().unwrap();
        for i in 0..60_000u32 {
            let line = format!("route add 10.{}.{}.{}/32 dev ether1\n", i >> 16, i >> 8 & 255, i & 255);
            std::io::Write::write_all(&mut batch, line.as_bytes()).unwrap();
        }
        router.run(&format!("ip -batch {}", batch.path().display())).unwrap();
        drop(go);
        expect(&receiver, |change| *change == Change::Resync);
        drop(watching);
    }
}
