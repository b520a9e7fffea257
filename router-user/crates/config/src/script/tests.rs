//! Scripts of every construct, and those that want too much.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use super::*;
use crate::print::NoRows;

/// A world that remembers what a script did to it; its clock moves with delays alone.
#[derive(Default)]
struct World {
    said: Rc<RefCell<Vec<String>>>,
    time: Duration,
    chance: u64,
}

impl World {
    fn say(&self, what: String) {
        self.said.borrow_mut().push(what);
    }
}

impl Host for World {
    fn now(&mut self) -> Duration {
        Duration::from_secs(1_700_000_000) + self.time
    }

    fn delay(&mut self, time: Duration) -> Result<(), String> {
        self.time += time;
        match self.time > Duration::from_secs(1000) {
            true => Err("the world has ended".into()),
            false => Ok(()),
        }
    }

    fn log(&mut self, severity: &str, text: &str) {
        self.say(format!("{severity}: {text}"));
    }

    fn resolve(&mut self, name: &str, _server: Option<&str>) -> Result<IpAddr, String> {
        match name {
            "router.example" => Ok(IpAddr::from([192, 0, 2, 53])),
            _ => Err("failure: dns name does not exist".into()),
        }
    }

    fn execute(&mut self, _script: Script) -> Result<u32, String> {
        self.say("job".into());
        Ok(7)
    }

    fn random(&mut self) -> u64 {
        self.chance += 12_345;
        self.chance
    }

    fn job(&self) -> String {
        "test".into()
    }

    /// Every second request is answered.
    fn ping(&mut self, ping: &Ping) -> Result<Vec<Echo>, String> {
        let echo = |n| Echo {
            from: (n % 2 == 0).then_some(ping.address),
            size_bytes: ping.size_bytes,
            ttl: 64,
            time: (n % 2 == 0).then_some(Duration::from_millis(2)),
            status: if n % 2 == 0 { String::new() } else { "timeout".into() },
        };
        Ok((0..ping.count).map(echo).collect())
    }

    /// Answers with what it was asked.
    fn fetch(&mut self, fetch: &Fetch) -> Result<Fetched, String> {
        if fetch.url.ends_with("missing") {
            return Ok(Fetched { status: 404, ..Fetched::default() });
        }
        let body = format!("{} {} {:?} ", fetch.method, fetch.url, fetch.headers).into_bytes();
        let body = [body, fetch.body.clone()].concat();
        Ok(Fetched { status: 200, headers: vec![("Server".into(), "test".into())], body })
    }

    fn read_file(&mut self, name: &str) -> Result<Vec<u8>, String> {
        match name {
            "b.rsc" => Ok(b"# a bridge\n/interface bridge\nadd name=imported\n".into()),
            "bad.rsc" => Ok(b"/interface bridge add name=c\n/interface bridge add name=(".into()),
            "self.rsc" => Ok(b":import self.rsc".into()),
            _ => Err("Cannot open import file, file does not exist".into()),
        }
    }

    fn write_file(&mut self, name: &str, content: &[u8]) -> Result<(), String> {
        self.say(format!("{name}: {}", String::from_utf8_lossy(content)));
        Ok(())
    }

    fn step(&mut self, word: &str) -> Result<String, String> {
        self.say(word.into());
        Ok(format!("{word}ne\n"))
    }

    fn started(&mut self, script: &str) {
        self.say(format!("started {script}"));
    }
}

/// What a script puts out, or its first error.
fn put(source: &str) -> String {
    put_on(&mut Tree::new(), source)
}

fn put_on(tree: &mut Tree, source: &str) -> String {
    let script = match Script::parse(source) {
        Ok(script) => script,
        Err(errors) => return format!("unreadable: {errors}"),
    };
    let limits = Limits { steps: 400_000, ..Limits::default() };
    match script.run(
        tree,
        &NoRows,
        Box::new(World::default()),
        &Globals::default(),
        Start { limits, ..Start::default() },
    ) {
        Ok(output) => output.text.trim_end().replace('\n', "|"),
        Err(errors) => format!("error: {}", errors.0.first().map(|e| e.message.clone()).unwrap_or_default()),
    }
}

fn check(table: &[(&str, &str)]) {
    for (source, expected) in table {
        assert_eq!(put(source), *expected, "{source}");
    }
}

