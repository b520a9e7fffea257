//! `src-mac-address`.

use super::*;

#[test]
fn the_sender_on_the_link() {
    let mut rig = firewall();
    check(
        &mut rig,
        FORWARD4,
        &[
            ("src-mac-address=02:00:00:00:01:02", udp4(), true),
            ("src-mac-address=02:00:00:00:01:03", udp4(), false),
            ("src-mac-address=!02:00:00:00:01:02", udp4(), false),
        ],
    );
}
