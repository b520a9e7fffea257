//! `change-ttl`, `change-hop-limit`, `change-dscp`, `clear-df`, `change-mss`, `strip-ipv4-options`: what leaves.

use super::*;

/// What comes out of XDP and of tc, where the program's own output is the packet.
fn leaves(rig: &mut Rig, rules: &str, frame: &Frame) -> Vec<u8> {
    rig.rules(rules).unwrap();
    let xdp = rig.run(Hook::Xdp, &frame.port, &frame.bytes()).unwrap();
    assert_eq!(xdp.reasons, ["forwarded"], "{rules}");
    let tc = rig.run(Hook::TcIngress, &frame.port, &frame.bytes()).unwrap();
    assert_eq!(tc.reasons, ["forwarded-tc"], "{rules}");
    // tc leaves the MAC addresses to the kernel.
    assert_eq!(xdp.frame[14..], tc.frame[14..], "{rules}");
    assert_sums(&xdp.frame[14..]);
    xdp.frame
}

/// Checksums of the IPv4 header and of TCP or UDP behind it.
fn assert_sums(packet: &[u8]) {
    use router_common::csum;
    if packet[0] >> 4 == 4 {
        let words = usize::from(packet[0] & 15) * 4;
        assert_eq!(csum::finish(csum::sum(&packet[..words])), 0, "header");
        let pseudo = csum::sum(&packet[12..20]) + u64::from(packet[9]) + (packet.len() - words) as u64;
        assert_eq!(csum::finish(pseudo + csum::sum(&packet[words..])), 0, "upper layer");
    } else {
        let pseudo = csum::sum(&packet[8..40]) + u64::from(packet[6]) + (packet.len() - 40) as u64;
        assert_eq!(csum::finish(pseudo + csum::sum(&packet[40..])), 0, "upper layer");
    }
}

fn mangle(rule: &str, v6: bool) -> String {
    format!("/{} firewall mangle add {rule}", if v6 { "ipv6" } else { "ip" })
}

#[test]
fn ttl_and_hop_limit() {
    let mut rig = firewall();
    for (chain, change, came, leaves_with) in [
        ("prerouting", "set:64", 1, 63),
        ("prerouting", "set:10", 64, 9),
        ("prerouting", "increment:1", 64, 64),
        ("forward", "set:65", 7, 65),
        ("forward", "decrement:1", 64, 62),
        ("postrouting", "increment:1", 64, 64),
        ("postrouting", "increment:255", 64, 255),
        ("postrouting", "set:1", 64, 1),
        ("input", "set:1", 64, 63),
    ] {
        let rule = format!("chain={chain} action=change-ttl new-ttl={change}");
        let out = leaves(&mut rig, &mangle(&rule, false), &udp4().ttl(came));
        assert_eq!(out[14 + 8], leaves_with, "{rule}");
        let rule = format!("chain={chain} action=change-hop-limit new-hop-limit={change}");
        let out = leaves(&mut rig, &mangle(&rule, true), &udp6().ttl(came));
        assert_eq!(out[14 + 7], leaves_with, "{rule}");
    }
    // What ends on its way ends before anybody else is asked.
    rig.rules(&mangle("chain=prerouting action=change-ttl new-ttl=decrement:63", false)).unwrap();
    assert_exceeded(&mut rig, &udp4());
    rig.rules(&mangle("chain=postrouting action=change-ttl new-ttl=set:64", false)).unwrap();
    assert_exceeded(&mut rig, &udp4().ttl(1));
}

fn assert_exceeded(rig: &mut Rig, frame: &Frame) {
    let answer = rig.run(Hook::Xdp, &frame.port, &frame.bytes()).unwrap();
    assert_eq!(answer.reasons, ["icmp-sent", "ttl-exceeded"]);
}

