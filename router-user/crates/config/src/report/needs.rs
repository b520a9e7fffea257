//! What a kept menu would take to have effect here: hardware that a host may lack, programs that do the work.

use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NeedKind {
    /// A device that the host may not have.
    Hardware,
    /// Programs of the distribution that a later release drives.
    Software,
    /// Work inside this router that is still to be done.
    Release,
}

/// Beginnings of menu paths, the longer ones first where one begins with another.
const NEEDS: [(&str, NeedKind, &str); 41] = [
    ("/caps-man", NeedKind::Hardware, "a wireless card with access point mode"),
    ("/container", NeedKind::Software, "a container runtime (podman)"),
    ("/app", NeedKind::Software, "a container runtime (podman)"),
    ("/disk", NeedKind::Hardware, "a disk for the router alone"),
    ("/interface/bridge/port-controller", NeedKind::Hardware, "a switch chip"),
    ("/interface/dot1x", NeedKind::Software, "hostapd, wpa_supplicant"),
    ("/interface/ethernet/poe", NeedKind::Hardware, "a PoE controller"),
    ("/interface/ethernet/switch", NeedKind::Hardware, "a switch chip"),
    ("/interface/lte", NeedKind::Hardware, "an LTE or 5G modem"),
    ("/interface/ovpn", NeedKind::Software, "openvpn"),
    ("/interface/ppp-", NeedKind::Hardware, "a serial modem"),
    ("/interface/pppoe", NeedKind::Software, "pppd"),
    ("/interface/l2tp", NeedKind::Software, "xl2tpd, pppd"),
    ("/interface/pptp", NeedKind::Software, "pppd"),
    ("/interface/sstp", NeedKind::Software, "pppd"),
    ("/interface/w60g", NeedKind::Hardware, "a 60 GHz radio"),
    ("/interface/wifi", NeedKind::Hardware, "a wireless card with access point mode"),
    ("/interface/wireless", NeedKind::Hardware, "a wireless card with access point mode"),
    ("/iot/lora", NeedKind::Hardware, "a LoRa concentrator"),
    ("/iot", NeedKind::Hardware, "Bluetooth, LoRa or GPIO hardware"),
    ("/ip/ipsec", NeedKind::Software, "strongSwan"),
    ("/ip/smb", NeedKind::Software, "samba"),
    ("/lcd", NeedKind::Hardware, "a display"),
    ("/lora", NeedKind::Hardware, "a LoRa concentrator"),
    ("/ppp", NeedKind::Software, "pppd"),
    ("/routing/bfd", NeedKind::Software, "FRR"),
    ("/routing/bgp", NeedKind::Software, "FRR"),
    ("/routing/igmp-proxy", NeedKind::Software, "FRR"),
    ("/routing/isis", NeedKind::Software, "FRR"),
    ("/routing/ospf", NeedKind::Software, "FRR"),
    ("/routing/pimsm", NeedKind::Software, "FRR"),
    ("/routing/rip", NeedKind::Software, "FRR"),
    ("/mpls/ldp", NeedKind::Software, "FRR"),
    ("/system/gps", NeedKind::Hardware, "a GPS receiver"),
    ("/system/health", NeedKind::Hardware, "sensors and fans of a RouterBOARD"),
    ("/system/leds", NeedKind::Hardware, "LEDs of a RouterBOARD"),
    ("/system/ptp", NeedKind::Hardware, "a network card with a PTP clock"),
    ("/system/routerboard", NeedKind::Hardware, "a RouterBOARD"),
    ("/system/ups", NeedKind::Hardware, "an uninterruptible power supply"),
    ("/tool/sms", NeedKind::Hardware, "a modem"),
    ("/zerotier", NeedKind::Software, "zerotier-one"),
];

/// What lines of a menu wait for that are known and have no effect.
pub fn need(menu: &str) -> (NeedKind, &'static str) {
    let begins = |prefix: &str| {
        menu.strip_prefix(prefix).is_some_and(|rest| {
            rest.is_empty() || rest.starts_with('/') || rest.starts_with('-') || prefix.ends_with('-')
        })
    };
    let found = NEEDS.iter().find(|(prefix, ..)| begins(prefix));
    found.map_or((NeedKind::Release, "a later release"), |(_, kind, what)| (*kind, what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_menu_needs_what_its_path_begins_with() {
        assert_eq!(need("/routing/ospf/area"), (NeedKind::Software, "FRR"));
        assert_eq!(need("/interface/ppp-client").0, NeedKind::Hardware);
        assert_eq!(need("/interface/pppoe-client"), (NeedKind::Software, "pppd"));
        assert_eq!(need("/ppp/secret"), (NeedKind::Software, "pppd"));
        assert_eq!(need("/ip/firewall/filter").0, NeedKind::Release);
        assert_eq!(need("/apple").0, NeedKind::Release);
    }
}
