//! `print` in its forms.

use router_config::{Item, Row, Rows, Tree, run, run_with};

struct Live;

impl Rows for Live {
    fn rows(&self, menu: &str) -> Vec<Row> {
        if menu != "ip/address" {
            return Vec::new();
        }
        let value = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        vec![Row {
            id: None,
            flags: "D".into(),
            values: vec![value("address", "198.51.100.7/24"), value("interface", "ether9")],
        }]
    }

    fn flags(&self, item: &Item) -> String {
        if item.menu().path == "interface/ethernet" { "R".into() } else { String::new() }
    }
}

fn tree() -> Tree {
    let mut tree = Tree::new();
    for command in [
        "/ip address add address=192.0.2.1/24 interface=ether1 comment=\"the way out\"",
        "/ip address add address=203.0.113.10/29 interface=ether2 disabled=yes",
        "/ip firewall filter add chain=input action=drop src-address=!192.0.2.0/24 comment=x",
    ] {
        run(&mut tree, command).unwrap();
    }
    tree
}

fn shown(command: &str) -> String {
    let mut tree = tree();
    let output = run_with(&mut tree, command, &Live).unwrap_or_else(|e| panic!("{command}: {e}"));
    assert!(!output.changed);
    output.text
}

#[test]
fn a_table_has_flags_columns_comments_and_dynamic_rows() {
    assert_eq!(
        shown("/ip address print"),
        "Flags: X - DISABLED, D - DYNAMIC\n\
         Columns: ADDRESS, NETWORK, INTERFACE\n\
         #   ADDRESS          NETWORK       INTERFACE\n\
         ;;; the way out\n\
         0   192.0.2.1/24     192.0.2.0     ether1\n\
         1 X 203.0.113.10/29  203.0.113.8   ether2\n\
         2 D 198.51.100.7/24  198.51.100.0  ether9\n"
    );
}

#[test]
fn conditions_origin_and_counts_choose_rows() {
    assert_eq!(shown("/ip address print count-only"), "3\n");
    assert_eq!(shown("/ip address print count-only where disabled"), "1\n");
    assert_eq!(shown("/ip address print count-only where interface=ether9 or interface=ether1"), "2\n");
    assert_eq!(shown("/ip address print count-only dynamic"), "1\n");
    assert_eq!(shown("/ip address print count-only where comment~\"^the\""), "1\n");
}

#[test]
fn detail_terse_and_settings() {
    assert_eq!(
        shown("/ip firewall filter print"),
        "Flags: X - disabled, I - invalid; D - dynamic\n \
         0    ;;; x\n      chain=input action=drop src-address=!192.0.2.0/24 log=no\n\n"
    );
    assert_eq!(
        shown("/ip address print terse where interface=ether1"),
        "0 comment=the way out address=192.0.2.1/24 network=192.0.2.0 interface=ether1\n"
    );
    assert_eq!(shown("/system identity print"), "  name: MikroTik\n");
    assert!(
        shown("/interface ethernet print").starts_with("Flags: R - RUNNING\nColumns: NAME, MTU, ARP\n# ")
    );
}

#[test]
fn nothing_secret_is_printed_and_unknown_words_are_errors() {
    let mut tree = Tree::new();
    run(&mut tree, "/ppp secret add name=x password=hidden").unwrap();
    for form in ["detail", "terse", ""] {
        let text = run(&mut tree, &format!("/ppp secret print {form}")).unwrap().text;
        assert!(text.contains('x') && !text.contains("hidden"), "{text}");
    }
    assert_eq!(
        run(&mut tree, "/ip address print sideways").unwrap_err().to_string(),
        "expected end of command (line 1 column 19)"
    );
    assert!(run(&mut tree, "/ip address print where adress=1").is_err());
}

#[test]
fn columns_of_flags_hold_those_that_exclude_each_other() {
    struct Links;
    impl Rows for Links {
        fn rows(&self, _menu: &str) -> Vec<Row> {
            Vec::new()
        }

        fn flags(&self, item: &Item) -> String {
            match item.text("name").as_deref() {
                Some("b1") => "R".into(),
                Some("b2") => "RS".into(),
                _ => String::new(),
            }
        }

        fn values(&self, item: &Item) -> Vec<(String, String)> {
            vec![("actual-mtu".into(), if item.is_disabled() { "9000" } else { "1500" }.into())]
        }
    }
    let mut tree = Tree::new();
    for command in ["add name=b1", "add name=b2", "add name=b3 disabled=yes"] {
        run(&mut tree, &format!("/interface bridge {command}")).unwrap();
    }
    let mut shown = |words: &str| {
        run_with(&mut tree, &format!("/interface bridge print {words}"), &Links)
            .unwrap_or_else(|e| panic!("{words}: {e}"))
            .text
    };
    assert_eq!(
        shown("proplist=name,actual-mtu"),
        "Flags: X - DISABLED, R - RUNNING; S - SLAVE\n\
         Columns: NAME, ACTUAL-MTU\n\
         #    NAME  ACTUAL-MTU\n\
         0 R  b1          1500\n\
         1 RS b2          1500\n\
         2 X  b3          9000\n"
    );
    assert_eq!(shown("terse proplist=name"), "0 R   name=b1\n1 R S name=b2\n2 X   name=b3\n");
    let detail = shown("detail proplist=name,actual-mtu where disabled");
    assert!(detail.contains(", R - running"), "{detail}");
    assert!(detail.ends_with(" 0 X  name=\"b3\" actual-mtu=9000\n\n"), "{detail}");
    assert_eq!(shown("from=b2 terse proplist=name"), "0 R S name=b2\n");
    assert_eq!(shown("count-only where name~\"b\""), "3\n");
    assert_eq!(
        shown("value-list proplist=name,actual-mtu"),
        "        name: b1   b2   b3\n  actual-mtu: 1500 1500 9000\n"
    );
    assert_eq!(shown("as-value proplist=name where name=b2"), ".id=*2;name=b2\n");
    assert_eq!(shown("where name=none"), "");
}

