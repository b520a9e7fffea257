//! Where the nodes of a YAML text stand: a scan of keys, list items and indentation, since the YAML library keeps no
//! places. It reads the same text after the library has found it valid, so it only has to follow, not to check.

use std::collections::HashMap;

use crate::error::Span;

pub(crate) struct Places {
    by_path: HashMap<String, Span>,
    /// Numbers that are not written as a plain decimal one, as they are written.
    numbers: HashMap<String, String>,
}

/// A block collection that is open at an indentation.
struct Level {
    indent: usize,
    /// Number of items so far, for a list.
    count: Option<usize>,
    path: String,
    /// The key or item that was opened last.
    last: String,
}

impl Places {
    pub fn scan(text: &str) -> Places {
        let mut scan = Scan::default();
        for (number, line) in text.lines().enumerate() {
            scan.line(line, u32::try_from(number + 1).unwrap_or(u32::MAX));
        }
        Places { by_path: scan.by_path, numbers: scan.numbers }
    }

    /// A number as it is written, where that is not its plain decimal text: `0x8000`.
    pub fn number(&self, path: &[String]) -> Option<&str> {
        self.numbers.get(&path.join("\0")).map(String::as_str)
    }

    /// The paths of all places, to tell them in errors: `ip.address.0`.
    pub fn paths(&self) -> HashMap<Span, String> {
        self.by_path.iter().map(|(path, span)| (*span, path.replace('\0', "."))).collect()
    }

    /// The place of a node, or of the nearest one that holds it.
    pub fn find(&self, path: &[String]) -> Span {
        let mut path = path;
        loop {
            if let Some(span) = self.by_path.get(&path.join("\0")) {
                return *span;
            }
            match path.split_last() {
                Some((_, rest)) if !rest.is_empty() => path = rest,
                _ => return Span { line: 1, column: 1 },
            }
        }
    }
}

#[derive(Default)]
struct Scan {
    by_path: HashMap<String, Span>,
    numbers: HashMap<String, String>,
    levels: Vec<Level>,
    /// Inside `|` or `>`: lines with more indentation than this are text.
    scalar_indent: Option<usize>,
    /// Brackets that are open, each with the path of what it holds and, for a list, the number of items so far.
    brackets: Vec<(String, Option<usize>)>,
    /// The key inside the innermost brackets whose value is next.
    key: Option<String>,
    /// The quote of a string that goes on over lines.
    quote: Option<u8>,
}

impl Scan {
    fn line(&mut self, line: &str, number: u32) {
        let indent = line.len() - line.trim_start_matches(' ').len();
        let content = line.trim();
        if let Some(quote) = self.quote.take() {
            match closing(line.as_bytes(), 0, quote) {
                Some(end) if !self.brackets.is_empty() => self.flow(line, end + 1, number),
                Some(_) => {}
                None => self.quote = Some(quote),
            }
            return;
        }
        if !self.brackets.is_empty() {
            self.flow(line, indent, number);
            return;
        }
        if let Some(limit) = self.scalar_indent {
            if content.is_empty() || indent > limit {
                return;
            }
            self.scalar_indent = None;
        }
        if content.is_empty() || content.starts_with('#') || content == "---" || content.starts_with('%') {
            return;
        }
        self.node(line, indent, number);
    }

    /// What begins at a byte of a line: a list item, a key, or a value.
    fn node(&mut self, line: &str, at: usize, number: u32) {
        let rest = line.get(at..).unwrap_or_default();
        let span = Span { line: number, column: u32::try_from(at + 1).unwrap_or(u32::MAX) };
        if rest == "-" || rest.starts_with("- ") {
            self.close(at, true);
            let path = self.open(at, span);
            let inner = rest.get(1..).unwrap_or_default();
            let blanks = inner.len() - inner.trim_start().len();
            if !inner.trim().is_empty() {
                self.value(line, at + 1 + blanks, number, &path);
            }
            return;
        }
        let Some((key, after)) = key(rest) else { return };
        self.close(at, false);
        let base = self.levels.last().map_or(String::new(), |l| l.last.clone());
        let inside = self.levels.last().is_some_and(|l| l.indent == at && l.count.is_none());
        let parent = if inside { self.levels.last().map_or(String::new(), |l| l.path.clone()) } else { base };
        let path = join(&parent, &key);
        self.by_path.entry(path.clone()).or_insert(span);
        match self.levels.last_mut().filter(|_| inside) {
            Some(level) => level.last.clone_from(&path),
            None => self.levels.push(Level { indent: at, count: None, path: parent, last: path.clone() }),
        }
        let value = rest.get(after..).unwrap_or_default();
        let blanks = value.len() - value.trim_start().len();
        if !value.trim().is_empty() {
            self.value(line, at + after + blanks, number, &path);
        }
    }

    fn value(&mut self, line: &str, at: usize, number: u32, path: &str) {
        let rest = line.get(at..).unwrap_or_default();
        match rest.as_bytes().first() {
            Some(b'{' | b'[') => {
                self.key = Some(path.to_owned());
                self.flow(line, at, number);
            }
            Some(b'|' | b'>') => {
                self.scalar_indent = Some(self.levels.last().map_or(0, |l| l.indent));
            }
            _ if rest.starts_with("- ") || key(rest).is_some() => self.node(line, at, number),
            Some(quote @ (b'"' | b'\'')) => {
                if closing(line.as_bytes(), at + 1, *quote).is_none() {
                    self.quote = Some(*quote);
                }
            }
            _ => self.scalar(path, rest.split(" #").next().unwrap_or_default()),
        }
    }

