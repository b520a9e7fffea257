//! `in-interface`, `out-interface` and their lists.

use super::*;

const LISTS: &str = "interface list add name=LAN\n/interface list add name=WAN\n\
    /interface list member add list=LAN interface=ether1\n/interface list member add list=WAN interface=ether2\n/";

#[test]
fn by_name_and_by_list() {
    let mut rig = firewall();
    let menu = format!("{LISTS}{FORWARD4}");
    check(
        &mut rig,
        &menu,
        &[
            ("in-interface=ether1", udp4(), true),
            ("in-interface=!ether1", udp4(), false),
            ("in-interface=ether2", udp4(), false),
            ("in-interface=all-ethernet", udp4(), true),
            ("in-interface=all-ppp", udp4(), false),
            ("out-interface=ether2", udp4(), true),
            ("out-interface=!ether2", udp4(), false),
            ("in-interface-list=LAN", udp4(), true),
            ("in-interface-list=!LAN", udp4(), false),
            ("in-interface-list=WAN", udp4(), false),
            ("in-interface-list=all", udp4(), true),
            ("in-interface-list=none", udp4(), false),
            ("out-interface-list=WAN in-interface-list=LAN", udp4(), true),
            ("out-interface-list=WAN in-interface-list=WAN", udp4(), false),
        ],
    );
}