#[test]
fn programs_get_rows_as_data() {
    let mut tree = tree();
    let rows = run_with(&mut tree, "/ip address print where interface=ether2", &Live).unwrap().rows.unwrap();
    let row = rows.get(0).unwrap();
    assert_eq!(row["address"], "203.0.113.10/29");
    assert_eq!(row["disabled"], true);
    assert_eq!(row["dynamic"], false);
    assert_eq!(row[".id"], "*2");
    let rows = run_with(&mut tree, "/ip address print dynamic", &Live).unwrap().rows.unwrap();
    assert_eq!((rows.as_array().map(Vec::len), &rows[0]["dynamic"]), (Some(1), &true.into()));
    let count = run_with(&mut tree, "/ip address print count-only", &Live).unwrap().rows;
    assert_eq!(count, Some(3.into()));
    let record = run(&mut tree, "/system identity print").unwrap().rows.unwrap();
    assert_eq!(record["name"], "MikroTik");
}

#[test]
fn follow_and_interval_tell_when_to_look_again() {
    let mut tree = tree();
    let mut again = |words: &str| run(&mut tree, &format!("/ip address print {words}")).map(|o| o.again_ms);
    assert_eq!(again(""), Ok(None));
    assert_eq!(again("follow"), Ok(Some(1000)));
    assert_eq!(again("interval=5s"), Ok(Some(5000)));
    assert_eq!(again("interval=1ms"), Ok(Some(200)));
    assert!(again("interval=soon").is_err());
}

/// Flags are those of the moment, in `print where`, `find` and `get` alike.
#[test]
fn conditions_ask_for_flags_of_the_moment() {
    let mut tree = tree();
    run(&mut tree, "/interface bridge add name=b1").unwrap();
    let mut shown = |line: &str| run_with(&mut tree, line, &Live).unwrap().text.trim().to_owned();
    for (line, wanted) in [
        ("/interface ethernet print count-only where running", "2"),
        ("/interface ethernet print count-only where !running", "0"),
        ("/interface bridge print count-only where running", "0"),
        ("/interface ethernet find where running and name=ether2", "*2"),
        (":put [:len [/interface ethernet find where running=yes]]", "2"),
        (":put [:len [/interface ethernet find where (running && [:len $name] = 6)]]", "2"),
        (":put [/interface ethernet get ether1 running]", "true"),
        ("/ip address print count-only where dynamic", "1"),
        ("/ip address print count-only where static", "2"),
    ] {
        assert_eq!(shown(line), wanted, "{line}");
    }
}

#[test]
fn order_by_sorts_by_value_and_numbers_are_those_shown() {
    let mut tree = Tree::new();
    for (number, name) in [(30, "c"), (4, "a"), (100, "b")] {
        run(&mut tree, &format!("/interface vlan add name={name} vlan-id={number} interface=ether1"))
            .unwrap();
    }
    let mut shown = |words: &str| run(&mut tree, &format!("/interface vlan {words}")).unwrap().text;
    assert_eq!(shown("print terse proplist=name order-by=vlan-id"), "0 name=a\n1 name=c\n2 name=b\n");
    assert_eq!(shown("print terse proplist=name order-by=!name"), "0 name=c\n1 name=b\n2 name=a\n");
    assert_eq!(shown("print terse proplist=name where vlan-id>20"), "0 name=c\n1 name=b\n");
    // What stands behind a number is what was shown beside it.
    run(&mut tree, "/interface vlan { print where vlan-id>20; set 1 comment=second }").unwrap();
    let text =
        run(&mut tree, "/interface vlan print count-only where name=b and comment=second").unwrap().text;
    assert_eq!(text, "1\n");
    assert!(run(&mut tree, "/interface vlan print order-by=nothing").is_err());
}

struct Routes;

impl Rows for Routes {
    fn rows(&self, menu: &str) -> Vec<Row> {
        let value = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        match menu {
            "ip/route" => vec![Row {
                id: None,
                flags: "DAc".into(),
                values: vec![value("dst-address", "192.0.2.0/24"), value("gateway", "ether1")],
            }],
            "log" => vec![Row {
                id: None,
                flags: String::new(),
                values: vec![
                    value("time", "10:00:00"),
                    value("topics", "script,info"),
                    value("message", "a b"),
                ],
            }],
            _ => Vec::new(),
        }
    }

