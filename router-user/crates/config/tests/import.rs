//! Scripts in, trees out: paths, items, values, errors.

use router_config::{ExportOptions, ImportOptions, Tree, export, import, import_with, run};

fn tree(script: &str) -> Tree {
    match import(&Tree::new(), script) {
        Ok(outcome) => outcome.tree,
        Err(errors) => panic!("{script}\n{errors}"),
    }
}

fn errors(script: &str) -> Vec<String> {
    match import(&Tree::new(), script) {
        Ok(_) => panic!("accepted: {script}"),
        Err(errors) => errors.0.iter().map(ToString::to_string).collect(),
    }
}

fn export_all(tree: &Tree) -> String {
    export(tree, &ExportOptions { sensitive: true, ..ExportOptions::default() })
}

#[test]
fn every_form_of_a_path_means_the_same_menu() {
    let expected = tree("/ip address add address=192.0.2.1/24 interface=ether1");
    for script in [
        "/ip address\nadd address=192.0.2.1/24 interface=ether1",
        "/ip/address/add address=192.0.2.1/24 interface=ether1",
        "/ip/address add address=192.0.2.1/24 interface=ether1",
        "/ip\naddress add address=192.0.2.1/24 interface=ether1",
        "/ip address { add address=192.0.2.1/24 interface=ether1 }",
        "/ip route\n.. address add address=192.0.2.1/24 interface=ether1",
        "/ip addr add addr=192.0.2.1/24 int=ether1",
        "/ip address\r\nadd \\\r\n    address=192.0.2.1/255.255.255.0 interface=\\\r\n    ether1\r\n",
        "# comment\n/ip address; add address=192.0.2.1/24 interface=ether1; # more",
    ] {
        assert_eq!(tree(script), expected, "{script}");
    }
}

#[test]
fn ports_come_into_being_by_being_named() {
    let t = tree(
        "/interface ethernet\nset [ find default-name=ether10 ] name=WAN mtu=1400\nset [find default-name=ether2] comment=x",
    );
    let names: Vec<_> = t.items("interface/ethernet").filter_map(|i| i.text("name")).collect();
    assert_eq!(names, ["ether2", "WAN"]);
    let t = tree("/ip address add address=192.0.2.1/24 interface=ether3");
    assert_eq!(t.items("interface/ethernet").count(), 1);
}

#[test]
fn a_renamed_interface_is_followed_by_its_references() {
    let t = tree(
        "/ip address add address=192.0.2.1/24 interface=ether1\n\
         /interface ethernet set [ find default-name=ether1 ] name=WAN",
    );
    assert_eq!(t.items("ip/address").next().and_then(|i| i.text("interface")).as_deref(), Some("WAN"));
    assert_eq!(
        errors(
            "/interface ethernet set [ find default-name=ether1 ] name=WAN\n\
             /ip address add address=192.0.2.1/24 interface=ether1"
        ),
        ["input does not match any value of interface (line 2 column 48)"]
    );
}

#[test]
fn errors_have_the_text_and_place_of_routeros_and_come_all_at_once() {
    assert_eq!(
        errors(
            "/ip frewall\n/ip address add adress=192.0.2.1/24 interface=ether1\n/ip/nonsense/add x=1\n\
             /ip route add gateway=192.0.2.1 distance=300 check-gateway=pong\n/ip address add comment=x"
        ),
        [
            "bad command name frewall (line 1 column 5)",
            "expected end of command (line 2 column 17)",
            "syntax error (line 3 column 13)",
            "value of distance out of range (1..255) (line 4 column 42)",
            "input does not match any value of check-gateway (line 4 column 60)",
            "missing value(s) of argument(s) address interface (line 5 column 1)",
        ]
    );
}

#[test]
fn duplicates_are_refused() {
    assert_eq!(
        errors(
            "/ip address add address=192.0.2.1/24 interface=ether1\n/ip address add address=192.0.2.1/24 comment=x interface=ether1"
        ),
        ["failure: already have such address (line 2 column 1)"]
    );
}

