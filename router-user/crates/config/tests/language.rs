//! The language as a real router's parser reads it: listings and errors, construct by construct.

use std::time::{Duration, Instant};

use router_config::{Tree, import, listing};

/// Each script has the listing behind it.
fn listed(cases: &[(&str, &str)]) {
    for (script, wanted) in cases {
        match listing(script) {
            Ok(given) => assert_eq!(given, *wanted, "{script}"),
            Err(error) => panic!("{script}: {error}"),
        }
    }
}

/// Each script has the first error behind it.
fn refused(cases: &[(&str, &str)]) {
    for (script, wanted) in cases {
        match listing(script) {
            Ok(given) => panic!("{script}: taken as {given}"),
            Err(error) => assert_eq!(error.to_string(), *wanted, "{script}"),
        }
    }
}

#[test]
fn paths_in_all_forms() {
    let add = "(evl /ip/address/addaddress=192.0.2.1;24;interface=ether1)";
    for path in ["/ip address add", "/ip/address/add", "/ip/address add", "/ip addr add", "/ ip address add"]
    {
        listed(&[(&format!("{path} address=192.0.2.1/24 interface=ether1"), add)]);
    }
    listed(&[
        ("/ip address\nprint", "/ip/address/;(evl /ip/address/print)"),
        ("/ip/address/\n.. route print", "/ip/address/;(evl /ip/route/print)"),
        ("/ip address\n/\nput 1", "/ip/address/;/;(evl /putmessage=1)"),
        ("/ip address { print }", "(evl (evl /ip/address/print))"),
        ("/ip address { print }\n:put 1", "(evl (evl /ip/address/print));(evl /putmessage=1)"),
        ("/ip {\n address print\n}", "(evl /ip/ (evl /ip/address/print))"),
        ("ip address print", "(evl /ip/address/print)"),
        ("/ip address\r\nprint\r\nprint", "/ip/address/;(evl /ip/address/print);(evl /ip/address/print)"),
        ("/ip address\rprint", "/ip/address/;(evl /ip/address/print)"),
        ("\u{FEFF}/ip address print", "(evl /ip/address/print)"),
    ]);
}

#[test]
fn arguments_positional_named_shortened_and_grouped() {
    listed(&[
        (":put message=1", "(evl /putmessage=1)"),
        (":pick \"abc\" 1 2", "(evl /pickbegin=1;counter=abc;end=2)"),
        (":find \"abc\" \"b\" from=0", "(evl /findfrom=0;in=abc;key=b)"),
        ("/ip address set 0,1 comment=x", "(evl /ip/address/setcomment=x;numbers=0,1)"),
        ("/ip address set *1A disabled=yes", "(evl /ip/address/setdisabled=true;numbers=*1A)"),
        ("/ip address set numbers=0 !comment", "(evl /ip/address/setcomment=;numbers=0)"),
        ("/ip address get 0 address", "(evl /ip/address/getnumber=0;value-name=address)"),
        ("/ip address move 1 0", "(evl /ip/address/movedestination=0;numbers=1)"),
        ("/ip address add addr=192.0.2.1/24", "(evl /ip/address/addaddress=192.0.2.1;24)"),
        ("/ip address add address=192.0.2.1/24 comment=", "(evl /ip/address/addaddress=192.0.2.1;24)"),
        (
            "/ip address add comment=\"\" address=192.0.2.1/24",
            "(evl /ip/address/addaddress=192.0.2.1;24;comment=)",
        ),
        ("/ip address print detail where disabled", "(evl /ip/address/printdetail=true;where=$disabled)"),
        (
            "/ip firewall nat add chain=srcnat out-interface=!a",
            "(evl /ip/firewall/nat/addchain=srcnat;out-interface=true;a)",
        ),
        (
            "/interface wifi set 0 security.passphrase=x .authentication-types=wpa2-psk",
            "(evl /interface/wifi/setnumbers=0;security.authentication-types=wpa2-psk;security.passphrase=x)",
        ),
        (
            "/ip address \\\n    add address=192.0.2.1/24 \\\n    interface=\\\n    ether1",
            "(evl /ip/address/addaddress=192.0.2.1;24;interface=ether1)",
        ),
    ]);
    refused(&[
        ("/ip address add nam=1", "expected end of command (line 1 column 17)"),
        ("/ip address add 1", "expected end of command (line 1 column 17)"),
        (":put 1 2", "expected end of command (line 1 column 8)"),
        (":put \"a\"b", "expected end of command (line 1 column 9)"),
        (":put ($a))", "expected end of command (line 1 column 10)"),
        ("/ip address print frobnicate", "expected end of command (line 1 column 19)"),
        ("/ip address\nset 0 disabled=maybe", "syntax error (line 2 column 16)"),
        (":find x a=1", "expected end of command (line 1 column 10)"),
    ]);
}

