//! `fragment`.

use super::*;

#[test]
fn fragments_and_whole_packets() {
    let mut rig = firewall();
    let first = || from_host1().ip("192.0.2.2", "10.1.0.1").fragment(0, true).raw(17, &[7; 64]);
    check(
        &mut rig,
        RAW4,
        &[("fragment=yes", first(), true), ("fragment=yes", udp4(), false), ("fragment=no", udp4(), true)],
    );
}
