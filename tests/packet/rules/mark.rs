//! `connection-mark`, `packet-mark`, `routing-mark`, and mangle's `mark-connection`, `mark-packet`, `mark-routing`.

use super::*;

#[test]
fn what_is_not_marked_has_no_mark() {
    let mut rig = firewall();
    for mark in ["connection-mark", "packet-mark", "routing-mark"] {
        let other = if mark == "routing-mark" { "main" } else { "voice" };
        let lines = [("no-mark", true), ("!no-mark", false), (other, false), (&format!("!{other}"), true)];
        for (value, met) in lines {
            check(&mut rig, FORWARD4, &[(&format!("{mark}={value}"), udp4(), met)]);
        }
    }
}

/// What the forward chain of filter sees of a packet that mangle has marked.
fn sees(rig: &mut Rig, mangle: &str, matcher: &str, frame: &Frame) -> bool {
    let family = if frame.bytes()[12] == 0x86 { "ipv6" } else { "ip" };
    let rules = mangle.split(';').map(|rule| format!("/{family} firewall mangle add {rule}\n"));
    let filter = format!("/{family} firewall filter add chain=forward {matcher} action=drop");
    rig.rules(&format!("{}{filter}", rules.collect::<String>())).unwrap();
    let met: Vec<bool> = HOOKS
        .iter()
        .map(|hook| rig.run(*hook, &frame.port, &frame.bytes()).unwrap().reasons == ["filter-drop"])
        .collect();
    assert_eq!(met[0], met[1], "{mangle}, {matcher}");
    met[0]
}

#[test]
fn a_mark_is_seen_by_the_rules_behind_it() {
    let mut rig = firewall();
    for (mangle, matcher, met) in [
        ("chain=prerouting action=mark-packet new-packet-mark=a", "packet-mark=a", true),
        ("chain=forward action=mark-packet new-packet-mark=a", "packet-mark=a", true),
        ("chain=postrouting action=mark-packet new-packet-mark=a", "packet-mark=a", false),
        ("chain=input action=mark-packet new-packet-mark=a", "packet-mark=a", false),
        ("chain=prerouting action=mark-packet new-packet-mark=a", "packet-mark=b", false),
        ("chain=prerouting action=mark-packet new-packet-mark=a", "packet-mark=!no-mark", true),
        ("chain=prerouting action=mark-routing new-routing-mark=main", "routing-mark=main", true),
        ("chain=prerouting action=mark-connection new-connection-mark=a", "connection-mark=a", true),
        ("chain=prerouting action=mark-packet new-packet-mark=a protocol=tcp", "packet-mark=a", false),
        // The last one wins, and passthrough=no ends the chain.
        (
            "chain=prerouting action=mark-packet new-packet-mark=a;chain=prerouting action=mark-packet new-packet-mark=b",
            "packet-mark=b",
            true,
        ),
        (
            "chain=prerouting action=mark-packet new-packet-mark=a passthrough=no;\
             chain=prerouting action=mark-packet new-packet-mark=b",
            "packet-mark=a",
            true,
        ),
        // A rule of the same chain looks at it.
        (
            "chain=prerouting action=mark-connection new-connection-mark=a;\
             chain=prerouting connection-mark=a action=mark-packet new-packet-mark=b",
            "packet-mark=b",
            true,
        ),
        (
            "chain=prerouting packet-mark=no-mark action=mark-packet new-packet-mark=a;\
             chain=prerouting packet-mark=no-mark action=mark-packet new-packet-mark=b",
            "packet-mark=a",
            true,
        ),
        // Taken back.
        (
            "chain=prerouting action=mark-packet new-packet-mark=a;chain=forward action=mark-packet new-packet-mark=no-mark",
            "packet-mark=no-mark",
            true,
        ),
        (
            "chain=prerouting action=accept;chain=prerouting action=mark-packet new-packet-mark=a",
            "packet-mark=a",
            false,
        ),
        (
            "chain=prerouting action=jump jump-target=own;chain=own action=mark-packet new-packet-mark=a",
            "packet-mark=a",
            true,
        ),
    ] {
        for frame in [udp4(), udp6()] {
            assert_eq!(sees(&mut rig, mangle, matcher, &frame), met, "{mangle}, {matcher}");
        }
    }
}

#[test]
fn a_connection_keeps_its_mark_in_both_directions() {
    let mut rig = firewall();
    let rules = "/ip firewall mangle add chain=prerouting connection-state=new in-interface=ether1 \
                 action=mark-connection new-connection-mark=a\n\
                 /ip firewall filter add chain=forward connection-mark=a action=passthrough\n\
                 /ip firewall filter add chain=forward connection-mark=no-mark action=passthrough\n";
    rig.rules(rules).unwrap();
    let reply = from_host2().ip("10.1.0.1", "192.0.2.2").udp(53, 4000, 20);
    for frame in [udp4(), reply, udp4(), udp4(), udp4()] {
        assert_eq!(reason(&mut rig, &frame), "forwarded");
    }
    let counted = rig.counted(3).unwrap();
    let packets: Vec<u64> = counted.iter().map(|(packets, _)| *packets).collect();
    // Rules stand in the order of their chains in the image: filter's two, then mangle's.
    assert_eq!(packets.iter().sum::<u64>(), 6, "{packets:?}");
    assert!(packets.contains(&5) && packets.contains(&0) && packets.contains(&1), "{packets:?}");
}

#[test]
fn a_mark_that_comes_later_ends_what_was_decided() {
    let mut rig = firewall();
    // What is no fragment may be remembered.
    let rules = "/ip firewall mangle add chain=prerouting fragment=yes action=mark-connection new-connection-mark=bad\n\
                 /ip firewall filter add chain=forward connection-mark=bad action=drop";
    rig.rules(rules).unwrap();
    let reply = from_host2().ip("10.1.0.1", "192.0.2.2").udp(53, 4000, 20);
    for frame in [udp4(), reply.clone(), udp4(), reply.clone(), udp4()] {
        assert_eq!(reason(&mut rig, &frame), "forwarded");
    }
    let fragment = from_host1().ip("192.0.2.2", "10.1.0.1").udp(4000, 53, 24).part(7, 0, true);
    assert_eq!(reason(&mut rig, &fragment), "filter-drop");
    assert_eq!(reason(&mut rig, &udp4()), "filter-drop");
    assert_eq!(reason(&mut rig, &reply), "filter-drop");
}
