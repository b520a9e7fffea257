//! Generic commands: how items are named, what each command changes, what it says.

use router_config::{ExportOptions, ImportOptions, Tree, attempt, export, import, import_with, run};

const LISTS: &str = "/interface list\nadd name=A\nadd name=B\nadd name=C\nadd name=D\n";

fn tree(script: &str) -> Tree {
    match import(&Tree::new(), script) {
        Ok(outcome) => outcome.tree,
        Err(errors) => panic!("{script}\n{errors}"),
    }
}

fn firewall() -> Tree {
    tree(
        "/ip firewall filter\nadd chain=input comment=one\nadd chain=input comment=two\n\
         add chain=input comment=three\nadd chain=input comment=four",
    )
}

fn comments(tree: &Tree) -> Vec<String> {
    tree.items("ip/firewall/filter").map(|item| item.comment().unwrap_or_default()).collect()
}

fn disabled(tree: &Tree) -> Vec<usize> {
    let rules = tree.items("ip/firewall/filter").enumerate();
    rules.filter(|(_, item)| item.is_disabled()).map(|(n, _)| n).collect()
}

#[test]
fn items_are_named_in_every_way() {
    for (way, expected) in [
        ("0", vec![0]),
        ("0,2", vec![0, 2]),
        ("1-3", vec![1, 2, 3]),
        ("0,2-3", vec![0, 2, 3]),
        ("numbers=1", vec![1]),
        ("numbers=1,3", vec![1, 3]),
        ("*2", vec![1]),
        ("*1,*3", vec![0, 2]),
        ("[find]", vec![0, 1, 2, 3]),
        ("[find comment=two]", vec![1]),
        ("[find where comment=two or comment=four]", vec![1, 3]),
        ("numbers=[find comment=three]", vec![2]),
        ("[find comment=nobody]", vec![]),
    ] {
        let mut t = firewall();
        let command = format!("/ip firewall filter disable {way}");
        run(&mut t, &command).unwrap_or_else(|e| panic!("{command}: {e}"));
        assert_eq!(disabled(&t), expected, "{command}");
        run(&mut t, &format!("/ip firewall filter enable {way}")).unwrap();
        assert_eq!(disabled(&t), Vec::<usize>::new(), "{command}");
        run(&mut t, &format!("/ip firewall filter set {way} disabled=yes")).unwrap();
        assert_eq!(disabled(&t), expected, "{command}");
    }
    let mut t = tree(LISTS);
    run(&mut t, "/interface list { set B comment=x; remove C,D }").unwrap();
    assert!(export(&t, &ExportOptions::default()).contains("add comment=x name=B\n"));
    assert!(!export(&t, &ExportOptions::default()).contains("name=C"));
}

#[test]
fn numbers_are_those_of_the_last_print() {
    let mut t = firewall();
    run(&mut t, "/ip firewall filter { print; remove 0; remove 1 }").unwrap();
    assert_eq!(comments(&t), ["three", "four"]);
    let mut t = firewall();
    run(&mut t, "/ip firewall filter { remove 0; remove 1 }").unwrap();
    assert_eq!(comments(&t), ["two", "four"]);
    assert!(run(&mut firewall(), "/ip firewall filter { print; remove 0; remove 0 }").is_err());
}

#[test]
fn items_are_added_and_moved_where_they_are_wanted() {
    for (command, expected) in [
        ("add chain=input comment=new place-before=0", ["new", "one", "two", "three", "four"]),
        (
            "add chain=input comment=new place-before=[find comment=three]",
            ["one", "two", "new", "three", "four"],
        ),
        ("add chain=input comment=new place-before=*4", ["one", "two", "three", "new", "four"]),
        ("add chain=input comment=new", ["one", "two", "three", "four", "new"]),
        ("add copy-from=1 comment=new", ["one", "two", "three", "four", "new"]),
    ] {
        let mut t = firewall();
        run(&mut t, &format!("/ip firewall filter {command}")).unwrap_or_else(|e| panic!("{command}: {e}"));
        assert_eq!(comments(&t), expected, "{command}");
    }
    for (command, expected) in [
        ("move 3 0", ["four", "one", "two", "three"]),
        ("move 3 destination=0", ["four", "one", "two", "three"]),
        ("move 0", ["two", "three", "four", "one"]),
        ("move 2,0 3", ["two", "three", "one", "four"]),
        ("move [find comment=four] 1", ["one", "four", "two", "three"]),
        ("move numbers=0 destination=*3", ["two", "one", "three", "four"]),
    ] {
        let mut t = firewall();
        run(&mut t, &format!("/ip firewall filter {command}")).unwrap_or_else(|e| panic!("{command}: {e}"));
        assert_eq!(comments(&t), expected, "{command}");
    }
}

