//! What `check` tells about a file.

use std::collections::HashMap;

use router_config::{NeedKind, Verdict, check, html};

const FILE: &str = "/ip address\nadd address=192.0.2.1/24 interface=ether1\n\
                    /ppp secret\nadd name=jo password=geheim\n\
                    /ip address\nadd address=192.0.2.300/24 interface=ether1\n\
                    /ip adress\n";

#[test]
fn every_line_has_a_verdict_and_every_menu_a_sum() {
    let report = check([("office.rsc", FILE.as_bytes())]);
    let file = &report.files[0];
    let lines: Vec<_> = file.lines.iter().map(|l| (l.line, l.menu.as_str(), l.verdict)).collect();
    assert_eq!(
        lines,
        [
            (2, "/ip/address", Verdict::Enforced),
            (4, "/ppp/secret", Verdict::Kept),
            (6, "/ip/address", Verdict::Error),
            (7, "", Verdict::Error),
        ]
    );
    let menu = file.menus.iter().find(|menu| menu.menu == "/ip/address").unwrap();
    assert_eq!((menu.enforced, menu.kept, menu.errors), (1, 0, 1));
    assert_eq!((file.score, file.statements), (25, 4));
    assert_eq!(file.needs.len(), 1);
    assert_eq!(
        (file.needs[0].kind, file.needs[0].menus.as_slice()),
        (NeedKind::Software, &["/ppp/secret".to_owned()][..])
    );
}

#[test]
fn the_page_shows_every_line_and_no_secret() {
    let report = check([("<office>.rsc", FILE.as_bytes())]);
    let texts = HashMap::from([("<office>.rsc".to_owned(), FILE.to_owned())]);
    let page = html(&report, &texts);
    assert!(page.contains("add address=192.0.2.1/24 interface=ether1"));
    assert!(page.contains("password=***") && !page.contains("geheim"));
    assert!(page.contains("&lt;office&gt;.rsc") && !page.contains("<office>"));
    assert!(!page.contains("http"), "nothing comes from elsewhere");
    assert_eq!(page.matches("<tr class=\"bad\">").count(), 2);
}

#[test]
fn an_empty_file_is_perfect() {
    let report = check([("a.rsc", b"".as_slice())]);
    assert_eq!((report.files[0].score, report.totals.statements), (100, 0));
}