#[test]
fn variables_and_their_blocks() {
    check(&[
        (":local x 5; :put $x", "5"),
        (":local x; :put [:typeof $x]", "nothing"),
        (":local x 5; :set x; :put [:typeof $x]", "nothing"),
        (":local x 1; { :local x 2; :put $x }; :put $x", "2|1"),
        (":local x 1; { :set x 2 }; :put $x", "2"),
        (":local \"my var\" 3; :put $\"my var\"", "3"),
        (":global g 1; :global g; :put $g", "1"),
        (":global g 1; { :global g; :set g ($g + 1) }; :put $g", "2"),
        (":local x \"a\"; :put \"$x b $($x . \"c\") $[:len $x]\"", "a b ac 1"),
        (":put $nowhere", ""),
        (":local a [:toarray \"\"]; :set ($a->\"k\") 5; :set ($a->0) \"z\"; :put $a", "z;k=5"),
        (":local a {x={1;2}}; :set ($a->\"x\"->1) 9; :put ($a->\"x\"->1)", "9"),
        (":local a {k=1;l=2}; :set ($a->\"k\"); :put $a", "l=2"),
        (":local a {1;2}; :local b $a; :set ($a->0) 9; :put \"$($b->0)\"", "1"),
    ]);
}

#[test]
fn expressions() {
    check(&[
        (":put (1 + 2 * 3)", "7"),
        (":put ((1 + 2) * 3)", "9"),
        (":put (10 - 3 - 2)", "5"),
        (":put (-5 + 2)", "-3"),
        (":put (1 < 2 and 2 < 1)", "false"),
        (":put (1 < 2 || [:error \"not reached\"])", "true"),
        (":put (!true)", "false"),
        (":put (5 and true)", "error: cannot do logical and of integer number"),
        (":put (10.0.0.7 in 10.0.0.0/24)", "true"),
        (":put (\"ether12\" ~ \"^ether[0-9]+\\$\")", "true"),
        (":put (255.255.255.0 & 10.1.2.3)", "10.1.2.0"),
        (":put (~255.255.255.0)", "0.0.0.255"),
        (":put ({1;2},{3;4})", "1;2;3;4"),
        (":put ({a=1;b={c=2}}->\"b\"->\"c\")", "2"),
        (":put [:typeof ({1;2}->7)]", "nothing"),
        (":put (7 / 0)", "error: division by zero"),
        (":put [:typeof (>[:put 1])]", "op"),
        (":local later (>[:put again]); [$later]; [$later]", "again|again"),
    ]);
}

#[test]
fn branches_and_loops() {
    check(&[
        (":if (1 = 1) do={ :put yes } else={ :put no }", "yes"),
        (":if (1 = 2) do={ :put yes } else={ :put no }", "no"),
        (":if (1 = 2) do={ :put yes }", ""),
        (":if (\"x\") do={ :put yes }", "error: conditional not boolean"),
        (":if ($nothing > 5) do={ :put yes } else={ :put no }", "no"),
        (":if ([:find \"abc\" \"z\"] < 0) do={ :put none }", "none"),
        (":if ($nothing) do={ :put yes }", "error: conditional not boolean"),
        (":for i from=1 to=4 do={ :put $i }", "1|2|3|4"),
        (":for i from=10 to=1 step=-4 do={ :put $i }", "10|6|2"),
        (":for i from=3 to=1 do={ :put $i }", "3|2|1"),
        (":for i from=1 to=4 step=0 do={ }", "error: step of a loop can not be 0"),
        (":foreach v in={a;b} do={ :put $v }", "a|b"),
        (":foreach k,v in={x;b=1;a=2} do={ :put \"$k=$v\" }", "0=x|a=2|b=1"),
        (":foreach v in=\"one\" do={ :put $v }", "one"),
        (":foreach v in=$nothing do={ :put $v }", ""),
        (":local i 0; :while ($i < 3) do={ :set i ($i + 1); :put $i }", "1|2|3"),
        (":local i 0; :do { :set i ($i + 1) } while=($i < 5); :put $i", "5"),
        (":for i from=1 to=9 do={ :if ($i = 3) do={ :break }; :put $i }", "1|2"),
        (":for i from=1 to=4 do={ :if ($i = 3) do={ :continue }; :put $i }", "1|2|4"),
    ]);
}

