//! `:convert`: bytes between their written forms, and transformations of them.

use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::{Sha224, Sha256, Sha384, Sha512};

use super::value::{Value, to_bytes};
use crate::error::Fault;

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const HEX: &[u8; 16] = b"0123456789abcdef";

/// Reads `value` as `from`, changes the bytes as `transform` says, and writes them as `to`; `raw` where not given.
pub(crate) fn convert(value: &Value, from: &str, to: &str, transform: &str) -> Result<Value, Fault> {
    let bytes = read(value, from)?;
    if let Some(digest) = digest(&bytes, transform) {
        // A digest is shown in hexadecimal where no other form is asked for.
        return write(&digest, if to == "raw" { "hex" } else { to });
    }
    write(&change(bytes, transform)?, to)
}

/// RFC 4648, section 4
pub fn base64(bytes: &[u8]) -> String {
    crate::parser::into_text(pack(bytes, BASE64, 6, 4))
}

fn digest(bytes: &[u8], transform: &str) -> Option<Vec<u8>> {
    Some(match transform {
        "md5" => Md5::digest(bytes).to_vec(),
        "sha1" => Sha1::digest(bytes).to_vec(),
        "sha224" => Sha224::digest(bytes).to_vec(),
        "sha256" => Sha256::digest(bytes).to_vec(),
        "sha384" => Sha384::digest(bytes).to_vec(),
        "sha512" => Sha512::digest(bytes).to_vec(),
        _ => return None,
    })
}

fn read(value: &Value, form: &str) -> Result<Vec<u8>, Fault> {
    let text = || value.to_bytes();
    Ok(match form {
        "raw" => text().to_vec(),
        "base64" => unpack(&text(), BASE64, 6).ok_or_else(|| unreadable(form))?,
        "base32" => unpack(&text(), BASE32, 5).ok_or_else(|| unreadable(form))?,
        "hex" => {
            let lower = text().to_ascii_lowercase();
            if lower.len() % 2 != 0 {
                return Err(unreadable(form));
            }
            unpack(&lower, HEX, 4).ok_or_else(|| unreadable(form))?
        }
        "url" => from_url(&text()).ok_or_else(|| unreadable(form))?,
        "num" => match super::convert::to_num(value) {
            Value::Num(n) => {
                let all = n.to_be_bytes();
                let start = all.iter().position(|b| *b != 0).unwrap_or(all.len() - 1);
                all.get(start..).unwrap_or_default().to_vec()
            }
            _ => return Err(unreadable(form)),
        },
        "byte-array" => elements(value, 256, form)?,
        "bit-array-lsb" | "bit-array-msb" => {
            let lsb = form == "bit-array-lsb";
            let bits = elements(value, 2, form)?;
            let join = |byte: u8, (n, bit): (usize, &u8)| byte | bit << if lsb { n } else { 7 - n };
            bits.chunks(8).map(|chunk| chunk.iter().enumerate().fold(0u8, join)).collect()
        }
        _ => return Err(Fault::new("input does not match any value of from")),
    })
}

fn unreadable(form: &str) -> Fault {
    Fault::new(format!("invalid value for argument value: not {form}"))
}

fn elements(value: &Value, limit: i64, form: &str) -> Result<Vec<u8>, Fault> {
    let Value::Array(array) = super::convert::to_array(value) else { return Err(unreadable(form)) };
    let byte = |value: &Value| match super::convert::to_num(value) {
        Value::Num(n) if n < limit => u8::try_from(n).ok(),
        _ => None,
    };
    array.list().iter().map(byte).collect::<Option<_>>().ok_or_else(|| unreadable(form))
}

