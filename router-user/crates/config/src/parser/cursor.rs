//! The bytes of a script and the place in them. Columns count bytes, lines are physical ones.

use crate::error::{Error, Span};

/// Blanks at the beginning of a line that may be tabs.
const MAX_INDENT: usize = 256;

/// A place to come back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub pos: usize,
    line: u32,
    line_start: usize,
}

pub(super) struct Cursor<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: Mark,
    /// Columns are those of a terminal, as the original counts them: a tab goes on to the next multiple of eight.
    tabs: bool,
    /// A backslash that has blanks between itself and the line end it joins.
    pub loose_join: Option<Span>,
}

impl<'t> Cursor<'t> {
    /// A byte order mark is passed over.
    pub fn new(text: &'t str, tabs: bool) -> Cursor<'t> {
        let bytes = text.as_bytes();
        let start = if bytes.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
        Cursor { text, bytes, at: Mark { pos: start, line: 1, line_start: start }, tabs, loose_join: None }
    }

    pub fn mark(&self) -> Mark {
        self.at
    }

    pub fn back_to(&mut self, mark: Mark) {
        self.at = mark;
    }

    pub fn pos(&self) -> usize {
        self.at.pos
    }

    pub fn span(&self) -> Span {
        let mut column = self.at.pos.saturating_sub(self.at.line_start).saturating_add(1);
        if self.tabs {
            column += self.indent();
        }
        Span { line: self.at.line, column: u32::try_from(column).unwrap_or(u32::MAX) }
    }

    /// What the tabs at the beginning of the line add to a column.
    fn indent(&self) -> usize {
        let line = self.bytes.get(self.at.line_start..self.at.pos).unwrap_or_default();
        let blanks = line.iter().take(MAX_INDENT).take_while(|b| matches!(b, b' ' | b'\t'));
        let (mut column, mut count) = (1usize, 0usize);
        for blank in blanks {
            column = if *blank == b'\t' { (column + 8) & !7 } else { column + 1 };
            count += 1;
        }
        column.saturating_sub(count + 1)
    }

    pub fn error(&self, message: &str) -> Error {
        Error::new(self.span(), message)
    }

    pub fn slice(&self, from: usize, to: usize) -> &'t str {
        self.text.get(from..to).unwrap_or_default()
    }

    /// The byte here, after any joined line ends, whose next line's leading blanks belong to the join.
    pub fn peek(&mut self) -> Option<u8> {
        while self.bytes.get(self.at.pos) == Some(&b'\\') {
            let Some((length, loose)) = self.join() else { break };
            if loose && self.loose_join.is_none() {
                self.loose_join = Some(self.span());
            }
            self.at.pos += length;
            self.at.line = self.at.line.saturating_add(1);
            self.at.line_start = self.at.pos;
            while matches!(self.bytes.get(self.at.pos), Some(b' ' | b'\t')) {
                self.at.pos += 1;
            }
        }
        self.bytes.get(self.at.pos).copied()
    }

    /// The bytes here as they are.
    pub fn rest(&self) -> &'t [u8] {
        self.bytes.get(self.at.pos..).unwrap_or_default()
    }

    pub fn peek_at(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at.pos.saturating_add(ahead)).copied()
    }

    /// Length of a backslash with its line end, and whether blanks stand between the two.
    fn join(&self) -> Option<(usize, bool)> {
        let mut end = self.at.pos + 1;
        while matches!(self.bytes.get(end), Some(b' ' | b'\t')) {
            end += 1;
        }
        let line_end = match (self.bytes.get(end), self.bytes.get(end + 1)) {
            (Some(b'\r'), Some(b'\n')) => 2,
            (Some(b'\r' | b'\n'), _) => 1,
            _ => return None,
        };
        Some((end + line_end - self.at.pos, end > self.at.pos + 1))
    }

    /// Moves over bytes of which none ends a line.
    pub fn skip(&mut self, count: usize) {
        self.at.pos = self.at.pos.saturating_add(count).min(self.bytes.len());
    }

    /// Moves over one byte, counting lines.
    pub fn advance(&mut self) {
        let byte = self.bytes.get(self.at.pos).copied();
        self.skip(1);
        let line_end =
            byte == Some(b'\n') || (byte == Some(b'\r') && self.bytes.get(self.at.pos) != Some(&b'\n'));
        if line_end {
            self.at.line = self.at.line.saturating_add(1);
            self.at.line_start = self.at.pos;
        }
    }

    /// Moves over blanks; tells whether there were any.
    pub fn blanks(&mut self) -> bool {
        let from = self.at.pos;
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at.pos += 1;
        }
        self.at.pos > from
    }

    /// Moves over blanks, line ends and comments.
    pub fn space(&mut self) {
        loop {
            match self.peek() {
                Some(b' ' | b'\t') => self.at.pos += 1,
                Some(b'\r' | b'\n') => self.advance(),
                Some(b'#') => self.comment(),
                _ => return,
            }
        }
    }

    /// A comment ends with its physical line, whatever the last byte is.
    pub fn comment(&mut self) {
        while !matches!(self.bytes.get(self.at.pos), None | Some(b'\r' | b'\n')) {
            self.at.pos += 1;
        }
    }

    /// Goes to the end of the line, and of those that continue it.
    pub fn skip_line(&mut self) {
        while let Some(byte) = self.peek() {
            if matches!(byte, b'\r' | b'\n') {
                return;
            }
            self.at.pos += 1;
        }
    }

    /// The bytes here for which `belongs` holds.
    pub fn word(&mut self, belongs: impl Fn(u8) -> bool) -> String {
        let mut word = Vec::new();
        while let Some(byte) = self.peek().filter(|b| belongs(*b)) {
            word.push(byte);
            self.at.pos += 1;
        }
        super::text::into_text(word)
    }
}