#[test]
fn functions() {
    check(&[
        (":local f do={ :return ($1 + $a) }; :put [$f 1 a=2]", "3"),
        (":local f do={ ($1 . $2) }; :put [$f x y]", "xy"),
        (":local f do={ :put \"called\" }; $f; $f", "called|called"),
        (
            ":local f do={ :if ($1 > 0) do={ :return big }; :return small }; :put [$f 5]; :put [$f 0]",
            "big|small",
        ),
        (":local x 1; :local f do={ :return [:typeof $x] }; :put [$f]", "nothing"),
        (":global x 1; :local f do={ :global x; :return $x }; :put [$f]", "1"),
        (
            ":global fac do={ :global fac; :if ($1 < 2) do={ :return 1 }; :return ($1 * [$fac ($1 - 1)]) }; :put [$fac 10]",
            "3628800",
        ),
        (":local f do={ :put x }; :put [:typeof $f]; :put [:len $f]; :put [:typeof ($f->1)]", "array|2|code"),
        (":local f [:parse \":return (\\$1 + 1)\"]; :put [$f 4]", "5"),
        (":put [:typeof [:parse \":put 1\"]]", "code"),
        (":put [[:parse \":return 5\"]]", "5"),
        ("[:parse \":put (\"]", "error: syntax error (line 1 column 7)"),
    ]);
}

#[test]
fn errors_are_caught_or_end_the_script() {
    check(&[
        (":error \"no way\"; :put 1", "error: no way"),
        (":do { :error x } on-error={ :put caught }; :put on", "caught|on"),
        (":onerror e in={ :error \"the reason\" } do={ :put \"it was $e\" }", "it was the reason"),
        (":onerror e in={ :put fine } do={ :put \"it was $e\" }", "fine"),
        (":do { /nonsense } on-error={ :put caught }", "caught"),
        (":do { /ip address add address=x } on-error={ :put caught }", "caught"),
        (":do { :do { :error a } on-error={ :error b } } on-error={ :put outer }", "outer"),
        (":local n 0; :retry { :set n ($n + 1); :if ($n < 3) do={ :error x } } delay=1s max=5; :put $n", "3"),
        (":retry { :put try; :error x } delay=1s max=2 on-error={ :put over }", "try|try|over"),
        (":local f do={ :error inside }; :do { $f } on-error={ :put caught }", "caught"),
    ]);
}

#[test]
fn values_change_their_types() {
    check(&[
        (":put [:typeof [:tonum \"5\"]]", "num"),
        (":put [:typeof [:tonum \"x\"]]", "nil"),
        (
            ":put [:typeof 5m]; :put [:typeof 10.0.0.1]; :put [:typeof 10.0.0.0/8]; :put [:typeof *1]",
            "time|ip|ip-prefix|id",
        ),
        (":put [:tostr {1;2}]", "1;2"),
        (":put ([:totime \"01:00:00\"] + 5m)", "01:05:00"),
        (":put [:pick \"hello\" 1 3]; :put [:find \"hello\" \"l\"]; :put [:len \"hello\"]", "el|2|5"),
        (":put [:convert \"abcd\" to=base64]", "YWJjZA=="),
        (":put [:serialize to=json {a=1;b={1;2}}]", "{\"a\":1,\"b\":[1,2]}"),
        (":put ([:deserialize from=json \"{\\\"a\\\":[1,2]}\"]->\"a\"->1)", "2"),
        (":put [:range 1 4]", "1;2;3;4"),
        (":put [:len [:rndstr length=20 from=ab]]", "20"),
        (":local n [:rndnum from=5 to=7]; :put ($n >= 5 && $n <= 7)", "true"),
        (":local s [:timestamp]; :delay 90s; :put ([:timestamp] - $s)", "00:01:30"),
        (":put [:time { :delay 2s }]", "00:00:02"),
        (":put [:resolve router.example]", "192.0.2.53"),
        (":put [:resolve nowhere.example]", "error: failure: dns name does not exist"),
        (":put [:jobname]", "test"),
        (":put [:tolf \"a\\r\\nb\"]", "a|b"),
    ]);
}

#[test]
fn the_configuration_is_read_with_its_types_and_changed() {
    let mut tree = Tree::new();
    let source = r#"
        /interface bridge
        :foreach n in={1;2;3} do={ add name="br$n" comment=("number " . $n) }
        /ip address
        :local id [add address=192.0.2.1/24 interface=br1]
        :put [:typeof $id]
        :put [get $id address]
        :put [:typeof [get $id address]]
        :put [:typeof [get $id disabled]]
        :put [:len [/interface bridge find]]
        :put [:len [/interface bridge find where name~"br[12]"]]
        :foreach b in=[/interface bridge find where name!="br1"] do={ /interface bridge set $b comment="other" }
        :put [/interface bridge get br3 comment]
        :local wanted "br2"
        :put [/interface bridge get [find name=$wanted] name]
        :put [:len [/interface bridge find where ([:len $comment] = 5)]]
        :put ([/interface bridge print as-value where name=br2]->0->"name")
        :put [/interface bridge print count-only where comment="other"]
        /interface bridge remove [find where name="br3"]
        :put [:len [/interface bridge find]]
        :if ([:len [/ip address find interface=$wanted]] = 0) do={ add address=192.0.2.129/25 interface=$wanted }
        :put [get [find interface=$wanted] address]
    "#;
    let expected = "id|192.0.2.1/24|ip-prefix|bool|3|2|other|br2|2|br2|2|2|192.0.2.129/25";
    assert_eq!(put_on(&mut tree, source), expected);
}

