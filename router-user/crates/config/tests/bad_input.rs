//! Bad input: an answer in bounded time and memory, with a place, and never a panic.

use std::time::{Duration, Instant};

use router_config::{Tree, check, import, run};

/// What `check` says about a file, within a time that also an unoptimised build keeps on a busy machine.
fn first_error(name: &str, content: &[u8]) -> String {
    let start = Instant::now();
    let report = check([(name, content)]);
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    let errors = &report.files[0].errors;
    assert!(errors.len() <= 101, "{} errors", errors.len());
    assert!(errors.iter().all(|e| e.message.len() < 300 && e.hint.as_ref().is_none_or(|h| h.len() < 300)));
    errors.first().map(ToString::to_string).unwrap_or_default()
}

/// Bytes that look random and are the same each time.
fn noise(length: usize, alphabet: &[u8]) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1Du64;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            alphabet[usize::try_from(state >> 33).unwrap() % alphabet.len()]
        })
        .collect()
}

#[test]
fn garbage_has_errors_and_ends() {
    let all: Vec<u8> = (0u8..128).collect();
    let nasty = b"\n \"\\{}[]()=;#!$/:~,x\r\t";
    for length in [1_000, 100_000, 1_000_000] {
        assert_ne!(first_error("x.rsc", &noise(length, &all)), "");
        assert_ne!(first_error("x.rsc", &noise(length, nasty)), "");
        assert_ne!(first_error("x.rsc", &noise(length, b"abc ")), "");
        assert_ne!(first_error("x.rsc", &noise(length, b"abcdef")), "");
        assert_ne!(first_error("x.rsc", &noise(length, b"a\n")), "");
        assert_ne!(first_error("x.yaml", &noise(length, nasty)), "");
        assert_ne!(first_error("x.yaml", &noise(length, b"a: \n-[]")), "");
    }
}

#[test]
fn deep_nesting_is_refused() {
    for (open, count) in
        [("{", 20_000), ("[", 50_000), ("(", 50_000), ("/ip address {", 20_000), ("[find (", 50_000)]
    {
        assert_ne!(first_error("x.rsc", open.repeat(count).as_bytes()), "", "{open}");
    }
    assert_eq!(
        first_error("x.rsc", format!("{{{}}}", "a;".repeat(300_000)).as_bytes()),
        "too many statements in brackets (line 1 column 400002)"
    );
    assert_eq!(
        first_error("x.yaml", format!("[{}1]", "1,".repeat(2_000_000)).as_bytes()),
        "the text is too long (line 1 column 1)"
    );
    let value = format!("/system script add name=x source={}", "{".repeat(50_000));
    assert_eq!(first_error("x.rsc", value.as_bytes()), "expected closing brace (line 1 column 50034)");
    let find = format!("/ip address remove [find {}]", "(".repeat(50_000));
    assert!(first_error("x.rsc", find.as_bytes()).starts_with("nested too deeply"));
    let not = format!("/ip address remove [find {}disabled]", "!".repeat(50_000));
    assert_eq!(first_error("x.rsc", not.as_bytes()), "");
}

#[test]
fn long_words_strings_and_lists_are_taken_or_refused_but_never_copied_into_errors() {
    let word = "x".repeat(2_000_000);
    assert!(first_error("x.rsc", word.as_bytes()).starts_with("bad command name xxx"));
    assert!(
        first_error("x.rsc", format!("/ip address add {word}=1").as_bytes())
            .starts_with("expected end of command")
    );
    assert!(
        first_error("x.rsc", format!("/ip address add comment=\"{word}").as_bytes())
            .starts_with("unexpected end of script")
    );
    assert_eq!(first_error("x.rsc", format!("/system note set note=\"{word}\"").as_bytes()), "");
    let list = "192.0.2.1,".repeat(100_000);
    assert!(
        first_error("x.rsc", format!("/ip dns set servers={list}").as_bytes()).starts_with("invalid value")
    );
    assert_eq!(
        first_error("x.rsc", "x ".repeat(100_000).as_bytes()),
        "too many arguments (line 1 column 8195)"
    );
}

#[test]
fn nul_and_other_than_utf8_is_told_with_its_place() {
    assert_eq!(first_error("x.rsc", b"/ip address\n# caf\xE9"), "invalid character (line 2 column 6)");
    assert_eq!(first_error("x.rsc", b"/ip\0address"), "expected command name (line 1 column 4)");
    assert_eq!(first_error("x.yaml", b"ip:\n  \xFF"), "invalid character (line 2 column 3)");
}

#[test]
fn scripts_that_never_end_are_refused_in_bounded_time_with_their_place() {
    for (script, place) in [
        (":while (true) do={}", "line 1 column 1"),
        ("\n:global f do={ :global f; [$f] }\n$f", "line 2 column"),
        (":local s xxxxxxxx\n:while (true) do={ :set s ($s . $s) }", "line 2 column"),
    ] {
        let start = Instant::now();
        let error = first_error("x.rsc", script.as_bytes());
        assert!(error.starts_with("script was ended: "), "{error}");
        assert!(error.contains(place), "{error}");
        assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    }
    let taken = import(&Tree::new(), ":put \"done\"\n:delay 1s\n/log info \"x\"\n:log info \"x\"").unwrap();
    assert_eq!(taken.statements.len(), 4);
    assert_eq!(run(&mut Tree::new(), ":put (1 + 2)").unwrap().text, "3\n");
}

#[test]
fn a_hundred_thousand_lines_take_no_time_per_line_that_grows() {
    let mut script = String::from("/ip firewall address-list\n");
    for n in 0..100_000u32 {
        let [_, a, b, c] = n.to_be_bytes();
        script.push_str(&format!("add address=10.{a}.{b}.{c} list=blocked\n"));
    }
    let start = Instant::now();
    let outcome = import(&Tree::new(), &script).unwrap();
    assert_eq!(outcome.statements.len(), 100_000);
    println!("{:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    script.push_str("add address=10.0.0.0 comment=again list=blocked\n");
    assert_eq!(
        import(&Tree::new(), &script).unwrap_err().to_string(),
        "failure: already have such entry (line 100002 column 1)"
    );
}

#[test]
fn a_file_that_waits_for_ever_is_told_so() {
    for script in [
        ":do { :delay 2s } while=(true)",
        ":while (true) do={ :do { :delay 1ms } on-error={} }",
        ":while (true) do={ :while (true) do={ :delay 1w } }",
    ] {
        let start = Instant::now();
        assert!(import(&Tree::new(), script).is_err(), "{script}");
        assert!(start.elapsed() < Duration::from_secs(30), "{script}: {:?}", start.elapsed());
    }
}
