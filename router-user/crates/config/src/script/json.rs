//! `:serialize to=json` and `:deserialize from=json`.

use serde_json::{Map, Value as Json};

use super::MAX_ELEMENTS;
use super::array::Array;
use super::operator::is_function;
use super::value::{Value, to_bytes};
use crate::error::Fault;

/// Options of `:serialize to=json`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    pub pretty: bool,
    /// Texts stay texts; else `"5"` becomes a number.
    pub no_string_conversion: bool,
}

pub(crate) fn write(value: &Value, options: Options) -> Value {
    let mut out = String::new();
    put(value, options, 0, &mut out);
    Value::bytes(to_bytes(&out))
}

fn put(value: &Value, options: Options, depth: usize, out: &mut String) {
    match value {
        Value::Nothing | Value::Nil => out.push_str("null"),
        Value::Bool(_) | Value::Num(_) => out.push_str(&value.to_text()),
        Value::Str(_) if !options.no_string_conversion => {
            let text = value.to_text();
            match from_text(&text) {
                Some(number) => out.push_str(&number),
                None => quote(&text, out),
            }
        }
        Value::Array(array) if !is_function(value) => {
            let (open, close) = if array.has_names() { ('{', '}') } else { ('[', ']') };
            let line = |depth: usize, out: &mut String| {
                if options.pretty {
                    out.push('\n');
                    (0..depth).for_each(|_| out.push_str("    "));
                }
            };
            out.push(open);
            for (n, (key, value)) in array.entries().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                line(depth + 1, out);
                if array.has_names() {
                    quote(&key.to_text(), out);
                    out.push_str(if options.pretty { ": " } else { ":" });
                }
                put(value, options, depth + 1, out);
            }
            if array.len() > 0 {
                line(depth, out);
            }
            out.push(close);
        }
        other => quote(&other.to_text(), out),
    }
}

fn quote(text: &str, out: &mut String) {
    out.push_str(&Json::String(text.to_owned()).to_string());
}

/// A text that reads as a number or a truth is written as one; a number gets six decimals.
fn from_text(text: &str) -> Option<String> {
    if matches!(text, "true" | "false") {
        return Some(text.to_owned());
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        && text.len() <= 15;
    text.parse::<f64>().ok().filter(|_| plain).map(|number| format!("{number:.6}"))
}

pub(crate) fn read(text: &Value) -> Result<Value, Fault> {
    let bytes = text.to_bytes();
    let json: Json = serde_json::from_slice(&bytes)
        .map_err(|error| Fault::new("invalid value for argument value: not json").hint(error.to_string()))?;
    let mut left = MAX_ELEMENTS;
    from_json(json, &mut left)
}

fn from_json(json: Json, left: &mut usize) -> Result<Value, Fault> {
    let Some(rest) = left.checked_sub(1) else {
        return Err(Fault::new("too many values").hint(format!("at most {MAX_ELEMENTS}")));
    };
    *left = rest;
    Ok(match json {
        Json::Null => Value::Nil,
        Json::Bool(value) => Value::Bool(value),
        Json::Number(n) => match n.as_i64() {
            Some(n) => Value::Num(n),
            None => Value::str(&n.to_string()),
        },
        Json::String(text) => Value::bytes(to_bytes(&text)),
        Json::Array(values) => {
            let values = values.into_iter().map(|value| from_json(value, left));
            Value::array(values.collect::<Result<Array, Fault>>()?.checked()?)
        }
        Json::Object(values) => Value::array(object(values, left)?.checked()?),
    })
}

fn object(values: Map<String, Json>, left: &mut usize) -> Result<Array, Fault> {
    let mut array = Array::default();
    for (key, value) in values {
        array.insert(to_bytes(&key).into(), from_json(value, left)?);
    }
    Ok(array)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: &Value, options: Options) -> String {
        write(value, options).to_text()
    }

    #[test]
    fn values_become_json() {
        let mut object = Array::default();
        object.insert(b"b".as_slice().into(), Value::Bool(true));
        object.insert(b"a".as_slice().into(), Value::list([Value::Num(1), Value::str("x\"y")]));
        let plain = Options::default();
        assert_eq!(written(&Value::array(object), plain), r#"{"a":[1,"x\"y"],"b":true}"#);
        assert_eq!(written(&Value::list([]), plain), "[]");
        let pretty = Options { pretty: true, ..plain };
        assert_eq!(written(&Value::list([Value::Num(1), Value::list([])]), pretty), "[\n    1,\n    []\n]");
        assert_eq!(written(&Value::Nothing, plain), "null");
        assert_eq!(written(&Value::Ip(std::net::Ipv4Addr::LOCALHOST), plain), "\"127.0.0.1\"");
    }

    #[test]
    fn texts_that_are_numbers_are_written_as_numbers_unless_told_otherwise() {
        let texts = Value::list(["5", "1.5", "true", "1.2.3", "x", ""].into_iter().map(Value::str));
        assert_eq!(written(&texts, Options::default()), r#"[5.000000,1.500000,true,"1.2.3","x",""]"#);
        let keep = Options { no_string_conversion: true, ..Options::default() };
        assert_eq!(written(&texts, keep), r#"["5","1.5","true","1.2.3","x",""]"#);
    }

    #[test]
    fn json_becomes_values() {
        let text = Value::str(r#"{"n":-3,"list":[1,"two",false,null,2.5],"empty":[]}"#);
        let value = read(&text).unwrap();
        assert_eq!(value.to_text(), "empty=;list=1;two;false;;2.5;n=-3");
        let Value::Array(array) = value else { panic!("no array") };
        assert_eq!(array.get(&Value::str("n")), Some(&Value::Num(-3)));
    }

    #[test]
    fn what_is_no_json_or_too_deep_is_refused() {
        for text in [
            "",
            "{",
            "[1,]",
            "{'a':1}",
            &"[".repeat(100_000),
            &format!("{}1{}", "[".repeat(70), "]".repeat(70)),
        ] {
            assert!(read(&Value::str(text)).is_err(), "{text:.20}");
        }
    }
}