#[test]
fn a_command_that_fails_changes_nothing_and_what_was_done_before_stays() {
    let mut tree = Tree::new();
    let source = "/interface bridge add name=a\n/ip address add address=192.0.2.1/24 interface=nobridge\n";
    assert_eq!(put_on(&mut tree, source), "error: input does not match any value of interface");
    assert_eq!(
        put_on(&mut tree, ":put [:len [/ip address find]]; :put [:len [/interface bridge find]]"),
        "0|1"
    );
}

#[test]
fn stored_scripts_run_each_other() {
    let mut tree = Tree::new();
    let stored = "/system script add name=inner source=\":global total; :set total (\\$total + 1)\"";
    assert_eq!(put_on(&mut tree, stored), "");
    let said = Rc::new(RefCell::new(Vec::new()));
    let host = World { said: Rc::clone(&said), ..World::default() };
    let script = Script::parse(
        ":global total 5; /system script run inner; :log info \"total $total\"; :execute { :put 1 }",
    )
    .unwrap();
    let globals = Globals::default();
    script.run(&mut tree, &NoRows, Box::new(host), &globals, Start::default()).unwrap();
    assert_eq!(*said.borrow(), ["started inner", "info: total 6", "job"]);
    assert_eq!(globals.list(), [("total".to_owned(), "6".to_owned())]);
    assert_eq!(put_on(&mut tree, "/system script run nobody"), "error: no such item");
}

#[test]
fn what_wants_too_much_is_ended() {
    let ended = "error: script was ended: ";
    for (source, reason) in [
        (":while (true) do={}", "it runs too long"),
        (":do {} while=(true)", "it runs too long"),
        (":for i from=1 to=9223372036854775807 do={}", "it runs too long"),
        (":do { :while (true) do={} } on-error={ :put survived }", "it runs too long"),
        (":onerror e in={ :while (true) do={} } do={ :put survived }", "it runs too long"),
        (":retry { :while (true) do={} } max=1000 delay=1ms", "it runs too long"),
        (":while (true) do={ :delay 1ms }", "it runs too long"),
        (":global f do={ :global f; [$f] }; [$f]", "nested too deeply"),
        (":global f do={ :global f; :do { [$f] } on-error={ [$f] } }; [$f]", "nested too deeply"),
        (":global f do={ :global f; :return (1 + [$f]) }; :put [$f]", "nested too deeply"),
        (":local s \"xxxxxxxxxxxxxxxx\"; :while (true) do={ :set s ($s . $s) }", "it needs too much memory"),
        (":local a {1;2}; :while (true) do={ :set a ($a,$a) }", "it needs too much memory"),
        (":local a {1}; :while (true) do={ :set a {$a;$a} }", "it needs too much memory"),
        (
            ":local a [:toarray \"\"]; :local s [:rndstr length=60000]; :for i from=0 to=90000 do={ :set ($a->$i) $s }",
            "it needs too much memory",
        ),
        (
            ":while (true) do={ :put \"................................................................\" }",
            "it puts out too much",
        ),
    ] {
        assert_eq!(put(source), format!("{ended}{reason}"), "{source}");
    }
    // A wait gives a script new strength, but the world may end it.
    assert_eq!(put(":while (true) do={ :delay 1s }"), "error: the world has ended");
}

#[test]
fn many_variables_together_are_too_much_too() {
    let source =
        ":global keep do={ :global keep; :local mine ($1 . \"x\"); :return ([:len $mine] + [$keep $mine]) }
        :local s [:rndstr length=65536]
        :for i from=1 to=6 do={ :set s ($s . $s) }
        :put [$keep $s]";
    let result = put(source);
    assert!(result.starts_with("error: script was ended"), "{result}");
}

