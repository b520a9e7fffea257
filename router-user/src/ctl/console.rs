//! Console commands that name files: the files are those of whoever types, so `routerctl` opens them, not the daemon.

use std::io::Write;
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::cli::routerctl::{Import, Taking};

/// `/import file-name=office.rsc verbose=yes from-line=3 dry-run`, as the verb of that name. None: another command.
pub fn import(line: &str) -> Option<anyhow::Result<Import>> {
    let mut words = words(line);
    let first = words.first_mut()?;
    *first = first.trim_start_matches(['/', ':']).to_owned();
    (first == "import").then(|| arguments(words.get(1..).unwrap_or_default()))
}

fn arguments(words: &[String]) -> anyhow::Result<Import> {
    let taking = Taking { strict: false, keep_going: false };
    let mut import = Import { file: PathBuf::new(), from_line: None, dry_run: false, verbose: false, taking };
    for word in words {
        let (name, value) = word.split_once('=').unwrap_or((word, "yes"));
        match name {
            "file-name" | "file" => import.file = value.into(),
            "from-line" => import.from_line = Some(value.parse().context("from-line is a number")?),
            "verbose" => import.verbose = yes(name, value)?,
            "dry-run" => import.dry_run = yes(name, value)?,
            _ if import.file.as_os_str().is_empty() && !word.contains('=') => import.file = word.into(),
            _ => bail!("expected end of command: import has no argument {name}"),
        }
    }
    if import.file.as_os_str().is_empty() {
        bail!("missing value(s) of argument(s) file-name");
    }
    Ok(import)
}

fn yes(name: &str, value: &str) -> anyhow::Result<bool> {
    match value {
        "yes" | "true" => Ok(true),
        "no" | "false" => Ok(false),
        _ => bail!("{name} is yes or no"),
    }
}

/// An `export` or `print` with `file=NAME`: the command without it, and the file, whose name gets RouterOS's ending.
pub fn redirected(line: &str) -> Option<(String, PathBuf)> {
    if line.contains([';', '[', '{', '\n']) {
        return None;
    }
    let tokens = tokens(line);
    let text = |token: &Range<usize>| line.get(token.clone()).unwrap_or_default();
    let is = |verb: &str| tokens.iter().any(|token| text(token).rsplit('/').next() == Some(verb));
    let ending = match (is("export"), is("print")) {
        (true, _) => "rsc",
        (_, true) => "txt",
        _ => return None,
    };
    let token = tokens.iter().find(|token| text(token).starts_with("file="))?;
    let name = unquoted(text(token).trim_start_matches("file="));
    let rest = format!("{}{}", line.get(..token.start)?.trim_end(), line.get(token.end..)?);
    let file = if name.ends_with(&format!(".{ending}")) { name } else { format!("{name}.{ending}") };
    Some((rest, file.into()))
}

/// Writes what a command answered; an export may hold secrets, so the file is its owner's alone.
pub fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let opened = options.write(true).create(true).truncate(true).mode(0o600).open(file);
    opened
        .and_then(|mut out| out.write_all(text.as_bytes()))
        .with_context(|| format!("write {}", file.display()))
}

/// The statements of a script as `/import verbose=yes` shows them, each behind its line's number.
pub fn verbose(text: &str) -> String {
    let statements =
        config::attempt(&config::Tree::new(), text, &config::ImportOptions::default()).statements;
    let mut starts: Vec<usize> =
        statements.iter().filter_map(|statement| usize::try_from(statement.span.line).ok()).collect();
    starts.sort_unstable();
    starts.dedup();
    let lines: Vec<&str> = text.lines().collect();
    let ends = starts.iter().skip(1).copied().chain([lines.len() + 1]);
    let mut out = String::new();
    for (start, end) in starts.iter().copied().zip(ends) {
        out.push_str(&format!("#line {start}\n"));
        for line in lines.get(start.saturating_sub(1)..end.saturating_sub(1)).unwrap_or_default() {
            if !line.trim().is_empty() && !line.starts_with('#') {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    out
}

/// Where the words of a line are: blanks part them outside quotes.
fn tokens(line: &str) -> Vec<Range<usize>> {
    let (mut tokens, mut start, mut quoted, mut escaped) = (Vec::new(), None, false, false);
    for (at, char) in line.char_indices() {
        match char {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        if char.is_whitespace() && !quoted {
            tokens.extend(start.take().map(|start| start..at));
        } else {
            start.get_or_insert(at);
        }
    }
    tokens.extend(start.map(|start| start..line.len()));
    tokens
}

fn words(line: &str) -> Vec<String> {
    tokens(line).into_iter().map(|token| unquoted(line.get(token).unwrap_or_default())).collect()
}

fn unquoted(word: &str) -> String {
    word.replace('"', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_line_is_the_verb() {
        let import = |line: &str| super::import(line).unwrap().unwrap();
        let full = import("/import file-name=\"a b.rsc\" verbose=yes from-line=3 dry-run");
        assert_eq!((full.file, full.from_line), ("a b.rsc".into(), Some(3)));
        assert!(full.verbose && full.dry_run);
        let short = import("import office.rsc");
        assert_eq!((short.file, short.verbose, short.dry_run), ("office.rsc".into(), false, false));
        for bad in ["/import", "/import verbose=yes", "/import a.rsc b.rsc", "/import a.rsc verbose=maybe"] {
            assert!(super::import(bad).unwrap().is_err(), "{bad}");
        }
        assert!(super::import("/ip address print").is_none());
        assert!(super::import("").is_none());
    }

    #[test]
    fn exports_and_prints_go_to_files() {
        for (line, rest, file) in [
            ("/export file=now", "/export", "now.rsc"),
            ("/ip/address/export terse file=\"a b\" where x", "/ip/address/export terse where x", "a b.rsc"),
            ("/ip address print file=list.txt detail", "/ip address print detail", "list.txt"),
        ] {
            assert_eq!(redirected(line), Some((rest.to_owned(), file.into())), "{line}");
        }
        for line in ["/export", "/file add file=x", "/log info file=x", "/export file=x; /ip address print"] {
            assert_eq!(redirected(line), None, "{line}");
        }
    }

    #[test]
    fn verbose_shows_each_statement_behind_its_line() {
        let text = "# made by hand\n/ip address\nadd address=192.0.2.1/24 \\\n    interface=ether1\n\n/system identity set name=x\n";
        let shown = verbose(text);
        assert!(shown.contains("#line 3\nadd address=192.0.2.1/24 \\\n    interface=ether1\n"), "{shown}");
        assert!(shown.contains("#line 6\n/system identity set name=x\n"), "{shown}");
    }
}
