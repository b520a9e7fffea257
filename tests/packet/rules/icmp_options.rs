//! `icmp-options`.

use super::*;

fn echo(kind: u8, code: u8) -> Frame {
    from_host1().ip("192.0.2.2", "10.1.0.1").icmp(kind, code, [0, 1, 0, 1], &[1, 2, 3, 4])
}

#[test]
fn type_and_codes() {
    let mut rig = firewall();
    check(
        &mut rig,
        RAW4,
        &[
            ("protocol=icmp icmp-options=8:0", echo(8, 0), true),
            ("protocol=icmp icmp-options=8", echo(8, 0), true),
            ("protocol=icmp icmp-options=8:1-255", echo(8, 0), false),
            ("protocol=icmp icmp-options=!8:0", echo(8, 0), false),
            ("protocol=icmp icmp-options=!0:0", echo(8, 0), true),
            ("protocol=icmp icmp-options=0:0", echo(8, 0), false),
        ],
    );
    let echo6 =
        || from_host1().ip("2001:db8:1::2", "2001:db8:a1::1").icmp(128, 0, [0, 1, 0, 1], &[1, 2, 3, 4]);
    check(
        &mut rig,
        RAW6,
        &[
            ("protocol=icmpv6 icmp-options=128:0", echo6(), true),
            ("protocol=icmpv6 icmp-options=129:0-255", echo6(), false),
        ],
    );
}