    fn flags(&self, item: &Item) -> String {
        if item.menu().path == "ip/route" { "As".into() } else { String::new() }
    }

    fn values(&self, item: &Item) -> Vec<(String, String)> {
        if item.menu().path != "system/resource" {
            return Vec::new();
        }
        vec![("uptime".into(), "1h2m3s".into()), ("free-memory".into(), "42154393".into())]
    }

    fn width(&self) -> Option<usize> {
        Some(40)
    }
}

#[test]
fn routes_of_others_and_the_log_have_no_numbers() {
    let mut tree = Tree::new();
    run(&mut tree, "/ip route add gateway=192.0.2.1").unwrap();
    let mut shown = |line: &str| run_with(&mut tree, line, &Routes).unwrap().text;
    let table = shown("/ip route print");
    assert!(table.contains("\n0  As 0.0.0.0/0"), "{table}");
    assert!(table.contains("\n  DAc 192.0.2.0/24"), "{table}");
    assert!(shown("/ip route print terse where dynamic").starts_with("DAc dst-address=192.0.2.0/24 "));
    assert_eq!(shown("/log print"), " 10:00:00 script,info a b\n");
    let detail = shown("/ip route print detail");
    assert!(detail.lines().skip(1).all(|line| line.len() <= 40) && detail.lines().count() > 5, "{detail}");
}

/// What is known at the moment is the same for `print`, `get` and conditions; units are for the reader.
#[test]
fn values_of_the_moment() {
    let mut tree = Tree::new();
    let mut shown = |line: &str| run_with(&mut tree, line, &Routes).unwrap().text.trim().to_owned();
    assert_eq!(shown("/system resource print"), "uptime: 1h2m3s\n  free-memory: 40.2MiB");
    assert_eq!(shown(":put [/system resource get uptime]"), "01:02:03");
    assert_eq!(shown(":put ([/system resource get free-memory] / 1024)"), "41166");
    assert_eq!(shown(":put ([/system resource print as-value]->\"free-memory\")"), "42154393");
    assert_eq!(shown(":put [/ip route get [find where dst-address=192.0.2.0/24] gateway]"), "ether1");
    assert_eq!(shown(":put [:len [/ip route find where connect]]"), "1");
    assert!(run_with(&mut tree, "/ip route remove [find where dynamic]", &Routes).is_err());
}

/// A line of a session of its own: what `print` would show says what numbers mean.
#[test]
fn numbers_without_a_print_are_those_that_it_would_show() {
    struct Connections;
    impl Rows for Connections {
        fn rows(&self, menu: &str) -> Vec<Row> {
            let row = |id| Row { id: Some(id), flags: "C".to_owned(), values: Vec::new() };
            if menu == "ip/firewall/connection" { vec![row(7), row(9)] } else { Vec::new() }
        }
    }
    let mut tree = Tree::new();
    let mut ended = |line: &str| {
        let acts = run_with(&mut tree, line, &Connections).unwrap().acts;
        acts.iter().flat_map(|act| act.rows.iter().map(|row| row.id.unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(ended("/ip firewall connection remove 1"), [9]);
    assert_eq!(ended("/ip firewall connection remove 0,1"), [7, 9]);
    assert_eq!(ended("/ip firewall connection { print where assured; remove [find] }"), [7, 9]);
    for gone in ["remove 2", "{ print where assured; remove 0 }"] {
        assert!(
            run_with(&mut tree, &format!("/ip firewall connection {gone}"), &Connections).is_err(),
            "{gone}"
        );
    }
}

/// The rule that counts for fasttracked connections stands before all others, and stays there.
#[test]
fn nothing_is_put_before_a_rule_of_the_router() {
    struct Fasttrack;
    impl Rows for Fasttrack {
        fn rows(&self, menu: &str) -> Vec<Row> {
            let values = vec![("chain".to_owned(), "forward".to_owned())];
            let row = Row { id: None, flags: "D".to_owned(), values };
            if menu == "ip/firewall/filter" { vec![row] } else { Vec::new() }
        }
    }
    let mut tree = tree();
    for line in ["move 1 0", "move 1 destination=0", "add chain=input place-before=0"] {
        let line = format!("/ip firewall filter {{ print; {line} }}");
        let error = run_with(&mut tree, &line, &Fasttrack).unwrap_err().to_string();
        assert!(error.contains("failure: cannot move builtin"), "{line}: {error}");
    }
    // Who has seen no numbers counts what is configured.
    for line in ["add chain=input comment=first place-before=0", "move 1 0", "set 0 comment=now"] {
        run_with(&mut tree, &format!("/ip firewall filter {line}"), &Fasttrack).unwrap();
    }
    let first = run_with(&mut tree, "/ip firewall filter get 0 comment", &Fasttrack).unwrap();
    assert_eq!(first.text, "now\n");
}
