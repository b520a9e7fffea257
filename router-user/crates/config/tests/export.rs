//! Exports: the order of menus and items, what is chosen, how it is written.

use router_config::{ExportOptions, Tree, export, export_changed, import, run};

fn tree(script: &str) -> Tree {
    import(&Tree::new(), script).unwrap_or_else(|e| panic!("{e}")).tree
}

/// The export of a script without its first line.
fn exported(script: &str) -> String {
    let text = export(&tree(script), &ExportOptions::default());
    let (head, rest) = text.split_once('\n').unwrap();
    assert!(head.starts_with("# by routerd "), "{head}");
    rest.to_owned()
}

fn shown(script: &str, command: &str) -> String {
    let text = run(&mut tree(script), command).unwrap_or_else(|e| panic!("{command}: {e}")).text;
    text.split_once('\n').unwrap().1.to_owned()
}

#[test]
fn what_is_named_goes_before_what_names_it() {
    assert_eq!(
        exported(
            "/interface vlan add name=vlan10 interface=bond1 vlan-id=10\n\
             /interface bonding add name=bond1 slaves=vlan2,vlan3\n\
             /interface vlan add name=vlan2 interface=ether1 vlan-id=2\n\
             /interface vlan add name=vlan3 interface=ether2 vlan-id=3\n\
             /ip dhcp-server add name=d interface=ether3 address-pool=p\n\
             /ip pool add name=p ranges=192.0.2.10-192.0.2.99"
        ),
        "/interface vlan\n\
         add interface=ether1 name=vlan2 vlan-id=2\n\
         add interface=ether2 name=vlan3 vlan-id=3\n\
         /interface bonding\n\
         add name=bond1 slaves=vlan2,vlan3\n\
         /interface vlan\n\
         add interface=bond1 name=vlan10 vlan-id=10\n\
         /ip pool\n\
         add name=p ranges=192.0.2.10-192.0.2.99\n\
         /ip dhcp-server\n\
         add address-pool=p interface=ether3 name=d\n"
    );
}

#[test]
fn interfaces_stand_by_name_and_numbers_in_names_count() {
    assert_eq!(
        exported(
            "/interface bridge add name=b10\n/interface bridge add name=a\n/interface bridge add name=b9\n\
             /interface ethernet set [ find default-name=ether10 ] mtu=1600\n\
             /interface ethernet set [ find default-name=ether9 ] mtu=1600\n\
             /interface ethernet set [ find default-name=ether1 ] name=wan"
        ),
        "/interface bridge\nadd name=a\nadd name=b9\nadd name=b10\n/interface ethernet\n\
         set [ find default-name=ether9 ] mtu=1600\nset [ find default-name=ether10 ] mtu=1600\n\
         set [ find default-name=ether1 ] name=wan\n"
    );
}

#[test]
fn rules_keep_their_order_whatever_they_name() {
    let rules = "/ip firewall filter\nadd action=drop chain=forward in-interface=ether2\n\
                 add action=accept chain=input\nadd action=drop chain=forward in-interface=ether1\n";
    assert_eq!(exported(rules), rules);
}

#[test]
fn interfaces_that_name_each_other_in_a_ring_are_written_all_the_same() {
    let mut tree = tree(
        "/interface vlan add name=a interface=ether1 vlan-id=1\n/interface vlan add name=b interface=a vlan-id=2",
    );
    run(&mut tree, "/interface vlan set a interface=b").unwrap();
    let text = export(&tree, &ExportOptions::default());
    assert_eq!(text.matches("\nadd ").count(), 2, "{text}");
}

