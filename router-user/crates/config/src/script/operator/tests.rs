use super::super::eval::constant;
use super::*;
use crate::parser::literal;

/// A value as it is written: `"text"`, `{a;b}`, nothing, or a bare word.
fn value(text: &str) -> Value {
    if text == "nothing" {
        return Value::Nothing;
    }
    if let Some(inner) = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
        return Value::str(inner);
    }
    if let Some(inner) = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')) {
        return Value::list(inner.split(';').filter(|t| !t.is_empty()).map(|word| constant(&literal(word))));
    }
    constant(&literal(text))
}

fn op(text: &str) -> Op {
    match text {
        "+" => Op::Add,
        "-" => Op::Subtract,
        "*" => Op::Multiply,
        "/" => Op::Divide,
        "%" => Op::Modulo,
        "&" => Op::BitAnd,
        "|" => Op::BitOr,
        "^" => Op::BitXor,
        "<<" => Op::ShiftLeft,
        ">>" => Op::ShiftRight,
        "=" => Op::Equal,
        "!=" => Op::NotEqual,
        "<" => Op::Less,
        ">" => Op::Greater,
        "<=" => Op::LessEqual,
        ">=" => Op::GreaterEqual,
        "in" => Op::In,
        "~" => Op::Match,
        "." => Op::Concat,
        "," => Op::Join,
        other => panic!("{other}"),
    }
}

/// Type and text of the result, or the error.
fn result(a: &str, operator: &str, b: &str) -> String {
    match binary(op(operator), &value(a), &value(b)) {
        Ok(value) => format!("{} {}", value.type_name(), value.to_text()),
        Err(fault) => format!("error {}", fault.message),
    }
}

#[test]
fn arithmetic() {
    for (a, operator, b, expected) in [
        ("2", "+", "3", "num 5"),
        ("\"2\"", "+", "3", "num 5"),
        ("\"2\"", "+", "\"3\"", "num 5"),
        ("1h", "+", "1m", "time 01:01:00"),
        ("1h", "+", "30", "time 01:00:30"),
        ("30", "+", "1h", "time 01:00:30"),
        ("10.0.0.1", "+", "5", "ip 10.0.0.6"),
        ("5", "+", "10.0.0.1", "ip 10.0.0.6"),
        ("255.255.255.255", "+", "1", "ip 0.0.0.0"),
        ("2001:db8::1", "+", "15", "ip6 2001:db8::10"),
        ("9223372036854775807", "+", "1", "num -9223372036854775808"),
        ("\"x\"", "+", "1", "error cannot add integer number to string"),
        ("nothing", "+", "1", "error cannot add integer number to nothing"),
        ("true", "+", "true", "error cannot add boolean to boolean"),
        ("2", "-", "3", "num -1"),
        ("10.0.0.5", "-", "10.0.0.1", "num 4"),
        ("10.0.0.5", "-", "5", "ip 10.0.0.0"),
        ("2001:db8::10", "-", "16", "ip6 2001:db8::"),
        ("1m", "-", "1s", "time 00:00:59"),
        ("1m", "-", "\"10s\"", "time 00:00:50"),
        ("{1}", "-", "1", "error cannot subtract integer number from array"),
        ("6", "*", "7", "num 42"),
        ("2", "*", "1h", "time 02:00:00"),
        ("\"a\"", "*", "2", "error cannot multiply string by integer number"),
        ("7", "/", "2", "num 3"),
        ("-7", "/", "2", "num -3"),
        ("7", "/", "0", "error division by zero"),
        ("7", "%", "0", "error division by zero"),
        ("1h", "/", "2", "time 00:30:00"),
        ("1h", "/", "1m", "num 60"),
        ("7", "%", "4", "num 3"),
        ("-9223372036854775807", "%", "-1", "num 0"),
        ("1", "/", "nothing", "error cannot divide integer number by nothing"),
    ] {
        assert_eq!(result(a, operator, b), expected, "{a} {operator} {b}");
    }
    let least = Value::Num(i64::MIN);
    let divided = binary(Op::Divide, &least, &Value::Num(-1));
    assert_eq!(divided.unwrap(), Value::Num(i64::MIN));
}

#[test]
fn bit_operations() {
    for (a, operator, b, expected) in [
        ("12", "&", "10", "num 8"),
        ("12", "|", "3", "num 15"),
        ("12", "^", "10", "num 6"),
        ("192.0.2.77", "&", "255.255.255.0", "ip 192.0.2.0"),
        ("192.0.2.0", "|", "77", "ip 192.0.2.77"),
        ("192.0.2.77", "&", "255", "ip 0.0.0.77"),
        ("2001:db8::ff", "&", "ffff:ffff::", "ip6 2001:db8::"),
        ("1", "<<", "4", "num 16"),
        ("-1", ">>", "60", "num -1"),
        ("1", "<<", "64", "num 0"),
        ("1", ">>", "1000", "num 0"),
        ("192.0.2.0", ">>", "8", "ip 0.192.0.2"),
        ("1", "<<", "-1", "num 0"),
        ("true", "&", "1", "error cannot do bitwise and of boolean and integer number"),
        ("1", "<<", "\"x\"", "error cannot shift integer number left by string"),
    ] {
        assert_eq!(result(a, operator, b), expected, "{a} {operator} {b}");
    }
}

