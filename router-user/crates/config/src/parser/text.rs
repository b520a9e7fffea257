//! Bytes of strings as text, and UTF-8 of whole files.

use crate::error::{Error, Span};

/// UTF-8 or an error that says where it ends.
pub(crate) fn decode(bytes: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(bytes).map_err(|e| {
        let good = bytes.get(..e.valid_up_to()).unwrap_or_default();
        let line_start = good.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
        let line = good.iter().filter(|b| **b == b'\n').count() + 1;
        let span = Span { line: to_u32(line), column: to_u32(good.len() - line_start + 1) };
        Error::new(span, "invalid character")
            .hint("the text is not UTF-8; RouterOS writes such bytes as \\XX")
    })
}

fn to_u32(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// First of the private-use characters that stand for bytes 0x80..0xFF which are no UTF-8.
const RAW_BYTE: u32 = 0xF700;

/// Bytes of a string -> text. Bytes that are no UTF-8 become private-use characters, so that none is lost.
pub(crate) fn into_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| {
        let mut text = String::new();
        for chunk in e.as_bytes().utf8_chunks() {
            text.push_str(chunk.valid());
            text.extend(chunk.invalid().iter().filter_map(|b| char::from_u32(RAW_BYTE + u32::from(*b))));
        }
        text
    })
}

/// The byte that a character stands for where it is one of [`into_text`]'s.
pub(crate) fn raw_byte(c: char) -> Option<u8> {
    u32::from(c)
        .checked_sub(RAW_BYTE)
        .filter(|b| (0x80..=0xFF).contains(b))
        .and_then(|b| u8::try_from(b).ok())
}