#[test]
fn words_that_nobody_knows() {
    listed(&[
        ("frobnicate", "(<%% bad command name frobnicate (line 1 column 1) frobnicate)"),
        ("/ip xyzzy print", "(<%% bad command name xyzzy (line 1 column 5) xyzzy;print)"),
        (
            "xyzzy b=2 c a=\"1\" d\n:put 1",
            "(<%% bad command name xyzzy (line 1 column 1) xyzzy;c;d;a=1;b=2);(evl /putmessage=1)",
        ),
        (":put [xyzzy]", "(evl /putmessage=(evl (<%% bad command name xyzzy (line 1 column 7) xyzzy)))"),
    ]);
    refused(&[
        ("/xyzzy/print", "syntax error (line 1 column 7)"),
        ("/ip/xyzzy/print", "syntax error (line 1 column 10)"),
        ("xyzzy {", "syntax error (line 1 column 7)"),
        ("xyzzy a = b", "syntax error (line 1 column 9)"),
        ("xyzzy: 1", "syntax error (line 1 column 6)"),
        ("xyzZy", "syntax error (line 1 column 4)"),
        ("Xyzzy", "expected command name (line 1 column 1)"),
        ("\"xyzzy\"", "expected command name (line 1 column 1)"),
        ("/ip address> print", "expected command name (line 1 column 12)"),
        ("=", "expected command name (line 1 column 1)"),
    ]);
}

#[test]
fn constants_get_the_type_they_look_like() {
    for (word, listed) in [
        ("0x10", "16"),
        ("007", "7"),
        ("99999999999999999999", "9223372036854775807"),
        ("10s", "00:00:10"),
        ("1d2h", "1d02:00:00"),
        ("1.2", "1.0.0.2"),
        ("yes", "yes"),
        ("true", "true"),
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("2001:db8::1", "2001:db8::1"),
        ("ether1", "ether1"),
        ("*1F", "*1F"),
    ] {
        assert_eq!(listing(&format!(":put {word}")).unwrap(), format!("(evl /putmessage={listed})"));
    }
    listed(&[
        (":delay 500ms", "(evl /delaydelay-time=00:00:00.500)"),
        (":delay 2", "(evl /delaydelay-time=00:00:02)"),
        // Functions get words as they are.
        ("$f 0x10 5m", "(<%% $f (> $f);0x10;5m)"),
    ]);
}

