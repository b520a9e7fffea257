//! Bad input: a clear error, and nothing changed.

use std::{fs, process::Output};

use lab::{Netns, routerctl};

use router_tests::support::{BASE, Router};

fn run(netns: &Netns, file: &std::path::Path) -> Output {
    let mut routerd = netns.command(lab::daemon::binary("routerd").unwrap());
    routerd.args(["run", "--config"]).arg(file).output().unwrap()
}

/// A router in a namespace without ports refuses the file at start and leaves nothing.
#[track_caller]
fn assert_refused(label: &str, content: Option<&[u8]>, said: &str) {
    if !lab::is_root() {
        lab::skip!("needs root");
    }
    let lab = lab::Lab::new(label).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.rsc");
    if let Some(content) = content {
        fs::write(&file, content).unwrap();
    }
    let out = run(&lab.router, &file);
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(!out.status.success(), "{text}");
    assert!(text.contains(said), "{text}");
    assert!(!text.contains("panicked"), "{text}");
    assert_eq!(lab.router.read_sysctl("net.ipv4.ip_forward").unwrap(), "0");
}

#[test]
fn a_file_that_is_not_there() {
    assert_refused("nofile", None, "bad.rsc");
}

#[test]
fn a_file_that_is_not_utf8() {
    assert_refused("utf8", Some(b"/ip address\nadd address=\xff\xfe interface=ether1\n"), "line 2");
}

#[test]
fn an_unknown_menu() {
    assert_refused("menu", Some(b"/ip frewall\n"), "frewall");
}

#[test]
fn ten_megabytes_of_garbage() {
    let garbage: Vec<u8> = (0..10_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    assert_refused("garbage", Some(&garbage), "line 1");
}

#[test]
fn a_bad_file_changes_nothing_on_a_running_router() {
    let router = Router::start("badload", "xdp", "");
    let before = router.ctl(&["export"]);
    let addresses = router.netns().ip("-br addr").unwrap();
    for bad in [
        format!("{BASE}/ip address\nadd address=203.0.113.1/33 interface=ether1\n"),
        format!("{BASE}/ip addres\nadd addres=203.0.113.1/24 interface=ether1 nonsense=1\n"),
        format!("{BASE}/ip address\nadd address=192.0.2.1/24 comment=again interface=ether1\n"),
    ] {
        router.write(&bad);
        for verb in [&["reload"][..], &["apply", router.file().to_str().unwrap()][..]] {
            let out = routerctl(router.netns(), verb).unwrap();
            let said = String::from_utf8_lossy(&out.stderr);
            assert!(!out.status.success(), "{verb:?} took {bad}");
            assert!(said.contains(":8:") || said.contains(":9:"), "{verb:?}: {said}");
        }
        assert_eq!(router.ctl(&["export"]), before);
        assert_eq!(router.netns().ip("-br addr").unwrap(), addresses);
    }
    router.assert_reachable();
}
