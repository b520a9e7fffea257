//! `src-address-type`, `dst-address-type`.

use super::*;

#[test]
fn kinds_of_addresses() {
    let mut rig = firewall();
    let to_router = || from_host1().ip("192.0.2.2", "192.0.2.1").udp(4000, 53, 20);
    check(
        &mut rig,
        RAW4,
        &[
            ("dst-address-type=unicast", udp4(), true),
            ("dst-address-type=local", udp4(), false),
            ("dst-address-type=!local", udp4(), true),
            ("dst-address-type=local", to_router(), true),
            ("dst-address-type=local,broadcast", to_router(), true),
            ("src-address-type=local", udp4(), false),
        ],
    );
}