fn write(bytes: &[u8], form: &str) -> Result<Value, Fault> {
    let bits = |shift: fn(u32) -> u32| {
        let of = move |byte: &u8| {
            (0..8u32).map(|n| Value::Num((i64::from(*byte) >> shift(n)) & 1)).collect::<Vec<_>>()
        };
        Value::list(bytes.iter().flat_map(of))
    };
    Ok(match form {
        "raw" => Value::bytes(bytes),
        "base64" => Value::bytes(pack(bytes, BASE64, 6, 4)),
        "base32" => Value::bytes(pack(bytes, BASE32, 5, 8)),
        "hex" => Value::bytes(pack(bytes, HEX, 4, 1)),
        "url" => Value::bytes(to_url(bytes)),
        "num" => {
            let number =
                bytes.iter().try_fold(0i64, |n, byte| n.checked_mul(256)?.checked_add(i64::from(*byte)));
            number.map(Value::Num).ok_or_else(|| Fault::new("value does not fit into a number"))?
        }
        "byte-array" => Value::list(bytes.iter().map(|byte| Value::Num(i64::from(*byte)))),
        "bit-array-lsb" => bits(|n| n),
        "bit-array-msb" => bits(|n| 7 - n),
        _ => return Err(Fault::new("input does not match any value of to")),
    })
}

fn change(mut bytes: Vec<u8>, transform: &str) -> Result<Vec<u8>, Fault> {
    match transform {
        "" | "none" => {}
        "lc" => bytes.make_ascii_lowercase(),
        "uc" => bytes.make_ascii_uppercase(),
        "lcfirst" => bytes.iter_mut().take(1).for_each(|b| b.make_ascii_lowercase()),
        "ucfirst" => bytes.iter_mut().take(1).for_each(|b| b.make_ascii_uppercase()),
        "reverse" => bytes.reverse(),
        "rot13" => bytes.iter_mut().for_each(|b| *b = rot13(*b)),
        "lf" => bytes = super::convert::line_ends(&Value::bytes(bytes), b"\n").to_bytes().to_vec(),
        "crlf" => bytes = super::convert::line_ends(&Value::bytes(bytes), b"\r\n").to_bytes().to_vec(),
        "ed" => bytes.chunks_exact_mut(2).for_each(<[u8]>::reverse),
        _ => return Err(Fault::new("input does not match any value of transform")),
    }
    Ok(bytes)
}

fn rot13(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' => (byte - b'a' + 13) % 26 + b'a',
        b'A'..=b'Z' => (byte - b'A' + 13) % 26 + b'A',
        other => other,
    }
}

/// Bits in groups of `width`, padded with `=` to a multiple of `group` characters (RFC 4648).
fn pack(bytes: &[u8], alphabet: &[u8], width: u32, group: usize) -> Vec<u8> {
    let mask = (1u32 << width) - 1;
    let letter = |index: u32| {
        usize::try_from(index & mask).ok().and_then(|i| alphabet.get(i)).copied().unwrap_or(b'=')
    };
    let (mut out, mut held, mut bits) = (Vec::new(), 0u32, 0);
    for byte in bytes {
        held = (held << 8 | u32::from(*byte)) & 0xFFFF;
        bits += 8;
        while bits >= width {
            bits -= width;
            out.push(letter(held >> bits));
        }
    }
    if bits > 0 {
        out.push(letter(held << (width - bits)));
    }
    while out.len() % group != 0 {
        out.push(b'=');
    }
    out
}

/// The inverse of [`pack`]; blanks and line ends may stand in it. None where a character is not of the alphabet.
fn unpack(text: &[u8], alphabet: &[u8], width: u32) -> Option<Vec<u8>> {
    let (mut out, mut held, mut bits) = (Vec::new(), 0u32, 0);
    let text = text.iter().filter(|b| !b.is_ascii_whitespace());
    for byte in text.take_while(|b| **b != b'=') {
        let index = alphabet.iter().position(|letter| letter == byte)?;
        held = (held << width | u32::try_from(index).ok()?) & 0xFFFF;
        bits += width;
        if bits >= 8 {
            bits -= 8;
            out.push(u8::try_from(held >> bits & 0xFF).ok()?);
        }
    }
    Some(out)
}

/// RFC 3986, section 2.3: what is not unreserved is written `%XX`.
fn to_url(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(*byte);
        } else {
            out.extend(to_bytes(&format!("%{byte:02X}")));
        }
    }
    out
}