#[test]
fn scripts_in_a_configuration_run_when_it_is_imported() {
    let text = "/interface bridge add name=bridge1
:local ports {\"ether2\";\"ether3\"}
:foreach port in=$ports do={ /interface bridge port add bridge=bridge1 interface=$port }
/interface bridge port
:if ([:len [find]] = 2) do={ set [find interface=ether3] comment=\"the last\" }
:put \"done\"
";
    let outcome = crate::import(&Tree::new(), text).unwrap();
    let export = crate::export(&outcome.tree, &crate::ExportOptions::default());
    assert!(export.contains("add bridge=bridge1 interface=ether2"), "{export}");
    assert!(export.contains("add bridge=bridge1 comment=\"the last\" interface=ether3"), "{export}");
    assert_eq!(outcome.statements.len(), 5);
}

#[test]
fn an_import_tells_the_errors_of_all_its_scripts() {
    let text = ":error one\n:if (5) do={}\n/interface bridge add name=b\n:put (1 / 0)\n";
    let errors = crate::import(&Tree::new(), text).unwrap_err();
    let told: Vec<String> = errors.0.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "one (line 1 column 1)",
            "conditional not boolean (line 2 column 1)",
            "division by zero (line 4 column 9)"
        ]
    );
}

#[test]
fn what_is_tried_knows_the_clock_its_hook_and_state_that_nothing_tells() {
    let limits = Limits { steps: 400_000, ..Limits::default() };
    let tree = crate::import(&Tree::new(), "/tool netwatch add host=192.0.2.1 comment=a").unwrap().tree;
    let tried = |source: &str, given: Variables| {
        let result = Script::parse(source).and_then(|script| script.try_out(&tree, limits, given));
        result.err().map(|errors| errors.to_string())
    };
    let hook = || typical("ip/dhcp-client", "script");
    for source in [
        ":if ([:pick [/system clock get time] 0 2] * 3600 < 1) do={ :error midnight }",
        ":if ([:typeof [/system resource get uptime]] != \"time\") do={ :error type }",
        ":if ([:len [/tool netwatch get [find comment=a] status]] > 0) do={ :error status }",
        ":if ($bound = 1 and $\"lease-address\" in 192.0.2.0/24) do={ :log info up } else={ :error down }",
    ] {
        assert_eq!(tried(source, hook()), None, "{source}");
    }
    let error = tried(":if ($bound = 1) do={ :error up }", Variables::default());
    assert_eq!(error, None, "without its hook it has no variable");
    assert!(tried(":if ($bound = 1) do={ :error up }", hook()).is_some());
}

#[test]
fn other_hosts_are_asked() {
    check(&[
        (":put [/ping 192.0.2.1 count=3]", "2"),
        (":put [:ping address=router.example count=1]", "1"),
        (":if ([/tool ping 2001:db8::1 count=2 size=100 interval=100ms] = 0) do={ :put down }", ""),
        (":put ([/ping 192.0.2.1 count=2 as-value]->1->\"status\")", "timeout"),
        (":put [/ping nowhere.example count=1]", "error: failure: dns name does not exist"),
        (":put [/ping 192.0.2.1 count=0]", "error: value of count out of range (1..1000)"),
        (":put [/ping 192.0.2.1 vrf=blue]", "error: failure: vrf is not built yet"),
        (":put [/ping 192.0.2.1 do-not-fragment]", "error: failure: do-not-fragment is not built yet"),
        (
            ":put ([/tool fetch url=\"http://192.0.2.1/x\" as-value output=user]->\"data\")",
            "GET http://192.0.2.1/x []",
        ),
        (
            ":local r [/tool fetch url=\"https://h/\" http-method=put http-data=\"a=1\" http-header-field=\"A: b\" as-value output=user]; :put ($r->\"data\"); :put ($r->\"status\")",
            "PUT https://h/ [(\"A\", \"b\")] a=1|finished",
        ),
        (
            ":put ([/tool fetch mode=https url=\"h/\" as-value output=user-with-headers]->\"http-headers\")",
            "Server: test",
        ),
        (":do { /tool fetch url=http://192.0.2.1/missing output=none } on-error={ :put none }", "none"),
        ("/tool fetch url=http://192.0.2.1/missing", "error: failure: Fetch failed with status 404"),
        ("/tool fetch url=ftp://192.0.2.1/x", "error: failure: only http and https are possible here"),
        ("/tool fetch url=http://h/ output=paper", "error: input does not match any value of output"),
    ]);
    assert!(put("/ping 192.0.2.1 count=2").contains("sent=2 received=1 packet-loss=50%"));
}

