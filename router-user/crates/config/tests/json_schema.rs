//! The JSON Schema of the YAML form takes what is written, and tells mistakes.

use std::path::PathBuf;
use std::sync::LazyLock;

use jsonschema::Validator;
use router_config::{Tree, import, json_schema, to_yaml};

static SCHEMA: LazyLock<Validator> =
    LazyLock::new(|| jsonschema::validator_for(&json_schema()).unwrap_or_else(|e| panic!("{e}")));

fn faults(yaml: &str) -> Vec<String> {
    let value: serde_json::Value = serde_yaml::from_str(yaml).unwrap_or_else(|e| panic!("{e}\n{yaml}"));
    SCHEMA.iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path())).collect()
}

#[test]
fn it_is_a_schema_itself() {
    assert!(jsonschema::meta::is_valid(&json_schema()));
}

#[test]
fn what_is_written_is_valid() {
    let configs = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../configs");
    let mut count = 0;
    for file in std::fs::read_dir(configs).unwrap().map(|file| file.unwrap().path()) {
        let text = std::fs::read_to_string(&file).unwrap();
        let yaml = match file.extension().and_then(|e| e.to_str()) {
            Some("yaml") => text,
            Some("rsc") => to_yaml(&import(&Tree::new(), &text).unwrap_or_else(|e| panic!("{e}")).tree),
            _ => continue,
        };
        assert_eq!(faults(&yaml), [""; 0], "{}", file.display());
        count += 1;
    }
    assert!(count > 1);
}

#[test]
fn every_form_of_a_value_is_valid() {
    let script = "/interface ethernet set [ find default-name=ether1 ] name=1\n/interface bridge add name=yes pvid=7\n\
        /ip dns set servers=192.0.2.53,192.0.2.54\n/ip firewall filter add chain=input action=drop connection-state=!new,related dst-port=80,443 protocol=!tcp\n\
        /ip firewall filter add chain=input action=accept dst-port=22\n/ip service set telnet disabled=yes\n/queue simple add name=q target=192.0.2.0/24 max-limit=10M/2M\n\
        /system logging set 0 topics=info,!debug\n/ip route add blackhole dst-address=198.51.100.0/24\n/ip dhcp-client option add name=o code=61 value=0x10";
    let yaml = to_yaml(&import(&Tree::new(), script).unwrap_or_else(|e| panic!("{e}")).tree);
    assert_eq!(faults(&yaml), [""; 0], "{yaml}");
    assert_eq!(faults("ip:\n  service:\n  - {name: telnet, disabled: yes, address: null}\n"), [""; 0]);
}

#[test]
fn mistakes_are_told() {
    for yaml in [
        "ip:\n  adress: []\n",
        "ip:\n  address:\n  - {address: 192.0.2.1/24, interfaces: ether1}\n",
        "ip:\n  address:\n  - {interface: ether1}\n",
        "ip:\n  firewall:\n    filter:\n    - {chain: input, action: dropp}\n",
        "interface:\n  bridge:\n  - {name: b, pvid: 70000}\n",
        "ip: 5\n",
    ] {
        assert!(!faults(yaml).is_empty(), "{yaml}");
    }
}