#[test]
fn dscp() {
    let mut rig = firewall();
    for (dscp, tos) in [(0, 0xb9), (46, 0), (63, 3), (1, 0xff)] {
        for v6 in [false, true] {
            let frame = if v6 { udp6().tos(tos) } else { udp4().tos(tos) };
            let rule = mangle(&format!("chain=forward action=change-dscp new-dscp={dscp}"), v6);
            let out = leaves(&mut rig, &rule, &frame);
            let class = if v6 { out[14] << 4 | out[15] >> 4 } else { out[15] };
            assert_eq!(class, dscp << 2 | tos & 3, "{rule}");
        }
    }
    // Rules behind it see what it has set.
    let rules = format!(
        "{}\n/ip firewall filter add chain=forward dscp=46 action=drop",
        mangle("chain=prerouting action=change-dscp new-dscp=46", false)
    );
    rig.rules(&rules).unwrap();
    assert_eq!(reason(&mut rig, &udp4()), "filter-drop");
}

#[test]
fn dont_fragment_and_options() {
    let mut rig = firewall();
    let out = leaves(&mut rig, &mangle("chain=prerouting action=clear-df", false), &udp4().dont_fragment());
    assert_eq!(out[14 + 6] & 0x40, 0);
    // The kernel forwards what has options: what XDP passes up has none that say anything.
    rig.rules(&mangle("chain=prerouting action=strip-ipv4-options", false)).unwrap();
    let frame = udp4().options(&[7, 7, 4, 0, 0, 0, 0, 0]);
    let answer = rig.run(Hook::Xdp, &frame.port, &frame.bytes()).unwrap();
    assert_eq!(answer.reasons, ["kernel-forwarded"]);
    assert_eq!(answer.frame[14 + 20..14 + 28], [1; 8]);
    assert_sums(&answer.frame[14..]);
}

/// A SYN whose options are these.
fn syn(v6: bool, options: &[u8]) -> Frame {
    let (source, destination) =
        if v6 { ("2001:db8:1::2", "2001:db8:a1::1") } else { ("192.0.2.2", "10.1.0.1") };
    let mut bytes = vec![0x0f, 0xa0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0];
    bytes.extend([(5 + options.len() as u8 / 4) << 4, 2, 0xfa, 0xf0, 0, 0, 0, 0]);
    bytes.extend(options);
    let frame = from_host1().ip(source, destination);
    let packet = frame.clone().raw(6, &bytes).packet();
    let header = packet.len() - bytes.len();
    let addresses = if v6 { &packet[8..40] } else { &packet[12..20] };
    let sum = router_common::csum::sum(addresses)
        + 6
        + bytes.len() as u64
        + router_common::csum::sum(&packet[header..]);
    let sum = router_common::csum::finish(sum).to_be_bytes();
    bytes[16..18].copy_from_slice(&sum);
    frame.raw(6, &bytes)
}

#[test]
fn mss_is_lowered_and_never_raised() {
    let mut rig = firewall();
    for (new, options, at, expected) in [
        ("1300", vec![2, 4, 5, 180], 2, 1300),
        ("1300", vec![2, 4, 4, 0], 2, 1024),
        // At an odd offset, behind others.
        ("536", vec![1, 2, 4, 5, 180, 1, 1, 0], 3, 536),
        ("1300", vec![3, 3, 7, 2, 4, 5, 180, 0], 5, 1300),
        ("clamp-to-pmtu", vec![2, 4, 0xff, 0xff], 2, 1460),
    ] {
        for v6 in [false, true] {
            let rule = format!("chain=forward protocol=tcp tcp-flags=syn action=change-mss new-mss={new}");
            let out = leaves(&mut rig, &mangle(&rule, v6), &syn(v6, &options));
            let at = 14 + if v6 { 40 } else { 20 } + 20 + at;
            let expected = if v6 && new.starts_with("clamp") { expected - 20 } else { expected };
            assert_eq!(u16::from_be_bytes([out[at], out[at + 1]]), expected, "{rule} {options:?}");
        }
    }
    // Without the option there is nothing to lower.
    let rule = mangle("chain=forward protocol=tcp action=change-mss new-mss=1000", false);
    let frame = syn(false, &[1, 1, 1, 0]);
    let out = leaves(&mut rig, &rule, &frame);
    assert_eq!(out[14 + 20 + 20..], frame.bytes()[14 + 20 + 20..]);
}
