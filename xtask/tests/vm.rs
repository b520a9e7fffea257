//! `cargo xtask vm` as its users see it.

use std::{
    fs,
    process::{Command, Output},
};

fn vm(arguments: &[&str]) -> Output {
    if !std::path::Path::new("/usr/bin/qemu-system-x86_64").exists() {
        lab::skip!("qemu-system-x86_64 is not installed (cargo xtask setup)");
    }
    Command::new(env!("CARGO_BIN_EXE_xtask")).arg("vm").args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_command_is_root_under_another_kernel_and_its_result_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let shared = folder.path().to_str().unwrap();
    let script = format!(
        "id -u; uname -r; echo \"$WORD\"; echo aside >&2; echo kept >{shared}/new; echo lost >/etc/routerd-vm-test; \
         ip -br link show ether2; exit 7"
    );
    let arguments = ["--rw", shared, "--env", "WORD=two words", "--nic", "virtio", "--nic", "virtio"];
    let out = vm(&[&arguments[..], &["--", "sh", "-c", &script]].concat());
    let (said, errors) = (text(&out.stdout), text(&out.stderr));
    assert_eq!(out.status.code(), Some(7), "{said}{errors}");
    let lines: Vec<_> = said.lines().collect();
    assert!(lines[0] == "0" && lines[1].starts_with("6.1.") && lines[2] == "two words", "{said}");
    assert!(lines[3].starts_with("ether2") && lines[3].contains("52:54:00:72:64:02"), "{said}");
    assert!(errors.contains("aside"), "{errors}");
    assert_eq!(fs::read_to_string(folder.path().join("new")).unwrap(), "kept\n");
    assert!(!fs::exists("/etc/routerd-vm-test").unwrap());
}

#[test]
fn a_guest_that_takes_too_long_is_stopped() {
    let out = vm(&["--timeout", "1", "--", "sleep", "60"]);
    assert_eq!(out.status.code(), Some(124), "{}", text(&out.stderr));
}

#[test]
fn a_guest_that_dies_shows_its_console() {
    let out = vm(&["--", "sh", "-c", "echo c >/proc/sysrq-trigger"]);
    assert_eq!(out.status.code(), Some(125), "{}", text(&out.stderr));
    assert!(text(&out.stderr).contains("sysrq triggered crash"), "{}", text(&out.stderr));
}
