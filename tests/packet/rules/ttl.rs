//! `ttl`, `hop-limit`.

use super::*;

#[test]
fn as_it_came() {
    let mut rig = firewall();
    check(
        &mut rig,
        FORWARD4,
        &[
            ("ttl=equal:64", udp4(), true),
            ("ttl=equal:63", udp4(), false),
            ("ttl=not-equal:64", udp4(), false),
            ("ttl=less-than:65", udp4(), true),
            ("ttl=less-than:64", udp4(), false),
            ("ttl=greater-than:63", udp4(), true),
            ("ttl=greater-than:255", udp4(), false),
        ],
    );
    check(
        &mut rig,
        FORWARD6,
        &[
            ("hop-limit=equal:64", udp6(), true),
            ("hop-limit=equal:1", udp6(), false),
            ("hop-limit=greater-than:64", udp6().ttl(65), true),
        ],
    );
}
