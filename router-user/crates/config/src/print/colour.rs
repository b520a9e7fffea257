//! Colours for a terminal, laid over a finished listing.

const BOLD: &str = "\x1b[1m";
const GREEN: &str = "\x1b[32m";
const CYAN: &str = "\x1b[36m";
const END: &str = "\x1b[0m";

/// The text of `print` with its legend and heads bold, comments green, and names in cyan.
pub fn colour(text: &str) -> String {
    let mut coloured = String::with_capacity(text.len() * 2);
    for line in text.split_inclusive('\n') {
        let (line, end) = match line.strip_suffix('\n') {
            Some(line) => (line, "\n"),
            None => (line, ""),
        };
        let content = line.trim_start();
        if line.starts_with("Flags: ") || line.starts_with("Columns: ") || content.starts_with("# ") {
            paint(&mut coloured, BOLD, line);
        } else if let Some(at) = line.find(";;; ").filter(|at| *at < 24) {
            coloured.push_str(line.get(..at).unwrap_or_default());
            paint(&mut coloured, GREEN, line.get(at..).unwrap_or_default());
        } else if let Some((name, value)) =
            line.split_once(": ").filter(|(name, _)| is_name(name.trim_start()))
        {
            paint(&mut coloured, CYAN, name);
            coloured.push_str(": ");
            coloured.push_str(value);
        } else {
            names(&mut coloured, line);
        }
        coloured.push_str(end);
    }
    coloured
}

fn paint(text: &mut String, colour: &str, words: &str) {
    text.extend([colour, words, END]);
}

/// Paints every `name=` that stands outside quotes.
fn names(coloured: &mut String, line: &str) {
    let mut in_quotes = false;
    for (n, word) in line.split(' ').enumerate() {
        if n > 0 {
            coloured.push(' ');
        }
        match word.split_once('=').filter(|(name, _)| !in_quotes && is_name(name)) {
            Some((name, value)) => {
                paint(coloured, CYAN, name);
                coloured.extend(["=", value]);
            }
            None => coloured.push_str(word),
        }
        let quotes = word.replace("\\\"", "").matches('"').count();
        in_quotes ^= quotes % 2 == 1;
    }
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_lowercase() || c == '.')
        && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_colour_is_added() {
        let text = "Flags: X - DISABLED\nColumns: NAME\n# NAME\n;;; a=b\n0 x\n 0 R ;;; c\n     name=\"a b=c\" mtu=1\n  servers: \n";
        let mut plain = colour(text);
        for code in [BOLD, GREEN, CYAN, END] {
            plain = plain.replace(code, "");
        }
        assert_eq!(plain, text);
    }

    #[test]
    fn names_outside_quotes_are_painted() {
        assert_eq!(
            colour(" 0 name=\"a b=c\" mtu=1"),
            format!(" 0 {CYAN}name{END}=\"a b=c\" {CYAN}mtu{END}=1")
        );
        assert_eq!(colour("  name: x"), format!("{CYAN}  name{END}: x"));
    }
}
