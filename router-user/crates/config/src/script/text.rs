//! Functions on strings and arrays: `:len`, `:pick`, `:find`, `:range`.

use super::MAX_ELEMENTS;
use super::array::Array;
use super::operator::equal;
use super::value::{Value, count};
use crate::error::Fault;

/// `:len`: bytes of a text, values of an array.
pub(crate) fn len(value: &Value) -> Value {
    match value {
        Value::Array(array) => count(array.len()),
        Value::Nothing | Value::Nil => Value::Num(0),
        other => count(other.to_bytes().len()),
    }
}

/// A position that a script gives; nil is none.
fn position(value: Option<&Value>) -> Result<Option<i64>, Fault> {
    match value {
        None | Some(Value::Nothing | Value::Nil) => Ok(None),
        Some(value) => match super::convert::to_num(value) {
            Value::Num(n) => Ok(Some(n)),
            _ => Err(Fault::new("invalid value for argument: integer number required")),
        },
    }
}

/// `:pick x begin [end]`: from `begin` up to before `end`; without `end` the one at `begin`, with a nil `end`
/// (nothing was found) all the rest.
pub(crate) fn pick(value: &Value, begin: &Value, end: Option<&Value>) -> Result<Value, Fault> {
    let begin = position(Some(begin))?.unwrap_or(0);
    let last = match end {
        None => begin.saturating_add(1),
        Some(end) => position(Some(end))?.unwrap_or(i64::MAX),
    };
    if let (Value::Array(array), None) = (value, end) {
        return Ok(array
            .values()
            .nth(usize::try_from(begin).unwrap_or(usize::MAX))
            .cloned()
            .unwrap_or(Value::Nothing));
    }
    let span = |length: usize| {
        let from = usize::try_from(begin).unwrap_or(0).min(length);
        let to = usize::try_from(last).unwrap_or(0).min(length);
        from..to.max(from)
    };
    Ok(match value {
        Value::Array(array) => {
            let range = span(array.len());
            let mut picked = Array::default();
            for (key, value) in array.entries().skip(range.start).take(range.len()) {
                match key {
                    Value::Str(name) => picked.insert(name, value.clone()),
                    _ => picked.push(value.clone()),
                }
            }
            Value::array(picked)
        }
        Value::Nothing | Value::Nil => Value::Nil,
        other => {
            let bytes = other.to_bytes();
            Value::bytes(bytes.get(span(bytes.len())).unwrap_or_default())
        }
    })
}

/// `:find x key [from]`: where `key` begins in a text, or which value of an array equals it; the search begins behind
/// `from`. Nil where it is nowhere.
pub(crate) fn find(value: &Value, key: &Value, from: Option<&Value>) -> Result<Value, Fault> {
    let from = position(from)?.unwrap_or(-1).saturating_add(1);
    let from = usize::try_from(from).unwrap_or(0);
    Ok(match value {
        Value::Array(array) => {
            let mut found = array.entries().skip(from).filter(|(_, value)| equal(value, key));
            found.next().map_or(Value::Nil, |(key, _)| key)
        }
        Value::Nothing | Value::Nil => Value::Nil,
        other => {
            let (text, key) = (other.to_bytes(), key.to_bytes());
            let at = text.get(from..).and_then(|rest| search(rest, &key));
            at.map_or(Value::Nil, |at| count(from + at))
        }
    })
}

/// Where `key` first stands in `text`, in time linear in both (Knuth, Morris, Pratt).
fn search(text: &[u8], key: &[u8]) -> Option<usize> {
    let Some(first) = key.first() else { return Some(0) };
    if key.len() == 1 {
        return text.iter().position(|b| b == first);
    }
    // How much of the key's beginning is also the end of its first n bytes.
    let mut borders = vec![0usize];
    let mut border = 0;
    for byte in key.iter().skip(1) {
        while border > 0 && key.get(border) != Some(byte) {
            border = borders.get(border - 1).copied().unwrap_or(0);
        }
        border += usize::from(key.get(border) == Some(byte));
        borders.push(border);
    }
    let mut matched = 0;
    for (at, byte) in text.iter().enumerate() {
        while matched > 0 && key.get(matched) != Some(byte) {
            matched = borders.get(matched - 1).copied().unwrap_or(0);
        }
        matched += usize::from(key.get(matched) == Some(byte));
        if matched == key.len() {
            return Some(at + 1 - matched);
        }
    }
    None
}

