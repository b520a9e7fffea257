//! The schema's own mechanisms, on menus that use them.

use router_config::schema::{self, Kind};
use router_config::{ExportOptions, Tree, export, from_yaml, import, to_yaml};

#[track_caller]
fn exported(script: &str) -> String {
    let tree = import(&Tree::new(), script).unwrap_or_else(|e| panic!("{e}")).tree;
    let text = export(&tree, &ExportOptions { sensitive: true, ..ExportOptions::default() });
    let again = import(&Tree::new(), &text).unwrap_or_else(|e| panic!("{e}\n{text}")).tree;
    assert!(again == tree, "{text}");
    let yaml = to_yaml(&tree);
    assert!(from_yaml(&Tree::new(), &yaml).unwrap_or_else(|e| panic!("{e}\n{yaml}")).tree == tree, "{yaml}");
    text
}

#[test]
fn what_the_device_has_comes_into_being_by_being_named() {
    for (line, wanted) in [
        ("/queue interface set ether2 queue=only-hardware-queue", "set ether2 queue=only-hardware-queue"),
        ("/queue interface set [ find interface=lan ] queue=no-queue", "set lan queue=no-queue"),
        ("/port set 1 name=modem baud-rate=9600", "set 1 baud-rate=9600 name=modem"),
        ("/disk set usb1 slot=backup", "set usb1 slot=backup"),
        ("/interface ethernet switch set switch1 cpu-flow-control=yes", "set 0 cpu-flow-control=yes"),
        ("/interface ethernet switch port set 1 default-vlan-id=7", "set ether2 default-vlan-id=7"),
        (
            "/interface wireless set [ find default-name=wlan1 ] ssid=x",
            "set [ find default-name=wlan1 ] ssid=x",
        ),
        ("/app set adguard use-https=yes", "set adguard use-https=yes"),
    ] {
        let text = exported(line);
        assert!(text.lines().any(|line| line == wanted), "{line}:\n{text}");
    }
    assert_eq!(exported("/port set 0 name=serial0\n/queue interface set ether1").lines().count(), 1);
}

#[test]
fn a_group_gives_its_properties_its_name() {
    let text = exported(
        "/interface wifi channel add name=ch band=5ghz-ax\n\
         /interface wifi configuration add name=home channel.band=5ghz-ax ssid=net security.passphrase=0123456789 .ft=yes",
    );
    assert!(text.contains("add channel.band=5ghz-ax name=home security.ft=yes"), "{text}");
    assert!(text.contains("ssid=net"), "{text}");
    let wifi = schema::menu("interface/wifi").unwrap_or_else(|| panic!("no wifi"));
    assert!(wifi.property("configuration.ssid").is_some_and(|p| p.also == ["ssid"]));
    assert!(schema::menu("interface/wifiwave2").is_some_and(|menu| menu.path == "interface/wifi"));
}

#[test]
fn menus_tell_flags_states_commands_and_releases() {
    let disk = schema::menu("disk").unwrap_or_else(|| panic!("no disk"));
    assert_eq!(
        disk.flags.first().map(|(letter, word)| (letter.as_str(), word.as_str())),
        Some(("X", "disabled"))
    );
    assert!(disk.status("free").is_some_and(|p| p.read_only) && disk.property("free").is_none());
    assert!(disk.command("eject").is_some() && disk.command("eat").is_none());
    assert_eq!(disk.property("compress").map(|p| p.versions.to_string()).as_deref(), Some("since 7.18"));
    let layers = schema::menu("container/layers").unwrap_or_else(|| panic!("no layers"));
    assert_eq!(layers.kind, Kind::Status);
    let host = schema::menu("interface/bridge/host").unwrap_or_else(|| panic!("no hosts"));
    assert_eq!(host.required, ["mac-address", "interface", "bridge"]);
}