#[test]
fn properties_are_set_unset_and_read() {
    let mut t = tree("/ip firewall filter add chain=input src-address=192.0.2.0/24 comment=x protocol=tcp");
    let get = |t: &mut Tree, what: &str| run(t, &format!("/ip firewall filter get 0 {what}")).unwrap().text;
    assert_eq!(get(&mut t, "src-address"), "192.0.2.0/24\n");
    assert_eq!(get(&mut t, "value-name=protocol"), "tcp\n");
    assert_eq!(get(&mut t, "src-mac-address"), "\n");
    assert!(get(&mut t, "").contains("chain=input;"));
    for command in ["unset 0 src-address", "set 0 !protocol", "unset 0 value-name=comment"] {
        assert!(run(&mut t, &format!("/ip firewall filter {command}")).unwrap().changed, "{command}");
    }
    let text = export(&t, &ExportOptions::default());
    assert!(text.ends_with("/ip firewall filter\nadd action=accept chain=input\n"), "{text}");
    run(&mut t, "/ip firewall filter comment 0 \"two words\"").unwrap();
    assert_eq!(get(&mut t, "comment"), "two words\n");
    run(&mut t, "/ip firewall filter comment [find] comment=one").unwrap();
    assert_eq!(get(&mut t, "comment"), "one\n");
    run(&mut t, "/system identity set name=edge").unwrap();
    assert_eq!(run(&mut t, "/system identity get name").unwrap().text, "edge\n");
}

#[test]
fn commands_say_what_they_miss() {
    for (command, message) in [
        ("/ip firewall filter set disabled=yes", "missing value(s) of argument(s) numbers"),
        ("/ip firewall filter remove", "missing value(s) of argument(s) numbers"),
        ("/ip firewall filter unset 0", "missing value(s) of argument(s) value-name"),
        ("/ip firewall filter comment 0", "missing value(s) of argument(s) comment"),
        ("/ip firewall filter remove 9", "no such item"),
        ("/ip firewall filter remove *77", "no such item"),
        ("/ip firewall filter add chain=input place-before=9", "no such item"),
        ("/interface list set NOWHERE comment=x", "no such item"),
        ("/interface list remove all", "failure: can not remove default item"),
        ("/ip address add address=192.0.2.1/24", "missing value(s) of argument(s) interface"),
        ("/ip address add", "missing value(s) of argument(s) address interface"),
        ("/interface list add name=LAN place-before=0", "expected end of command"),
        ("/ip address edit 0 address", "edit needs a terminal"),
    ] {
        let errors = run(&mut firewall(), command).err().unwrap_or_else(|| panic!("taken: {command}"));
        let first = errors.0.first().map(|e| e.message.as_str());
        assert_eq!(first, Some(message), "{command}");
    }
}

#[test]
fn an_import_that_stops_keeps_what_was_done_before() {
    let script = "/interface list\nadd name=A\nadd name=B\nadd comment=x name=A\nadd name=C\n";
    let stop = ImportOptions { stop: true, ..ImportOptions::default() };
    let taken = attempt(&Tree::new(), script, &stop);
    let names: Vec<_> = taken
        .tree
        .items("interface/list")
        .filter(|i| !i.is_builtin())
        .filter_map(|i| i.text("name"))
        .collect();
    assert_eq!(names, ["A", "B"]);
    assert_eq!(taken.errors.iter().map(|e| e.line).collect::<Vec<_>>(), [4]);
    // A file that can't be read does nothing at all.
    let taken = attempt(&Tree::new(), "/interface list add name=A\n/ip address {", &stop);
    assert!(taken.tree == Tree::new() && taken.errors.len() == 1);
}