    /// Keys and numbers of `{a: 1, b: [..]}` as far as they stand on this line.
    fn flow(&mut self, line: &str, at: usize, number: u32) {
        let bytes = line.as_bytes();
        let mut pos = at;
        while let Some(byte) = bytes.get(pos).copied() {
            match byte {
                b'{' | b'[' => {
                    let path = self.key.take().unwrap_or_else(|| self.item_path());
                    self.brackets.push((path, (byte == b'[').then_some(0)));
                }
                b'}' | b']' => {
                    self.brackets.pop();
                    self.key = None;
                    if self.brackets.is_empty() {
                        return;
                    }
                }
                b',' => {
                    self.key = None;
                    if let Some((_, Some(count))) = self.brackets.last_mut() {
                        *count += 1;
                    }
                }
                b'#' if pos == 0 || bytes.get(pos - 1).is_some_and(u8::is_ascii_whitespace) => return,
                b' ' | b'\t' | b'\r' => {}
                _ => {
                    pos = self.flow_scalar(line, pos, number);
                    continue;
                }
            }
            pos += 1;
        }
    }

    /// A key or a value inside brackets. Gives the byte behind it.
    fn flow_scalar(&mut self, line: &str, at: usize, number: u32) -> usize {
        let rest = line.get(at..).unwrap_or_default();
        if let (Some((key, after)), Some((parent, None)), None) = (key(rest), self.brackets.last(), &self.key)
        {
            let column = u32::try_from(at + 1).unwrap_or(u32::MAX);
            let path = join(parent, &key);
            self.by_path.entry(path.clone()).or_insert(Span { line: number, column });
            self.key = Some(path);
            return at + after;
        }
        let bytes = line.as_bytes();
        if let Some(quote @ (b'"' | b'\'')) = bytes.get(at).copied() {
            return match closing(bytes, at + 1, quote) {
                Some(end) => end + 1,
                None => {
                    self.quote = Some(quote);
                    line.len()
                }
            };
        }
        let length = rest.find([',', '{', '}', '[', ']']).unwrap_or(rest.len()).max(1);
        let length = (length..=rest.len()).find(|end| rest.is_char_boundary(*end)).unwrap_or(rest.len());
        let path = self.key.clone().unwrap_or_else(|| self.item_path());
        self.scalar(&path, rest.get(..length).unwrap_or_default());
        at + length
    }

    /// The path of the list item at hand.
    fn item_path(&self) -> String {
        match self.brackets.last() {
            Some((path, Some(count))) => join(path, &count.to_string()),
            Some((path, None)) => path.clone(),
            None => String::new(),
        }
    }

    /// Notes a number that the library would give back in another form.
    fn scalar(&mut self, path: &str, text: &str) {
        let text = text.trim();
        let plain = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0') || text == "0";
        if !plain && text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
            self.numbers.insert(path.to_owned(), text.to_owned());
        }
    }

    /// Ends the collections that are deeper than a column.
    fn close(&mut self, at: usize, item: bool) {
        while let Some(level) = self.levels.last() {
            let ends = level.indent > at || (level.indent == at && level.count.is_some() && !item);
            if !ends {
                return;
            }
            self.levels.pop();
        }
    }

    /// Begins the next item of a list at a column. Gives its path.
    fn open(&mut self, at: usize, span: Span) -> String {
        let inside = self.levels.last().is_some_and(|l| l.indent == at && l.count.is_some());
        if !inside {
            let path = self.levels.last().map_or(String::new(), |l| l.last.clone());
            self.levels.push(Level { indent: at, count: Some(0), path, last: String::new() });
        }
        let Some(level) = self.levels.last_mut() else { return String::new() };
        let number = level.count.unwrap_or(0);
        level.count = Some(number + 1);
        level.last = join(&level.path, &number.to_string());
        self.by_path.entry(level.last.clone()).or_insert(span);
        level.last.clone()
    }
}

fn join(parent: &str, key: &str) -> String {
    if parent.is_empty() { key.to_owned() } else { format!("{parent}\0{key}") }
}

/// `key:` at the start of a text: the key, and the byte behind the colon.
fn key(text: &str) -> Option<(String, usize)> {
    let bytes = text.as_bytes();
    let end = match bytes.first()? {
        quote @ (b'"' | b'\'') => closing(bytes, 1, *quote)? + 1,
        _ => {
            text.char_indices()
                .find(|(i, c)| {
                    matches!(c, '#' | ',' | '{' | '}' | '[' | ']')
                        || *c == ':' && matches!(bytes.get(i + 1), None | Some(b' ' | b'\t'))
                })?
                .0
        }
    };
    if bytes.get(end) != Some(&b':') {
        return None;
    }
    let key = text.get(..end)?.trim().trim_matches(['"', '\'']);
    Some((key.to_owned(), end + 1))
}

/// The byte of the closing quote of a string whose text begins at a byte.
fn closing(bytes: &[u8], at: usize, quote: u8) -> Option<usize> {
    let mut pos = at;
    while let Some(byte) = bytes.get(pos).copied() {
        match byte {
            b'\\' if quote == b'"' => pos += 1,
            _ if byte == quote => return Some(pos),
            _ => {}
        }
        pos += 1;
    }
    None
}