#[test]
fn console_commands_change_the_tree_or_leave_it() {
    let mut t = Tree::new();
    assert!(run(&mut t, "/ip address add address=192.0.2.1/24 interface=ether1").unwrap().changed);
    assert!(run(&mut t, "/ip address disable 0").unwrap().changed);
    assert!(!run(&mut t, "/ip address disable 0").unwrap().changed);
    assert!(t.items("ip/address").next().unwrap().is_disabled());
    let before = t.clone();
    assert!(run(&mut t, "/ip address { enable 0; remove 7 }").is_err());
    assert_eq!(t, before);
    assert_eq!(run(&mut t, "/ip address get 0 address").unwrap().text, "192.0.2.1/24\n");
    assert!(run(&mut t, "/ip address remove [find where interface=ether1]").unwrap().changed);
    assert_eq!(t.items("ip/address").count(), 0);
}

#[test]
fn export_is_read_back_as_it_was() {
    let t = tree(
        "/ip address add address=192.0.2.1/24 interface=ether1 comment=\"two words \\E4\"\n\
         /ip route add blackhole dst-address=198.51.100.7/24\n/system identity set name=edge",
    );
    let text = export_all(&t);
    assert_eq!(
        text,
        "# by routerd 0.1.0, RouterOS 7 syntax\n/ip address\nadd address=192.0.2.1/24 comment=\"two words \\E4\" interface=ether1\n\
         /ip route\nadd blackhole dst-address=198.51.100.0/24\n/system identity\nset name=edge\n"
    );
    assert_eq!(tree(&text), t);
}

#[test]
fn what_follows_in_an_unknown_menu_is_not_told_again() {
    let report = router_config::check([(
        "x.rsc",
        b"/interface wirelezz\nset 0 ssid=x\nadd y=1\n/ip address\nadd address=192.0.2.1/24 interface=ether1\n".as_slice(),
    )]);
    let file = &report.files[0];
    assert_eq!(
        file.errors.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["bad command name wirelezz (line 1 column 12)"]
    );
    assert_eq!((file.statements, file.enforced), (4, 1));
}

#[test]
fn a_port_of_any_name_is_made_known_by_its_default_name() {
    let bare = import(&Tree::new(), "/ip address add address=192.0.2.1/24 interface=uplink").unwrap_err();
    assert!(bare.0[0].hint.as_ref().unwrap().contains("[ find default-name=uplink ]"));
    let t = tree(
        "/interface ethernet set [ find default-name=uplink ] mtu=9000\n/ip address add address=192.0.2.1/24 interface=uplink",
    );
    assert_eq!(t.interface("uplink").and_then(|i| i.text("mtu")).as_deref(), Some("9000"));
}

#[test]
fn a_reference_to_what_was_removed_keeps_its_id_and_is_noted() {
    let mut t = tree(
        "/ip pool add name=a ranges=192.0.2.10\n/ip dhcp-server add name=d interface=ether1 address-pool=a",
    );
    run(&mut t, "/ip pool remove a").unwrap();
    let text = export_all(&t);
    assert!(text.contains("address-pool=*1"), "{text}");
    let again = import(&Tree::new(), &text).unwrap();
    assert!(again.tree == t);
    assert!(again.notes.iter().any(|n| n.reason == "address-pool: *1 is an item that is gone"));
}

#[test]
fn export_of_a_branch_hides_secrets_unless_told_and_knows_its_words() {
    let mut t = tree(
        "/ppp secret add name=u password=hidden\n/system note set note=x\n/ip dns set servers=192.0.2.53",
    );
    let ppp = |t: &mut Tree, words: &str| {
        let text = run(t, &format!("/ppp export {words}")).unwrap().text;
        text.split_once('\n').unwrap().1.to_owned()
    };
    assert_eq!(ppp(&mut t, ""), "/ppp secret\nadd name=u\n");
    assert_eq!(ppp(&mut t, "terse show-sensitive"), "/ppp secret add name=u password=hidden\n");
    assert!(ppp(&mut t, "verbose").contains("profile=default"));
    assert_eq!(run(&mut t, "/export").unwrap().text, export(&t, &ExportOptions::default()));
    assert!(run(&mut t, "/export sideways").is_err());
}

