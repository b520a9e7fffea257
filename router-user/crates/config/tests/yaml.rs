//! The YAML form: what it takes, what it refuses, where it says so.

use router_config::{Tree, from_yaml, import, to_yaml};

fn errors(text: &str) -> Vec<String> {
    match from_yaml(&Tree::new(), text) {
        Ok(outcome) => panic!("accepted: {text}\n{:?}", outcome.tree),
        Err(errors) => errors.0.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn yaml_and_script_are_the_same_tree() {
    let script = "/interface ethernet\nset [ find default-name=ether1 ] name=WAN\n/interface bridge\nadd name=no\n\
        /interface bridge port\nadd bridge=no interface=ether2\n/ip address\nadd address=192.0.2.1/24 disabled=yes interface=WAN\n\
        /ip dns\nset servers=192.0.2.53,192.0.2.54\n/ip dns static\nadd address=192.0.2.9 name=1e3\n\
        /ip service\nset telnet disabled=yes\n/system logging\nset 0 topics=info,!debug\n\
        /ppp profile\nset default-encryption name=x\n/system identity\nset name=yes\n/system ntp client\nset servers=192.0.2.7,192.0.2.8\n/system ntp client servers\nadd address=192.0.2.9\n\
        /ip firewall filter\nadd action=drop chain=input connection-state=!established,related comment=\"a: b # \\\"c\\\"\\n\\E4\"";
    let tree = import(&Tree::new(), script).unwrap_or_else(|e| panic!("{e}")).tree;
    let yaml = to_yaml(&tree);
    let back = from_yaml(&Tree::new(), &yaml).unwrap_or_else(|e| panic!("{e}\n{yaml}")).tree;
    assert!(back == tree, "{yaml}\n{tree:?}---\n{back:?}");
    assert!(yaml.contains("name: \"1e3\""), "{yaml}");
    assert!(yaml.contains("name: \"no\""), "{yaml}");
    assert!(yaml.contains("servers: [192.0.2.53, 192.0.2.54]"), "{yaml}");
}

#[test]
fn order_of_menus_does_not_matter_and_booleans_are_taken_in_both_words() {
    let text = "ip:\n  address:\n  - address: 192.0.2.1/24\n    interface: WAN\n    disabled: true\n\
                interface:\n  ethernet:\n  - {default-name: ether1, name: WAN, disabled: no}\n";
    let tree = from_yaml(&Tree::new(), text).unwrap_or_else(|e| panic!("{e}")).tree;
    assert!(tree.items("ip/address").next().unwrap().is_disabled());
}

#[test]
fn errors_tell_path_line_and_column() {
    let text = "ip:\n  address:\n    - {address: 192.0.2.1/24, interface: ether1}\n    - address: 192.0.2.300/24\n      interface: ether1\n  frewall: {}\n  dns:\n    servers: [192.0.2.1, x]\n";
    assert_eq!(
        errors(text),
        [
            "ip.address.1.address: invalid value for argument address (line 4 column 7)",
            "ip.frewall: bad command name frewall (line 6 column 3)",
            "ip.dns.servers: invalid value for argument servers (line 8 column 5)",
        ]
    );
}

#[test]
fn numbers_are_texts_as_they_are_written() {
    let text = "ip:\n  firewall:\n    filter:\n      - {chain: 0x10, comment: 1.50}\n      - chain: 007 # no number\n        comment: +5\n      - {chain: x,\n         comment: 1e3}\n      - {chain: \"a\n        0x1: b\", comment: 0o17}\n  dns:\n    servers: [192.0.2.1, 192.0.2.2]\n";
    let tree = from_yaml(&Tree::new(), text).unwrap_or_else(|e| panic!("{e}")).tree;
    let texts: Vec<String> = tree
        .items("ip/firewall/filter")
        .flat_map(|item| [item.text("chain"), item.text("comment")])
        .flatten()
        .collect();
    assert_eq!(texts, ["0x10", "1.50", "007", "+5", "x", "1e3", "a 0x1: b", "0o17"]);
    let wrong =
        "ip:\n  address:\n    - {\n        address: 192.0.2.1/24,\n        interface: ether1, mtu: 0x10}\n";
    assert_eq!(errors(wrong), ["ip.address.0.mtu: expected end of command (line 5 column 28)"]);
}

#[test]
fn doubled_keys_wrong_forms_and_bombs_are_refused() {
    assert_eq!(errors("ip:\n  dns: {servers: 192.0.2.1}\nip:\n  dns: {}\n").len(), 1);
    assert_eq!(errors("ip: [1, 2]\n"), ["ip: a list is not possible here (line 1 column 1)"]);
    assert_eq!(errors("ip:\n  address: [{address: {a: b}}]\n").len(), 2);
    let bomb = format!(
        "a0: &a0 [x]\n{}",
        (1..30)
            .map(|n| format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 9].join(",")))
            .collect::<String>()
    );
    assert!(!errors(&bomb).is_empty());
    assert!(!errors("a: [[[[").is_empty());
    assert!(!errors(&"[".repeat(100_000)).is_empty());
}

#[test]
fn strict_refuses_the_names_of_version_6() {
    let text =
        "ip:\n  route:\n    - {dst-address: 192.0.2.0/24, gateway: 198.51.100.1, prefsrc: 198.51.100.2}\n";
    assert!(router_config::from_yaml(&Tree::new(), text).is_ok());
    let strict = router_config::ImportOptions { strict: true, ..Default::default() };
    let errors = router_config::from_yaml_with(&Tree::new(), text, &strict).unwrap_err();
    assert!(errors.to_string().contains("expected end of command"), "{errors}");
    let modern = text.replace("prefsrc", "pref-src");
    assert!(router_config::from_yaml_with(&Tree::new(), &modern, &strict).is_ok());
}
