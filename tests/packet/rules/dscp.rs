//! `dscp`.

use super::*;

#[test]
fn upper_six_bits_of_the_type_of_service() {
    let mut rig = firewall();
    let marked = || udp4().tos(0xb8 | 1);
    check(
        &mut rig,
        FORWARD4,
        &[
            ("dscp=46", marked(), true),
            ("dscp=45", marked(), false),
            ("dscp=!46", marked(), false),
            ("dscp=0", udp4(), true),
        ],
    );
}
