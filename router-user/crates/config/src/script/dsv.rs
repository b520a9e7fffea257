//! Delimiter-separated values: `:serialize to=dsv` and `:deserialize from=dsv`.

use std::sync::Arc;

use super::MAX_ELEMENTS;
use super::array::Array;
use super::value::Value;
use crate::error::Fault;

/// How the values of a row are named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Form {
    /// Rows are lists.
    #[default]
    Plain,
    /// The first row holds the names, every other row is an array under them.
    Named,
}

/// Rows of values as text. Rows under names are written below a row of the names, in `order` or as they come.
pub(crate) fn write(value: &Value, delimiter: &[u8], order: &[Value]) -> Result<Value, Fault> {
    let Value::Array(array) = value else { return Ok(Value::Str(value.to_bytes())) };
    let rows: Vec<&Value> = if array.list().iter().any(|row| matches!(row, Value::Array(_))) {
        array.list().iter().collect()
    } else {
        vec![value]
    };
    let mut names: Vec<Arc<[u8]>> = order.iter().map(Value::to_bytes).collect();
    if names.is_empty() {
        let mut seen = std::collections::HashSet::new();
        for row in &rows {
            if let Value::Array(row) = row {
                names.extend(
                    row.named()
                        .map(|(name, _)| Arc::clone(name))
                        .filter(|name| seen.insert(Arc::clone(name))),
                );
            }
        }
    }
    if names.len().saturating_mul(rows.len()) > MAX_ELEMENTS {
        return Err(Fault::new("too many values").hint(format!("at most {MAX_ELEMENTS}")));
    }
    let mut out = Vec::new();
    if !names.is_empty() {
        line(names.iter().cloned(), delimiter, &mut out);
    }
    for row in rows {
        match row {
            Value::Array(row) if !names.is_empty() => {
                let cell = |name: &Arc<[u8]>| {
                    row.get(&Value::Str(Arc::clone(name))).map_or_else(|| Arc::from([]), Value::to_bytes)
                };
                line(names.iter().map(cell), delimiter, &mut out);
            }
            Value::Array(row) => line(row.values().map(Value::to_bytes), delimiter, &mut out),
            other => line(std::iter::once(other.to_bytes()), delimiter, &mut out),
        }
    }
    Ok(Value::bytes(out))
}

fn line(cells: impl Iterator<Item = Arc<[u8]>>, delimiter: &[u8], out: &mut Vec<u8>) {
    for (n, cell) in cells.enumerate() {
        if n > 0 {
            out.extend_from_slice(delimiter);
        }
        let holds_delimiter =
            !delimiter.is_empty() && cell.windows(delimiter.len()).any(|part| part == delimiter);
        if holds_delimiter || cell.iter().any(|b| matches!(b, b'"' | b'\r' | b'\n')) {
            out.push(b'"');
            for byte in cell.iter() {
                if *byte == b'"' {
                    out.push(b'"');
                }
                out.push(*byte);
            }
            out.push(b'"');
        } else {
            out.extend_from_slice(&cell);
        }
    }
    out.extend_from_slice(b"\r\n");
}

pub(crate) fn read(text: &Value, delimiter: &[u8], form: Form) -> Result<Value, Fault> {
    let rows = split(&text.to_bytes(), delimiter)?;
    let list = |row: Vec<Vec<u8>>| Value::list(row.into_iter().map(Value::bytes));
    if form == Form::Plain {
        return Ok(Value::list(rows.into_iter().map(list)));
    }
    let mut rows = rows.into_iter();
    let names: Vec<Arc<[u8]>> = rows.next().unwrap_or_default().into_iter().map(Arc::from).collect();
    let named = |row: Vec<Vec<u8>>| {
        let mut array = Array::default();
        for (n, cell) in row.into_iter().enumerate() {
            match names.get(n) {
                Some(name) => array.insert(Arc::clone(name), Value::bytes(cell)),
                None => array.push(Value::bytes(cell)),
            }
        }
        Value::array(array)
    };
    Ok(Value::list(rows.map(named)))
}

/// Rows and cells; a cell may be in quotes, in which a quote is doubled (RFC 4180).
fn split(text: &[u8], delimiter: &[u8]) -> Result<Vec<Vec<Vec<u8>>>, Fault> {
    let mut rows = Vec::new();
    let (mut row, mut cell, mut count) = (Vec::new(), Vec::new(), 0);
    let (mut quoted, mut begun) = (false, false);
    let mut at = 0;
    while let Some(byte) = text.get(at).copied() {
        at += 1;
        let end_of_row = !quoted && (byte == b'\n' || byte == b'\r');
        if quoted {
            match byte {
                b'"' if text.get(at) == Some(&b'"') => {
                    cell.push(b'"');
                    at += 1;
                }
                b'"' => quoted = false,
                _ => cell.push(byte),
            }
        } else if !delimiter.is_empty() && text.get(at - 1..).is_some_and(|rest| rest.starts_with(delimiter))
        {
            at += delimiter.len() - 1;
            row.push(std::mem::take(&mut cell));
            begun = true;
            count += 1;
        } else if end_of_row {
            if byte == b'\r' && text.get(at) == Some(&b'\n') {
                at += 1;
            }
            if begun || !cell.is_empty() {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
                count += 2;
            }
            begun = false;
        } else if byte == b'"' && cell.is_empty() {
            (quoted, begun) = (true, true);
        } else {
            cell.push(byte);
        }
        if count > MAX_ELEMENTS {
            return Err(Fault::new("too many values").hint(format!("at most {MAX_ELEMENTS}")));
        }
    }
    if begun || !cell.is_empty() || !row.is_empty() {
        row.push(cell);
        rows.push(row);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_plain_and_under_names() {
        let text = Value::str("a,b\r\n1,\"x, y\"\r\n2,\"say \"\"hi\"\"\"\r\n");
        let plain = read(&text, b",", Form::Plain).unwrap();
        assert_eq!(plain.to_text(), "a;b;1;x, y;2;say \"hi\"");
        let named = read(&text, b",", Form::Named).unwrap();
        assert_eq!(named.to_text(), "a=1;b=x, y;a=2;b=say \"hi\"");
        assert_eq!(read(&Value::str("k=v\nl=w"), b"=", Form::Plain).unwrap().to_text(), "k;v;l;w");
        assert_eq!(read(&Value::str(""), b",", Form::Plain).unwrap(), Value::list([]));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let text = Value::str("a,b\r\n1,\"x, \"\"y\"\r\n,\r\n");
        let rows = read(&text, b",", Form::Named).unwrap();
        assert_eq!(write(&rows, b",", &[]).unwrap(), text);
        let order = [Value::str("b")];
        assert_eq!(write(&rows, b",", &order).unwrap().to_text(), "b\r\n\"x, \"\"y\"\r\n\r\n");
        let flat = Value::list([Value::Num(1), Value::str("x")]);
        assert_eq!(write(&flat, b"\t", &[]).unwrap().to_text(), "1\tx\r\n");
    }
}
