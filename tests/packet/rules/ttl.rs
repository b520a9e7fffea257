//! `ttl`, `hop-limit`. Chain forward sees what the router has left of it, as in RouterOS, whose kernel lowers it before.

use super::*;

const LINES: [(&str, u8, bool); 7] = [
    ("equal:64", 64, true),
    ("equal:63", 64, false),
    ("not-equal:64", 64, false),
    ("less-than:65", 64, true),
    ("less-than:64", 64, false),
    ("greater-than:63", 64, true),
    ("greater-than:255", 64, false),
];

#[test]
fn as_it_came_before_the_route_and_one_less_behind_it() {
    let mut rig = firewall();
    for (value, ttl, met) in LINES {
        check(&mut rig, RAW4, &[(&format!("ttl={value}"), udp4().ttl(ttl), met)]);
        check(&mut rig, RAW6, &[(&format!("hop-limit={value}"), udp6().ttl(ttl), met)]);
        check(&mut rig, FORWARD4, &[(&format!("ttl={value}"), udp4().ttl(ttl + 1), met)]);
        check(&mut rig, FORWARD6, &[(&format!("hop-limit={value}"), udp6().ttl(ttl + 1), met)]);
    }
}