#[test]
fn files_of_the_router() {
    let said = Rc::new(RefCell::new(Vec::new()));
    let host = World { said: Rc::clone(&said), ..World::default() };
    let source = "/tool fetch url=http://192.0.2.1/list.txt
:serialize {a=1} to=json file-name=a.json
/tool fetch url=http://192.0.2.1/x dst-path=y keep-result=no
/undo";
    let script = Script::parse(source).unwrap();
    script.run(&mut Tree::new(), &NoRows, Box::new(host), &Globals::default(), Start::default()).unwrap();
    let expected = ["list.txt: GET http://192.0.2.1/list.txt [] ", "a.json: {\"a\":1}", "undo"];
    assert_eq!(*said.borrow(), expected);
    let mut tree = Tree::new();
    assert_eq!(put_on(&mut tree, "/import b.rsc"), "|Script file loaded and executed successfully");
    assert_eq!(put_on(&mut tree, ":put [/interface bridge find name=imported]"), "*1");
    let error = "error: Cannot open import file, file does not exist";
    assert_eq!(put("/import file-name=none.rsc"), error);
    assert_eq!(put(":import self.rsc"), "error: script was ended: nested too deeply");
    let mut tree = Tree::new();
    assert!(put_on(&mut tree, "/import bad.rsc").starts_with("error: "));
    assert_eq!(put_on(&mut tree, ":put [:len [/interface bridge find]]"), "0");
}

#[test]
fn lines_are_found_in_what_code_puts_out() {
    check(&[
        (":grep script={ :put abc; :put xyz; :put abd } pattern=\"^ab\"", "abc|abd"),
        (":put [:grep script=\":put one; :put two\" pattern=w]", "two"),
        (":put [:len [:grep script={ :put a; :put b } pattern=\"[ab]\" as-array]]", "2"),
        (":put [:grep script=\":return abc\" pattern=b]", "abc"),
        (":grep script={ :put a } pattern=\"(\"", "error: bad regular expression"),
    ]);
}

#[test]
fn a_script_does_what_it_has_the_rights_for() {
    let mut tree = Tree::new();
    let stored = "/system script
add name=reader policy=read source=\"/ip address print; :put read\"
add name=writer policy=read,write source=\"/interface bridge add name=b1\"
add name=free policy=read,write dont-require-permissions=yes source=\"/interface bridge add name=b2\"
add name=greedy policy=read source=\"/interface bridge add name=b3\"";
    assert_eq!(put_on(&mut tree, stored), "");
    let mut with = |rights: &str, source: &str| {
        let start = Start { rights: Rights::of(rights), ..Start::default() };
        let script = Script::parse(source).unwrap();
        let world = Box::new(World::default());
        match script.run(&mut tree, &NoRows, world, &Globals::default(), start) {
            Ok(output) => output.text.trim_end().to_owned(),
            Err(errors) => errors.0.first().map(|error| error.message.clone()).unwrap_or_default(),
        }
    };
    let refused = "not enough permissions (9)";
    assert!(with("read", "/system script run reader").ends_with("read"));
    assert_eq!(with("read", "/system script run writer"), refused);
    assert_eq!(with("read", "/system script run writer use-script-permissions"), "");
    assert_eq!(with("read", "/system script run free"), "");
    assert_eq!(with("read,write", "/system script run greedy"), refused);
    assert_eq!(with("read", "/interface bridge remove b1"), refused);
    assert_eq!(with("read,write", "/ping 192.0.2.1"), refused);
    assert_eq!(with("read", ":do { /interface bridge add } on-error={ :put caught }"), "caught");
    assert_eq!(with("read", ":put [:len [/interface bridge find]]"), "2");
}

#[test]
fn a_stored_script_that_can_not_be_read_is_noted_with_the_place_in_it() {
    let text = "/system script
add name=good source=\":if (true) do={ :put 1 }\"
add name=bad source=\":put 1\\r\\n:if (true do={ :put 2 }\"
add name=word source=Cleanup
add name=later source=\":exit now\"";
    let notes: Vec<_> = crate::import(&Tree::new(), text).unwrap().notes;
    let of_scripts: Vec<_> = notes.iter().filter(|note| note.reason.contains("can not be read")).collect();
    let [note] = of_scripts.as_slice() else { panic!("{notes:?}") };
    assert_eq!(note.line, 3);
    assert!(note.reason.starts_with("source: the script can not be read: "), "{note:?}");
    assert!(note.reason.contains("(line 2 column "), "{note:?}");
}