fn from_url(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let mut digit = || char::from(*rest.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                out.push(u8::try_from(high << 4 | low).ok()?);
            }
            b'+' => out.push(b' '),
            other => out.push(*other),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(value: &Value, from: &str, to: &str) -> String {
        match convert(value, from, to, "none") {
            Ok(value) => value.to_text(),
            Err(fault) => format!("error {}", fault.message),
        }
    }

    #[test]
    fn every_form_is_written_and_read_back() {
        for (form, text) in [
            ("raw", "Router"),
            ("base64", "Um91dGVy"),
            ("base32", "KJXXK5DFOI======"),
            ("hex", "526f75746572"),
            ("url", "Router"),
            ("num", "90638665409906"),
            ("byte-array", "82;111;117;116;101;114"),
        ] {
            assert_eq!(converted(&Value::str("Router"), "raw", form), text, "{form}");
            let written = convert(&Value::str("Router"), "raw", form, "").unwrap();
            assert_eq!(converted(&written, form, "raw"), "Router", "{form}");
        }
        for length in 0..10 {
            let bytes: Vec<u8> = (0..length).map(|n: u8| n.wrapping_mul(37).wrapping_add(200)).collect();
            for form in ["base64", "base32", "hex", "url", "byte-array", "bit-array-lsb", "bit-array-msb"] {
                let written = convert(&Value::bytes(bytes.clone()), "raw", form, "").unwrap();
                assert_eq!(
                    convert(&written, form, "raw", "").unwrap(),
                    Value::bytes(bytes.clone()),
                    "{form}"
                );
            }
        }
    }

    #[test]
    fn forms_have_their_signs() {
        assert_eq!(converted(&Value::str("ab"), "raw", "base64"), "YWI=");
        assert_eq!(converted(&Value::str("a b/c"), "raw", "url"), "a%20b%2Fc");
        assert_eq!(converted(&Value::str("a+b%2f"), "url", "raw"), "a b/");
        assert_eq!(converted(&Value::str("EF"), "hex", "bit-array-lsb"), "1;1;1;1;0;1;1;1");
        assert_eq!(converted(&Value::str("EF"), "hex", "bit-array-msb"), "1;1;1;0;1;1;1;1");
        assert_eq!(converted(&Value::Num(255), "num", "hex"), "ff");
        assert_eq!(converted(&Value::Num(0), "num", "hex"), "00");
    }

    #[test]
    fn transformations() {
        for (transform, expected) in [
            ("none", "aBc"),
            ("lc", "abc"),
            ("uc", "ABC"),
            ("ucfirst", "ABc"),
            ("reverse", "cBa"),
            ("rot13", "nOp"),
            ("ed", "Bac"),
        ] {
            assert_eq!(convert(&Value::str("aBc"), "raw", "raw", transform).unwrap(), Value::str(expected));
        }
        assert!(convert(&Value::str("a"), "raw", "raw", "sideways").is_err());
    }

    /// The digests of `abc`: RFC 1321, appendix A.5; FIPS 180-4's examples.
    #[test]
    fn digests() {
        for (transform, start) in [
            ("md5", "900150983cd24fb0d6963f7d28e17f72"),
            ("sha1", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            ("sha256", "ba7816bf8f01cfea414140de5dae2223"),
            ("sha512", "ddaf35a193617abacc417349ae204131"),
        ] {
            let digest = convert(&Value::str("abc"), "raw", "raw", transform).unwrap().to_text();
            assert!(digest.starts_with(start), "{transform}: {digest}");
        }
        let base64 = convert(&Value::str("abc"), "raw", "base64", "md5").unwrap();
        assert_eq!(base64, Value::str("kAFQmDzST7DWlj99KOF/cg=="));
    }

    #[test]
    fn what_is_not_of_the_form_is_refused() {
        let list = Value::list([Value::Num(256)]);
        for (form, value) in [
            ("base64", Value::str("Zm9v!")),
            ("hex", Value::str("abc")),
            ("hex", Value::str("xy")),
            ("url", Value::str("%4")),
            ("num", Value::str("x")),
            ("byte-array", list.clone()),
            ("bit-array-msb", list),
            ("rot", Value::str("x")),
        ] {
            assert!(convert(&value, form, "raw", "none").is_err(), "{form}");
        }
        let wide = Value::str("123456789");
        assert!(convert(&wide, "raw", "num", "").is_err());
    }
}