/// `:range from to [step]`: numbers with both ends included.
pub(crate) fn range(from: i64, to: i64, step: Option<i64>) -> Result<Value, Fault> {
    let step = step.unwrap_or(if from <= to { 1 } else { -1 });
    if step == 0 {
        return Err(Fault::new("invalid value for argument step"));
    }
    let mut values = Vec::new();
    let mut at = from;
    while if step > 0 { at <= to } else { at >= to } {
        if values.len() >= MAX_ELEMENTS {
            return Err(Fault::new("range is too long").hint(format!("at most {MAX_ELEMENTS} numbers")));
        }
        values.push(Value::Num(at));
        match at.checked_add(step) {
            Some(next) => at = next,
            None => break,
        }
    }
    Ok(Value::list(values))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array() -> Value {
        let mut array: Array = ["x", "y", "z"].into_iter().map(Value::str).collect();
        array.insert(b"k".as_slice().into(), Value::Num(9));
        Value::array(array)
    }

    #[test]
    fn lengths_count_bytes_and_values() {
        for (value, expected) in [
            (Value::str("abc"), 3),
            (Value::str("é"), 2),
            (Value::Num(1234), 4),
            (array(), 4),
            (Value::Nothing, 0),
        ] {
            assert_eq!(len(&value), Value::Num(expected));
        }
    }

    #[test]
    fn pick_takes_a_part() {
        let text = Value::str("abcdef");
        for (begin, end, expected) in [
            (0, Some(Value::Num(3)), "abc"),
            (2, None, "c"),
            (4, Some(Value::Num(99)), "ef"),
            (9, Some(Value::Num(12)), ""),
            (3, Some(Value::Num(1)), ""),
            (2, Some(Value::Nil), "cdef"),
            (-5, Some(Value::Num(2)), "ab"),
        ] {
            let picked = pick(&text, &Value::Num(begin), end.as_ref()).unwrap();
            assert_eq!(picked, Value::str(expected), "{begin} {end:?}");
        }
        assert_eq!(pick(&array(), &Value::Num(1), None).unwrap(), Value::str("y"));
        assert_eq!(pick(&array(), &Value::Num(1), Some(&Value::Num(9))).unwrap().to_text(), "y;z;k=9");
        assert_eq!(pick(&array(), &Value::Num(9), None).unwrap(), Value::Nothing);
        assert_eq!(pick(&Value::Nothing, &Value::Num(0), None).unwrap(), Value::Nil);
        assert!(pick(&text, &Value::str("x"), None).is_err());
    }

    #[test]
    fn find_searches_behind_a_position() {
        let text = Value::str("abcabc");
        let at = |key: &str, from: Option<i64>| {
            find(&text, &Value::str(key), from.map(Value::Num).as_ref()).unwrap()
        };
        assert_eq!(at("a", None), Value::Num(0));
        assert_eq!(at("a", Some(-1)), Value::Num(0));
        assert_eq!(at("a", Some(0)), Value::Num(3));
        assert_eq!(at("bca", None), Value::Num(1));
        assert_eq!(at("x", None), Value::Nil);
        assert_eq!(at("a", Some(100)), Value::Nil);
        assert_eq!(find(&array(), &Value::str("z"), None).unwrap(), Value::Num(2));
        assert_eq!(find(&array(), &Value::Num(9), None).unwrap(), Value::str("k"));
        assert_eq!(find(&array(), &Value::str("q"), None).unwrap(), Value::Nil);
    }

    #[test]
    fn a_search_that_nearly_matches_everywhere_is_linear() {
        let text = "a".repeat(200_000);
        let key = format!("{}b", "a".repeat(50_000));
        assert_eq!(search(text.as_bytes(), key.as_bytes()), None);
        assert_eq!(search(b"ababac", b"abac"), Some(2));
    }

    #[test]
    fn ranges_have_both_ends_and_a_limit() {
        assert_eq!(range(1, 4, None).unwrap().to_text(), "1;2;3;4");
        assert_eq!(range(3, 1, None).unwrap().to_text(), "3;2;1");
        assert_eq!(range(0, 10, Some(5)).unwrap().to_text(), "0;5;10");
        assert_eq!(range(1, 0, Some(1)).unwrap(), Value::list([]));
        assert_eq!(
            range(i64::MAX - 1, i64::MAX, None).unwrap().to_text(),
            "9223372036854775806;9223372036854775807"
        );
        assert!(range(0, i64::MAX, None).is_err());
        assert!(range(0, 1, Some(0)).is_err());
    }
}