#[test]
fn strings_with_escapes_variables_and_commands() {
    listed(&[
        (r#":put "a\nb""#, "(evl /putmessage=(. a \n b))"),
        (r#":put "\41""#, "(evl /putmessage=A)"),
        (r#":put "$x""#, "(evl /putmessage=$x)"),
        (r#":put "a$x b""#, "(evl /putmessage=(. a $x  b))"),
        (r#":put "a$(1+2)b""#, "(evl /putmessage=(. a (+ 1 2) b))"),
        (r#":put "$[:len "a"]""#, "(evl /putmessage=(evl (evl /lenvalue=a)))"),
        (r#":put $"my x""#, "(evl /putmessage=$my x)"),
        (r#":put "\$x""#, "(evl /putmessage=(. $ x))"),
        ("\n:put \"a\\\n    b\"", "/;(evl /putmessage=(. a b))"),
        (":put \"a\nb\"", "(evl /putmessage=a\nb)"),
        (":put \"\"", "(evl /putmessage=)"),
    ]);
    refused(&[
        (r#":put "a\x""#, "syntax error (line 1 column 9)"),
        (r#":put "\4G""#, "syntax error (line 1 column 8)"),
        (r#":put "$[:put \"a\"]""#, "syntax error (line 1 column 14)"),
        (":put \"a", "unexpected end of script (line 1 column 6)"),
    ]);
}

#[test]
fn operators_and_their_precedence() {
    for (written, listed) in [
        ("1+2*3", "(+ 1 (* 2 3))"),
        ("1-2-3", "(- (- 1 2) 3)"),
        ("1+2+3", "(+ 1 2 3)"),
        ("(1+2)*3", "(* (+ 1 2) 3)"),
        ("-$x", "(- $x)"),
        ("$a = 1 and $b = 2 or !$c", "(or (and (= $a 1) (= $b 2)) (! $c))"),
        ("$a && $b || $c", "(or (and $a $b) $c)"),
        ("$a . \"x\" = \"yx\"", "(= (. $a x) yx)"),
        ("$a,$b,3", "(, $a $b 3)"),
        ("$a->\"k\"->0", "(-> (-> $a k) 0)"),
        ("$a & 0xF << 2", "(& $a (<< 15 2))"),
        ("1.2.3.4 in 1.0.0.0/8", "(in 1.2.3.4 1.0.0.0/8)"),
        ("$a~\"^x\"", "(~ $a ^x)"),
        ("~1", "(~ 1)"),
        ("any $a", "(any $a)"),
        (">[:put 1]", "(> (evl (evl /putmessage=1)))"),
        ("$f <%% {1;2}", "(<%% $f 1;2)"),
        ("5m+1s", "(+ 00:05:00 00:00:01)"),
        ("a", "$a"),
        ("$a\n + 1", "(+ $a 1)"),
    ] {
        listed_expression(written, listed);
    }
    refused(&[
        (":put (1 2", "syntax error (line 1 column 10)"),
        (":put (1;2)", "syntax error (line 1 column 8)"),
        (":put (1 + )", "syntax error (line 1 column 11)"),
        (":put (?)", "syntax error (line 1 column 7)"),
    ]);
}

fn listed_expression(written: &str, wanted: &str) {
    assert_eq!(listing(&format!(":put ({written})")).unwrap(), format!("(evl /putmessage={wanted})"));
}

#[test]
fn arrays() {
    listed(&[
        (":put {1;2;\"x\"}", "(evl /putmessage=1;2;x)"),
        (":put {b=1;a=\"2\"}", "(evl /putmessage=a=2;b=1)"),
        (":put ({})", "(evl /putmessage=)"),
        (":put {\n  a=1\n  b=2\n}", "(evl /putmessage=a=1;b=2)"),
        (":put {{1;2};{3}}", "(evl /putmessage=1;2;3)"),
        (":put {\"k\"=[:len \"x\"]}", "(evl /putmessage=k=(evl (evl /lenvalue=x)))"),
        (":local a {0,1}", "(evl /localname=$a;value=(, 0 1))"),
    ]);
    refused(&[(":put {1;2", "expected closing brace (line 1 column 10)")]);
}

#[test]
fn statements_of_the_language() {
    listed(&[
        (":local x 1", "(evl /localname=$x;value=1)"),
        (":global \"my x\"", "(evl /globalname=$my x)"),
        (":local f do={ :return $1 }", "(evl /localdo=;(evl (evl /returnvalue=$1));name=$f)"),
        (":local x; :set x 1", "(evl /localname=$x);(evl /setname=$x;value=1)"),
        (":local a; :set ($a->\"k\") 1", "(evl /localname=$a);(evl /setname=(-> $a k);value=1)"),
        (
            ":if ($x) do={:put 1} else={:put 2}",
            "(evl /ifcondition=$x;do=;(evl (evl /putmessage=1));else=;(evl (evl /putmessage=2)))",
        ),
        (":if ($x) do={} else {:put 2}", "(evl /ifcondition=$x;do=;(evl /);else=;(evl (evl /putmessage=2)))"),
        (
            ":for i from=1 to=3 do={:put $i}",
            "(evl /forcounter=$i;do=;(evl (evl /putmessage=$i));from=1;to=3)",
        ),
        (
            ":foreach k,v in=$a do={:put $v}",
            "(evl /foreachcounter=$k;$v;do=;(evl (evl /putmessage=$v));in=$a)",
        ),
        (":while ($x < 3) do={:put 1}", "(evl /whilecondition=(< $x 3);do=;(evl (evl /putmessage=1)))"),
        (":do { :put 1 } while=($x)", "(evl /docommand=;(evl (evl /putmessage=1));while=$x)"),
        (
            ":do { :error \"x\" } on-error={ }",
            "(evl /docommand=;(evl (evl /errormessage=x));on-error=;(evl /))",
        ),
        (
            ":onerror e in={ :put 1 } do={ :put $e }",
            "(evl /onerrordo=;(evl (evl /putmessage=$e));error=$e;in=;(evl (evl /putmessage=1)))",
        ),
        ("$f a b=1", "(<%% $f (> $f);a;b=1)"),
        ("[$f a]", "(<%% (<%% $f (> $f);a) )"),
        ("{ :put 1; :put 2 }", "(evl (evl /putmessage=1) (evl /putmessage=2))"),
        (":put [[:parse \"x\"]]", "(evl /putmessage=(evl (<%% (evl /parsevalue=x) )))"),
        ("/log info \"x\"", "(evl /log/infomessage=x)"),
        ("# comment \\\n:put 1 ;# more\n   # and more\n:put 2", "(evl /putmessage=1);(evl /putmessage=2)"),
    ]);
    refused(&[
        (":set x 1", "syntax error (line 1 column 6)"),
        ("{ :local x }\n:set x 1", "syntax error (line 2 column 6)"),
        (":local $x 1", "syntax error (line 1 column 8)"),
        (":local and 1", "syntax error (line 1 column 8)"),
        (":local my-x 1", "expected end of command (line 1 column 10)"),
        (":local my_x 1", "expected end of command (line 1 column 10)"),
        (":local café 1", "expected end of command (line 1 column 11)"),
        (":if (1) do={ :put 1\n", "expected closing brace (line 2 column 1)"),
        ("/ip address { print\n", "missing closing brace (line 2 column 1)"),
        (":put [:len 1", "expected closing bracket (line 1 column 13)"),
    ]);
    // A variable that was used may be set.
    assert!(listing("$f a=$x\n:set x 1").is_ok());
}

#[test]
fn conditions_know_the_properties_of_their_menu() {
    for (written, listed) in [
        ("interface=ether1", "(= $interface ether1)"),
        ("address=192.0.2.1/24", "(= $address 192.0.2.1;24)"),
        ("dynamic=no", "(= $dynamic false)"),
        ("!disabled", "(! $disabled)"),
        ("comment~\"^x\" interface=a", "(  (~ $comment ^x) (= $interface a))"),
        ("interface=a or interface=b", "(or (= $interface a) (= $interface b))"),
        ("(interface=a and comment=b)", "(and (= $interface a) (= $comment b))"),
        ("$x in address", "(in $x $address)"),
        ("comment=$x", "(= $comment $x)"),
        (".id=*1", "(= $.id *1)"),
        // What is no property is arithmetic.
        ("my-thing=a", "(= (- $my $thing) $a)"),
    ] {
        let wanted = format!("(evl /ip/address/findwhere={listed})");
        assert_eq!(listing(&format!("/ip address find {written}")).unwrap(), wanted);
        assert_eq!(listing(&format!("/ip address find where {written}")).unwrap(), wanted);
    }
    listed(&[
        ("/ip address remove [find]", "(evl /ip/address/removenumbers=(evl (evl /ip/address/find)))"),
        (
            "/ip address set [ find interface=a ] comment=b",
            "(evl /ip/address/setcomment=b;numbers=(evl (evl /ip/address/findwhere=(= $interface a))))",
        ),
    ]);
}

#[test]
fn tabs_count_as_on_a_terminal_in_listings() {
    refused(&[("\t\txyzZy", "syntax error (line 1 column 19)")]);
    let error = import(&Tree::new(), "\t\txyzZy").unwrap_err();
    assert_eq!(error.0[0].column, 6);
}

#[test]
fn all_errors_of_a_file_are_told() {
    let script = "/ip address\nadd address=(1\n:put 1 2\n{\n  :put 1 2\n  :set y 1\n}\nxyzzy\n/x/b";
    let errors = import(&Tree::new(), script).unwrap_err();
    let places: Vec<(u32, u32)> = errors.0.iter().map(|e| (e.line, e.column)).collect();
    assert_eq!(places, [(3, 1), (5, 10), (6, 8), (8, 1), (9, 3)]);
}

#[test]
fn what_follows_an_error_inside_brackets_is_read_nonetheless() {
    for (script, wanted) in [
        ("{ :put 1 2 }\n:put 3 4", vec![(1, 10), (2, 8)]),
        ("{ { :put 1 2 }; :put 3 4 }\n:put 5 6", vec![(1, 12), (1, 24), (2, 8)]),
        ("{\n:put \"}\" 2\n:put 1\n}\n:put 5 6", vec![(2, 10), (5, 8)]),
        ("{\n:put 1 2", vec![(2, 8)]),
        ("{\n{ :put 1", vec![(2, 9)]),
    ] {
        let errors = import(&Tree::new(), script).unwrap_err();
        let places: Vec<(u32, u32)> = errors.0.iter().map(|e| (e.line, e.column)).collect();
        assert_eq!(places, wanted, "{script}");
    }
}

#[test]
fn errors_say_what_to_do() {
    for (script, hint) in [
        ("> /ip address print", "a prompt is not part of a script"),
        ("IP address print", "small letters"),
        (":local my-x 1", "names of variables hold letters and digits"),
        (":put $a.\"b\"", "stands in brackets"),
        ("/ip address print # all", "a comment begins on a line of its own"),
        (":set x 1", ":local x or :global x"),
        ("/ip adress", "did you mean address?"),
        ("/ip/adress/print", "did you mean address?"),
        (":pit 1", "did you mean put"),
        ("/ip address { print", "for the bracket of line 1 column 13"),
    ] {
        let errors = import(&Tree::new(), script).unwrap_err();
        let given = errors.0[0].hint.clone().unwrap_or_default();
        assert!(given.contains(hint), "{script}: {given}");
    }
}

#[test]
fn blanks_behind_a_joining_backslash_are_tolerated_and_told() {
    let outcome = import(&Tree::new(), "/system identity set \\  \n    name=a").unwrap();
    assert_eq!(outcome.notes.len(), 1);
    assert_eq!(outcome.notes[0].line, 1);
}

/// Scripts of tokens in any order: an answer, never a panic.
#[test]
fn tokens_in_any_order_have_an_answer() {
    const TOKENS: [&str; 60] = [
        "/ip address",
        "/ip/route",
        "/",
        ":",
        "add",
        "set",
        "find",
        "print",
        "where",
        "get",
        "remove",
        ":put",
        ":local",
        ":global",
        ":set",
        ":if",
        ":foreach",
        ":do",
        "do=",
        "else=",
        "in=",
        "on-error=",
        "while=",
        "x",
        "$x",
        "$f",
        "a=",
        ".as=",
        "address=",
        "192.0.2.1/24",
        "2001:db8::1",
        "10s",
        "0x1F",
        "-1",
        "*1A",
        "yes",
        "!",
        "\"",
        "\"a$x\"",
        "\"$[",
        "\"$(",
        "\\",
        "\\\n",
        "\n",
        ";",
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
        "->",
        "=",
        "~",
        ",",
        ".",
        " ",
        " ",
        "#",
        "é",
    ];
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap() % below
    };
    for _ in 0..4_000 {
        let length = 1 + next(40);
        let mut script = String::new();
        for _ in 0..length {
            script.push_str(TOKENS[next(TOKENS.len())]);
            if next(3) > 0 {
                script.push(' ');
            }
        }
        let _ = listing(&script);
        let _ = import(&Tree::new(), &script);
    }
}

#[test]
fn any_input_has_an_answer_soon() {
    let start = Instant::now();
    for (piece, count) in [
        ("{", 20_000),
        ("[", 50_000),
        ("(", 50_000),
        ("$(", 50_000),
        ("\"$[", 50_000),
        (":put {", 20_000),
        (":do {", 20_000),
        (":put (1+", 20_000),
        (":put (-", 20_000),
        ("$x->", 50_000),
        (":put (1-", 50_000),
        ("1-(", 50_000),
        ("a=", 100_000),
        ("\\\n", 200_000),
        ("#\n", 200_000),
        (";", 500_000),
        ("\t", 1_000_000),
        (":set a $b\n", 50_000),
        ("$a ", 200_000),
        ("\0", 100_000),
    ] {
        let _ = listing(&piece.repeat(count));
    }
    let long = "x".repeat(5_000_000);
    assert!(listing(&format!(":put \"{long}\"")).is_ok());
    assert!(listing(&format!(":put \"{}\"", "\\n".repeat(500_000))).is_ok());
    assert!(listing(&format!(":put ({})", vec!["1"; 3_000].join("+"))).is_ok());
    // Long chains are no deep recursion.
    for (open, link) in
        [(":put (", "1-"), (":put (", "$a->"), (":put (", "$f <%% "), (":put {", "$a/"), (":put (", "1=")]
    {
        let chain = format!("{open}{}1", link.repeat(100_000));
        let message = listing(&chain).unwrap_err().message;
        assert!(message.starts_with("nested too deeply") || message.starts_with("syntax error"), "{message}");
        assert!(import(&Tree::new(), &chain).is_err());
    }
    assert!(listing(&format!(":put ({}1)", "1-".repeat(150))).is_ok());
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}