#[test]
fn a_part_of_a_configuration_may_name_what_another_part_makes() {
    let rule = "/ip firewall filter add chain=input in-interface=lan in-interface-list=TRUSTED\n";
    let outcome = import(&Tree::new(), rule).unwrap();
    let reasons: Vec<&str> = outcome.notes.iter().map(|n| n.reason.as_str()).collect();
    assert!(reasons.contains(&"in-interface: there is no lan here; inactive"), "{reasons:?}");
    assert!(reasons.contains(&"in-interface-list: there is no TRUSTED here; inactive"), "{reasons:?}");
    let meant = format!("/interface list add name=TRUSTET\n/interface bridge add name=lane\n{rule}");
    assert_eq!(errors(&meant), ["input does not match any value of in-interface-list (line 3 column 72)"]);
    assert_eq!(
        run(&mut Tree::new(), rule).unwrap_err().0.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "input does not match any value of in-interface (line 1 column 50)",
            "input does not match any value of in-interface-list (line 1 column 72)",
        ]
    );
}

#[test]
fn what_comes_of_an_error_is_not_told_again() {
    assert_eq!(
        errors("/interface bridge add name=lan mtu=x\n/ip address add address=192.0.2.1/24 interface=lan"),
        ["invalid value for argument mtu (line 1 column 36)"]
    );
}

#[test]
fn files_may_repeat_what_is_there_and_remove_what_stays() {
    let text = "/interface vlan add interface=ether1 name=v1 vlan-id=1\n/interface vlan add vlan-id=1 name=v1 interface=ether1\n/user remove admin";
    let outcome = import(&Tree::new(), text).unwrap();
    assert_eq!(outcome.tree.items("interface/vlan").count(), 1);
    assert!(outcome.tree.items("user").all(|user| user.is_disabled()));
    assert!(
        import_with(&Tree::new(), text, &ImportOptions { strict: true, ..ImportOptions::default() }).is_err()
    );
}

#[test]
fn the_menu_of_all_interfaces_shows_them_and_passes_commands_on() {
    let mut tree = Tree::new();
    let mut told = |command: &str| run(&mut tree, command).map(|out| out.text).map_err(|e| e.to_string());
    told(
        "/interface bridge add name=br0 comment=lan\n/interface vlan add interface=ether2 vlan-id=7 name=v7",
    )
    .unwrap();
    assert_eq!(told("/interface print count-only").unwrap(), "4\n");
    assert_eq!(told("/interface get br0 type").unwrap(), "bridge\n");
    assert_eq!(told("/interface get [find name=v7] name").unwrap(), "v7\n");
    told("/interface disable br0,v7,ether5").unwrap();
    told("/interface set [find type=vlan] name=v8 mtu=1400").unwrap();
    assert_eq!(told("/interface vlan get v8 mtu").unwrap(), "1400\n");
    assert_eq!(told("/interface get v8 mtu").unwrap(), "1400\n");
    assert_eq!(told("/interface print count-only where disabled").unwrap(), "3\n");
    assert!(told("/interface get v7 mtu").is_err());
    told("/interface remove v8").unwrap();
    assert_eq!(told("/interface vlan print count-only").unwrap(), "0\n");
    assert_eq!(told("/interface print count-only").unwrap(), "4\n");
    let errors = told("/interface set br0 mtu=x").unwrap_err();
    assert!(errors.starts_with("invalid value for argument mtu"), "{errors}");
    let text = export(&tree, &ExportOptions::default());
    assert!(
        !text.contains("/interface\n") && text.contains("set [ find default-name=ether5 ] disabled=yes"),
        "{text}"
    );
    assert!(import(&Tree::new(), &text).unwrap().tree == tree);
}
