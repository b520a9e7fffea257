//! Where the nodes of a YAML text stand: a scan of keys, list items and indentation, since the YAML library keeps no
//! places. It reads the same text after the library has found it valid, so it only has to follow, not to check.

use std::collections::HashMap;

use crate::error::Span;

pub(crate) struct Places {
    by_path: HashMap<String, Span>,
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
        let mut scan = Scan { by_path: HashMap::new(), levels: Vec::new(), scalar_indent: None };
        for (number, line) in text.lines().enumerate() {
            scan.line(line, u32::try_from(number + 1).unwrap_or(u32::MAX));
        }
        Places { by_path: scan.by_path }
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

struct Scan {
    by_path: HashMap<String, Span>,
    levels: Vec<Level>,
    /// Inside `|` or `>`: lines with more indentation than this are text.
    scalar_indent: Option<usize>,
}

impl Scan {
    fn line(&mut self, line: &str, number: u32) {
        let indent = line.len() - line.trim_start_matches(' ').len();
        let content = line.trim();
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
                self.flow(line, at, number, path);
            }
            Some(b'|' | b'>') => {
                self.scalar_indent = Some(self.levels.last().map_or(0, |l| l.indent));
            }
            _ if rest.starts_with("- ") || key(rest).is_some() => self.node(line, at, number),
            _ => {}
        }
    }

    /// Keys of `{a: 1, b: [..]}` as far as they stand on this line. Gives the byte behind the closing bracket.
    fn flow(&mut self, line: &str, at: usize, number: u32, path: &str) -> usize {
        let bytes = line.as_bytes();
        let mut stack: Vec<(String, Option<usize>)> = Vec::new();
        let mut pos = at;
        let mut expect = true;
        while let Some(byte) = bytes.get(pos).copied() {
            match byte {
                b'{' | b'[' => {
                    let parent = stack.last().map_or(path.to_owned(), |(p, _)| p.clone());
                    stack.push((parent, (byte == b'[').then_some(0)));
                    expect = true;
                }
                b'}' | b']' => {
                    stack.pop();
                    if stack.is_empty() {
                        return pos + 1;
                    }
                }
                b',' => {
                    if let Some((_, Some(count))) = stack.last_mut() {
                        *count += 1;
                    }
                    expect = true;
                }
                b'"' | b'\'' if !expect => pos = skip_quoted(bytes, pos),
                b' ' | b'\t' => {}
                _ if expect => {
                    expect = false;
                    if let (Some((key, after)), Some((parent, None))) =
                        (key(line.get(pos..).unwrap_or_default()), stack.last())
                    {
                        let column = u32::try_from(pos + 1).unwrap_or(u32::MAX);
                        let own = join(parent, &key);
                        self.by_path.entry(own).or_insert(Span { line: number, column });
                        pos += after;
                        continue;
                    }
                    if matches!(byte, b'"' | b'\'') {
                        pos = skip_quoted(bytes, pos);
                    }
                }
                _ => {}
            }
            pos += 1;
        }
        pos
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
        b'"' | b'\'' => skip_quoted(bytes, 0) + 1,
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

/// The byte of the closing quote.
fn skip_quoted(bytes: &[u8], at: usize) -> usize {
    let quote = bytes.get(at).copied();
    let mut pos = at + 1;
    while let Some(byte) = bytes.get(pos).copied() {
        match byte {
            b'\\' if quote == Some(b'"') => pos += 1,
            _ if Some(byte) == quote => return pos,
            _ => {}
        }
        pos += 1;
    }
    pos
}