#[test]
fn comparison() {
    for (a, operator, b, expected) in [
        ("5", "=", "5", "bool true"),
        ("5", "=", "\"5\"", "bool true"),
        ("\"05\"", "=", "5", "bool true"),
        ("\"05\"", "=", "\"5\"", "bool false"),
        ("\"a\"", "=", "\"a\"", "bool true"),
        ("true", "=", "yes", "bool true"),
        ("false", "!=", "yes", "bool true"),
        ("60", "=", "1m", "bool true"),
        ("10.0.0.1", "=", "\"10.0.0.1\"", "bool true"),
        ("nothing", "=", "\"\"", "bool true"),
        ("nothing", "=", "0", "bool false"),
        ("{1;2}", "=", "{1;2}", "bool true"),
        ("{1;2}", "=", "{2;1}", "bool false"),
        ("{*1}", "=", "*1", "bool true"),
        ("2", "<", "10", "bool true"),
        ("\"2\"", "<", "10", "bool true"),
        ("\"2\"", "<", "\"10\"", "bool false"),
        ("1m", ">", "59", "bool true"),
        ("10.0.0.1", "<=", "10.0.0.1", "bool true"),
        ("10.0.0.2", ">=", "10.0.0.10", "bool false"),
        ("\"x\"", "<", "5", "error cannot compare if string is less than integer number"),
        ("{1}", ">", "5", "error cannot compare if array is more than integer number"),
        ("nothing", "<", "0", "bool true"),
        ("nothing", ">=", "0", "bool false"),
        ("-5", ">", "nothing", "bool true"),
        ("nothing", ">", "nothing", "bool false"),
    ] {
        assert_eq!(result(a, operator, b), expected, "{a} {operator} {b}");
    }
}

#[test]
fn in_and_match() {
    for (a, operator, b, expected) in [
        ("192.0.2.7", "in", "192.0.2.0/24", "bool true"),
        ("192.0.3.7", "in", "192.0.2.0/24", "bool false"),
        ("192.0.2.7", "in", "0.0.0.0/0", "bool true"),
        ("192.0.2.128/25", "in", "192.0.2.0/24", "bool true"),
        ("192.0.2.0/23", "in", "192.0.2.0/24", "bool false"),
        ("2001:db8::1", "in", "2001:db8::/32", "bool true"),
        ("2001:db8::1", "in", "::/0", "bool true"),
        ("\"192.0.2.7\"", "in", "192.0.2.0/24", "bool true"),
        ("192.0.2.7", "in", "\"192.0.2.0/24\"", "bool true"),
        ("192.0.2.7", "in", "::/0", "bool false"),
        ("2", "in", "{1;2;3}", "bool true"),
        ("4", "in", "{1;2;3}", "bool false"),
        ("4", "in", "5", "error cannot check if integer number is in integer number"),
        ("ether1", "~", "\"^eth\"", "bool true"),
        ("192.0.2.7", "~", "\"^192\\.0\"", "bool true"),
        ("nothing", "~", "\"\"", "bool false"),
        ("ether1", "~", "\"(\"", "error bad regular expression"),
    ] {
        assert_eq!(result(a, operator, b), expected, "{a} {operator} {b}");
    }
}

#[test]
fn joining() {
    for (a, operator, b, expected) in [
        ("\"a\"", ".", "\"b\"", "str ab"),
        ("1", ".", "2", "str 12"),
        ("nothing", ".", "\"b\"", "str b"),
        ("1h", ".", "\"!\"", "str 01:00:00!"),
        ("{1;2}", ".", "\"x\"", "array 1x;2x"),
        ("\"x\"", ".", "{1;2}", "array x1;x2"),
        ("1", ",", "2", "array 1;2"),
        ("{1;2}", ",", "3", "array 1;2;3"),
        ("1", ",", "{2;3}", "array 1;2;3"),
        ("{1}", ",", "{2}", "array 1;2"),
        ("nothing", ",", "2", "array 2"),
    ] {
        assert_eq!(result(a, operator, b), expected, "{a} {operator} {b}");
    }
}

#[test]
fn one_sided_operators() {
    assert_eq!(not(&Value::Bool(true)), Ok(Value::Bool(false)));
    assert_eq!(not(&Value::Num(1)), Err(Fault::new("cannot do logical not of integer number")));
    assert_eq!(negate(&Value::Num(5)), Ok(Value::Num(-5)));
    assert_eq!(negate(&value("1m")).map(|v| v.to_text()), Ok("-00:01:00".into()));
    assert_eq!(negate(&Value::Bool(true)), Err(Fault::new("cannot negate boolean")));
    assert_eq!(invert(&Value::Num(0)), Ok(Value::Num(-1)));
    assert_eq!(invert(&value("255.255.255.0")), Ok(value("0.0.0.255")));
    assert!(invert(&Value::str("x")).is_err());
    assert_eq!(truth(&Value::str("yes")), Some(true));
    assert_eq!(truth(&Value::Num(1)), None);
}