#[test]
fn strict_refuses_what_routeros_7_refuses() {
    let strict = ImportOptions { strict: true, ..ImportOptions::default() };
    let early = "/interface list member add interface=ether1 list=LAN\n/interface list add name=LAN";
    assert!(import(&Tree::new(), early).is_ok());
    let errors = import_with(&Tree::new(), early, &strict).unwrap_err();
    assert_eq!(errors.0[0].message, "input does not match any value of list");
    let good = "/interface list add name=LAN\n/interface list member add interface=ether1 list=LAN";
    assert!(import_with(&Tree::new(), good, &strict).is_ok());
}

#[test]
fn an_import_may_begin_at_a_line() {
    let script = "/interface list add name=A\n/interface list add name=B\n/interface list add nam";
    let from = ImportOptions { from_line: 2, ..ImportOptions::default() };
    let taken = attempt(&Tree::new(), script, &from);
    assert_eq!(taken.tree.items("interface/list").filter(|i| !i.is_builtin()).count(), 1);
    assert_eq!(taken.errors.first().map(|e| e.line), Some(3));
}

#[test]
fn what_a_file_says_twice_is_one_item_and_a_command_says_it_once() {
    let line = "/ip address add address=192.0.2.1/24 interface=ether1\n";
    let outcome = import(&Tree::new(), &line.repeat(2)).unwrap();
    assert_eq!(outcome.tree.items("ip/address").count(), 1);
    assert_eq!(outcome.notes.iter().filter(|note| note.reason.contains("identical")).count(), 1);
    let mut tree = outcome.tree;
    let message = run(&mut tree, line).unwrap_err().0[0].message.clone();
    assert_eq!(message, "failure: already have such address");
}

#[test]
fn the_first_user_is_disabled_where_a_file_removes_it() {
    let tree = tree("/user add name=jo group=full password=geheim\n/user remove admin");
    let admin = tree.items("user").find(|user| user.text("name").as_deref() == Some("admin")).unwrap();
    assert!(admin.is_disabled());
}

#[test]
fn what_is_refused_in_the_end_is_not_there() {
    let script = "/ip address add address=192.0.2.1/24 interface=nowhere\n/ip route add gateway=192.0.2.9\n";
    let taken = attempt(&Tree::new(), script, &ImportOptions::default());
    assert_eq!(taken.errors.len(), 1);
    assert_eq!((taken.tree.items("ip/address").count(), taken.tree.items("ip/route").count()), (0, 1));
}

#[test]
fn a_group_with_users_stays() {
    let mut tree = Tree::new();
    for line in ["/user group add name=guests policy=read", "/user add name=eve group=guests password=x"] {
        run(&mut tree, line).unwrap();
    }
    let error = run(&mut tree, "/user group remove guests").unwrap_err();
    assert!(error.to_string().starts_with("failure: group has some users"), "{error}");
    run(&mut tree, "/user remove eve").unwrap();
    run(&mut tree, "/user group remove guests").unwrap();
}

#[test]
fn a_rule_about_a_port_of_a_bridge_is_taken_with_a_note() {
    let mut tree = Tree::new();
    for line in ["/interface bridge add name=lan", "/interface bridge port add bridge=lan interface=ether2"] {
        run(&mut tree, line).unwrap();
    }
    let mut notes = |line: &str| {
        let output =
            run(&mut tree, &format!("/ip firewall filter add chain=input action=drop {line}")).unwrap();
        output
            .notes
            .iter()
            .filter(|note| note.reason.contains("(ether2) is slave - use master instead (lan)"))
            .count()
    };
    assert_eq!((notes("in-interface=ether2"), notes("in-interface=!ether2")), (1, 1));
    assert_eq!((notes("in-interface=lan"), notes("in-interface=ether1")), (0, 0));
}