#[test]
fn paths_take_menus_in_and_leave_menus_out() {
    let script = "/ip firewall filter add chain=a action=drop\n/ip firewall nat add chain=b action=masquerade\n\
                  /ip address add address=192.0.2.1/24 interface=ether1\n/system identity set name=x";
    let filter = "/ip firewall filter\nadd action=drop chain=a\n";
    let nat = "/ip firewall nat\nadd action=masquerade chain=b\n";
    let address = "/ip address\nadd address=192.0.2.1/24 interface=ether1\n";
    assert_eq!(shown(script, "/export path=/ip/firewall,!/ip/firewall/nat"), filter);
    assert_eq!(shown(script, "/export path=/ip/firewall/nat,/ip/address"), format!("{address}{nat}"));
    assert_eq!(shown(script, "/export path=!/ip/firewall,!/system"), address);
    assert_eq!(shown(script, "/ip firewall export"), format!("{filter}{nat}"));
    assert_eq!(
        run(&mut tree(script), "/export path=/ip/nothing").unwrap_err().to_string(),
        "input does not match any value of path (line 1 column 14)\n    there is no menu /ip/nothing"
    );
}

#[test]
fn a_condition_chooses_items() {
    let script = "/ip firewall filter\nadd chain=input action=accept\nadd chain=input action=drop disabled=yes\nadd chain=forward action=drop";
    assert_eq!(
        shown(script, "/ip firewall filter export where chain=input"),
        "/ip firewall filter\nadd action=accept chain=input\nadd action=drop chain=input disabled=yes\n"
    );
    assert_eq!(
        shown(script, "/ip firewall filter export terse where disabled"),
        "/ip firewall filter add action=drop chain=input disabled=yes\n"
    );
    assert_eq!(shown(script, "/ip firewall filter export where chain=output"), "");
}

#[test]
fn verbose_tells_defaults_and_what_is_unset() {
    let text = shown("/ip firewall filter add chain=input action=drop", "/ip firewall filter export verbose");
    assert!(text.contains("disabled=no") && text.contains("!src-address"), "{text}");
    assert_eq!(exported(&text), "/ip firewall filter\nadd action=drop chain=input\n");
}

#[test]
fn the_same_configuration_gives_the_same_bytes() {
    let script =
        "/interface bridge add name=b\n/ip address add address=192.0.2.1/24 interface=b comment=\"a b\"";
    let text = exported(script);
    assert_eq!(exported(&text), text);
    assert_eq!(exported(script), text);
}

/// As a configuration is made persistent.
fn stored() -> ExportOptions {
    ExportOptions { sensitive: true, ..ExportOptions::default() }
}

#[test]
fn what_was_written_before_is_written_anew_after_a_change() {
    let mut tree = tree("/ip firewall filter\nadd chain=forward comment=one\nadd chain=input comment=two");
    let before = tree.clone();
    assert!(export(&tree, &stored()).contains("comment=two"));
    run(&mut tree, "/ip firewall filter set [find comment=two] comment=three").unwrap();
    let text = export(&tree, &stored());
    assert!(text.contains("comment=three") && !text.contains("comment=two"), "{text}");
    assert!(export(&before, &stored()).contains("comment=two"));
    // Without a clone that holds the item, it is changed in its place.
    drop(before);
    run(&mut tree, "/ip firewall filter set [find comment=three] comment=four").unwrap();
    assert!(export(&tree, &stored()).contains("comment=four"));
    run(&mut tree, "/ppp secret add name=a password=hidden").unwrap();
    assert!(export(&tree, &stored()).contains("hidden"));
    assert!(!export(&tree, &ExportOptions::default()).contains("hidden"));
}

#[test]
fn the_few_items_that_changed_are_told() {
    let before = tree("/ip firewall filter\nadd chain=forward comment=one\nadd chain=input comment=two");
    let mut after = before.clone();
    let changed = |after: &Tree, most| {
        export_changed(after, &before, &["ip/firewall/filter", "ip/firewall/nat"], most, &stored())
    };
    run(&mut after, "/ip firewall filter set [find comment=two] comment=three").unwrap();
    run(&mut after, "/ip firewall nat add chain=srcnat action=masquerade").unwrap();
    let text = changed(&after, 2).unwrap();
    assert!(text.contains("comment=three") && text.contains("masquerade"), "{text}");
    assert!(!text.contains("comment=one"), "{text}");
    assert_eq!(changed(&after, 1), None);
    run(&mut after, "/ip address add address=192.0.2.1/24 interface=ether1").unwrap();
    assert_eq!(changed(&after, 2), None, "another menu");
}
