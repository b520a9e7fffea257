//! Errors with the text that RouterOS shows, and the place they belong to.

use std::fmt;

use serde::Serialize;

/// A place in a configuration text: both numbers start at 1, columns count bytes. Line 0 means "no place".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Span {
    pub line: u32,
    pub column: u32,
}

/// One problem of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
pub struct Error {
    pub line: u32,
    pub column: u32,
    /// RouterOS's words where it has some: `bad command name frewall`.
    pub message: String,
    /// Ours: what was probably meant, or what is possible.
    pub hint: Option<String>,
    /// The menu it is about, where that is known: `/ip/address`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub menu: Option<String>,
}

impl Error {
    pub fn new(span: Span, message: impl Into<String>) -> Error {
        Error { line: span.line, column: span.column, message: clip(message.into()), hint: None, menu: None }
    }

    /// Adds what could help.
    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        self.hint = Some(clip(hint.into()));
        self
    }

    /// Adds what could help, if anything does.
    pub(crate) fn maybe(mut self, hint: Option<String>) -> Error {
        self.hint = hint.map(clip);
        self
    }

    /// Says which menu it is about, unless that was said.
    pub(crate) fn about(mut self, menu: &str) -> Error {
        if !menu.is_empty() {
            self.menu.get_or_insert_with(|| format!("/{menu}"));
        }
        self
    }

    pub fn span(&self) -> Span {
        Span { line: self.line, column: self.column }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if self.line > 0 {
            write!(f, " (line {} column {})", self.line, self.column)?;
        }
        Ok(())
    }
}

/// Every problem found, in the order of the text. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
pub struct Errors(pub Vec<Error>);

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
            if let Some(hint) = &error.hint {
                write!(f, "\n    {hint}")?;
            }
        }
        Ok(())
    }
}

impl From<Error> for Errors {
    fn from(error: Error) -> Errors {
        Errors(vec![error])
    }
}

/// What a part that knows no place says; the caller adds the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub message: String,
    pub hint: Option<String>,
}

impl Fault {
    pub fn new(message: impl Into<String>) -> Fault {
        Fault { message: message.into(), hint: None }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Fault {
        self.hint = Some(hint.into());
        self
    }

    pub fn at(self, span: Span) -> Error {
        Error {
            line: span.line,
            column: span.column,
            message: clip(self.message),
            hint: self.hint.map(clip),
            menu: None,
        }
    }
}

/// Longest message or hint, in bytes. Words of the input are part of messages, and input can be long.
const MAX_TEXT: usize = 240;

fn clip(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        text.push_str("...");
        text.shrink_to_fit();
    }
    text
}

/// The names nearest to a mistyped one, as a hint; None where nothing is near.
pub(crate) fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    if word.is_empty() || word.len() > 40 {
        return None;
    }
    let limit = 1 + word.len() / 4;
    let mut near: Vec<(usize, &str)> =
        names.map(|name| (distance(word, name), name)).filter(|(d, _)| *d <= limit).collect();
    near.sort();
    near.dedup();
    match near.as_slice() {
        [] => None,
        [(_, one)] => Some(format!("did you mean {one}?")),
        [(_, one), (_, two), ..] => Some(format!("did you mean {one} or {two}?")),
    }
}

/// True where a word is one of the names but for a slip; names that differ in their numbers are not the same.
pub(crate) fn is_misspelt<'a>(word: &str, mut names: impl Iterator<Item = &'a str>) -> bool {
    let letters = |text: &str| text.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    let slips = if word.len() < 8 { 1 } else { 2 };
    (4..=40).contains(&word.len())
        && names.any(|name| distance(word, name) <= slips && letters(name) != letters(word))
}

/// Edit distance with swaps of neighbours (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut best = (last[j] + usize::from(x != y)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_finds_typos_and_stays_silent_otherwise() {
        let names = ["firewall", "filter", "address"];
        assert_eq!(nearest("frewall", names.iter().copied()).as_deref(), Some("did you mean firewall?"));
        assert_eq!(nearest("adderss", names.iter().copied()).as_deref(), Some("did you mean address?"));
        assert_eq!(nearest("zzz", names.iter().copied()), None);
    }

    #[test]
    fn a_slip_is_told_from_another_name() {
        let names = ["bridge1", "WAN", "guests"];
        for (word, slip) in
            [("brigde1", true), ("guest", true), ("bridge2", false), ("LAN", false), ("uplink", false)]
        {
            assert_eq!(is_misspelt(word, names.iter().copied()), slip, "{word}");
        }
    }

    #[test]
    fn display_carries_the_place() {
        let error = Error::new(Span { line: 3, column: 24 }, "expected end of command");
        assert_eq!(error.to_string(), "expected end of command (line 3 column 24)");
        assert_eq!(Error::new(Span::default(), "no such item").to_string(), "no such item");
    }
}
