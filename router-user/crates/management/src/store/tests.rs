use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;

fn commit(origin: &str) -> Commit {
    Commit { origin: origin.into(), ..Commit::default() }
}

#[test]
fn the_last_commit_is_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    assert!(store.current().is_none());
    assert_eq!(store.commit(commit("first"), "a\n".into()).unwrap(), 1);
    assert_eq!(store.commit(commit("second"), "b\n".into()).unwrap(), 2);

    let store = Store::open(dir.path()).unwrap();
    let current = store.current().unwrap();
    assert_eq!((current.meta.version, current.text.as_str()), (2, "b\n"));
    assert_eq!(store.previous().unwrap().unwrap().text, "a\n");
    let origins: Vec<String> = store.history().unwrap().into_iter().map(|m| m.origin).collect();
    assert_eq!(origins, ["second", "first"]);
}

#[test]
fn files_are_for_root_alone() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let mut store = Store::open(&state).unwrap();
    store.commit(commit("x"), "secret".into()).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state), 0o700);
    assert_eq!(mode(&state.join(CURRENT)), 0o600);
    assert_eq!(mode(&state.join("versions/1.rsc")), 0o600);
}

#[test]
fn the_last_twenty_versions_stay_and_the_target_of_a_trial() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    store.commit(commit("base"), "0".into()).unwrap();
    for n in 0..25 {
        let pending = Some(Pending::after_seconds(1, 600));
        store.commit(Commit { pending, ..commit("trial") }, n.to_string()).unwrap();
    }
    let numbers: Vec<u32> = store.history().unwrap().iter().map(|m| m.version).collect();
    assert_eq!(numbers.len(), KEEP + 1);
    assert_eq!(numbers.first(), Some(&26));
    assert_eq!(numbers.last(), Some(&1));
    assert!(matches!(store.version(2), Err(Error::NoVersion(2))));
}

/// Cuts the power at every step of a commit in turn: the old text or the new one is there, whole, and usable.
#[test]
fn a_power_cut_leaves_the_old_or_the_new() {
    let (mut old_seen, mut new_seen) = (0, 0);
    for cut in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path()).unwrap();
        store.commit(commit("old"), "old text\n".into()).unwrap();
        store.crash_after.set(Some(cut));
        let finished =
            catch_unwind(AssertUnwindSafe(|| store.commit(commit("new"), "new text\n".into()))).is_ok();
        drop(store);

        let mut store = Store::open(dir.path()).unwrap();
        let current = store.current().unwrap().clone();
        match current.meta.origin.as_str() {
            "old" => assert_eq!(current.text, "old text\n"),
            _ => assert_eq!(current.text, "new text\n"),
        }
        old_seen += usize::from(current.meta.origin == "old");
        new_seen += usize::from(current.meta.origin == "new");
        assert_eq!(store.history().unwrap().first(), Some(&current.meta), "cut {cut}");
        let next = store.commit(commit("next"), "next\n".into()).unwrap();
        assert_eq!(next, current.meta.version + 1);
        if finished {
            assert_eq!(current.meta.origin, "new");
            break;
        }
    }
    assert!(old_seen >= 6 && new_seen >= 1, "{old_seen} {new_seen}");
}

#[test]
fn confirming_ends_the_trial_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    store.commit(commit("base"), "a".into()).unwrap();
    let pending = Some(Pending::after_seconds(1, 60));
    store.commit(Commit { pending: pending.clone(), ..commit("trial") }, "b".into()).unwrap();
    let left =
        Store::open(dir.path()).unwrap().current().unwrap().meta.pending.clone().unwrap().deadline.left_ms();
    assert!((50_000..=60_000).contains(&left), "{left}");
    assert_eq!(store.confirm().unwrap(), 2);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.current().unwrap().meta.pending, None);
    assert_eq!(store.current().unwrap().text, "b");
    assert_eq!(store.version(2).unwrap().meta.pending, None);
}

#[test]
fn a_trial_does_not_survive_a_reboot() {
    let mut pending = Pending::after_seconds(1, 600);
    assert!(pending.deadline.left_ms() > 0);
    pending.deadline.boot_id = "another boot".into();
    assert_eq!(pending.deadline.left_ms(), 0);
}

#[test]
fn a_file_written_by_hand_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(CURRENT), "/ip address\nadd address=192.0.2.1/24 interface=ether1\n").unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let current = store.current().unwrap();
    assert!(current.text.starts_with("/ip address"));
    assert_eq!(current.meta.version, 0);
    assert_eq!(store.commit(commit("next"), "x".into()).unwrap(), 1);
}

#[test]
fn a_changed_file_has_another_fingerprint() {
    assert_eq!(fingerprint(b""), "cbf29ce484222325");
    assert_eq!(fingerprint(b"a"), "af63dc4c8601ec8c");
    assert_ne!(fingerprint(b"ab"), fingerprint(b"ba"));
}
