//! What `check` says about files: each statement enforced, kept or wrong; by menu, with a score and what is missing.

mod html;
mod mask;
mod needs;

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

pub use html::html;
pub use needs::NeedKind;

use crate::error::Error;
use crate::{Attempt, ImportOptions, Note, Status, Tree, parser, yaml};

/// The result of checking files; serialises to what `routerctl check --json` prints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub files: Vec<FileReport>,
    pub totals: Totals,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FileReport {
    pub file: String,
    /// Enforced, kept, and those with errors.
    pub statements: usize,
    pub enforced: usize,
    pub kept: usize,
    /// Statements enforced, of a hundred.
    pub score: u8,
    pub errors: Vec<Error>,
    pub notes: Vec<Note>,
    /// By menu, in the order of the paths.
    pub menus: Vec<MenuReport>,
    /// By line.
    pub lines: Vec<LineReport>,
    /// What kept lines wait for, the most frequent first.
    pub needs: Vec<Need>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    pub files: usize,
    pub statements: usize,
    pub enforced: usize,
    pub kept: usize,
    pub errors: usize,
    /// Statements enforced, of a hundred.
    pub score: u8,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MenuReport {
    /// `/ip/firewall/filter`; empty for what belongs to none.
    pub menu: String,
    pub enforced: usize,
    pub kept: usize,
    pub errors: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Enforced,
    Kept,
    Error,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LineReport {
    pub line: u32,
    pub menu: String,
    pub verdict: Verdict,
    /// Why it is kept, or wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Hardware, programs or work without which lines have no effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Need {
    pub kind: NeedKind,
    /// `a wireless card with access point mode`
    pub what: String,
    pub statements: usize,
    pub menus: Vec<String>,
}

impl Report {
    pub fn is_clean(&self) -> bool {
        self.totals.errors == 0
    }

    /// Adds one file's result.
    pub fn push(&mut self, file: FileReport) {
        self.totals.files += 1;
        self.totals.statements += file.statements;
        self.totals.enforced += file.enforced;
        self.totals.kept += file.kept;
        self.totals.errors += file.errors.len();
        self.totals.score = score(self.totals.enforced, self.totals.statements);
        self.files.push(file);
    }
}

/// Rounded down: a hundred means all.
fn score(enforced: usize, statements: usize) -> u8 {
    enforced
        .saturating_mul(100)
        .checked_div(statements)
        .and_then(|share| u8::try_from(share).ok())
        .unwrap_or(100)
}

/// Checks files given as name and content, each on its own, as a fresh router would take it. Names that end in `.yaml` or
/// `.yml` are YAML.
pub fn check<'f>(files: impl IntoIterator<Item = (&'f str, &'f [u8])>) -> Report {
    check_with(files, &ImportOptions::default())
}

/// [`check`] with options.
pub fn check_with<'f>(
    files: impl IntoIterator<Item = (&'f str, &'f [u8])>,
    options: &ImportOptions,
) -> Report {
    let mut report = Report::default();
    for (name, content) in files {
        report.push(check_file(name, content, options));
    }
    report
}

fn check_file(name: &str, content: &[u8], options: &ImportOptions) -> FileReport {
    let text = match parser::decode(content) {
        Ok(text) => text,
        Err(error) => return FileReport { file: name.into(), errors: vec![error], ..FileReport::default() },
    };
    let is_yaml = name.ends_with(".yaml") || name.ends_with(".yml");
    let taken = match is_yaml {
        true => yaml::attempt(&Tree::new(), text, options),
        false => Ok(crate::attempt(&Tree::new(), text, options)),
    };
    match taken {
        Ok(attempt) => report(name, attempt),
        Err(errors) => FileReport { file: name.into(), errors: errors.0, ..FileReport::default() },
    }
}

fn report(name: &str, attempt: Attempt) -> FileReport {
    let Attempt { statements, notes, errors, failed, .. } = attempt;
    let enforced = statements.iter().filter(|s| s.status == Status::Enforced).count();
    let kept = statements.len() - enforced;
    let all = statements.len() + failed;
    let mut lines = Vec::with_capacity(statements.len() + errors.len());
    for statement in statements {
        let (verdict, reason) = match statement.status {
            Status::Enforced => (Verdict::Enforced, None),
            Status::Kept(reason) => (Verdict::Kept, Some(reason)),
        };
        lines.push(LineReport { line: statement.span.line, menu: statement.menu, verdict, reason });
    }
    lines.extend(errors.iter().map(|error| LineReport {
        line: error.line,
        menu: error.menu.clone().unwrap_or_default(),
        verdict: Verdict::Error,
        reason: Some(error.message.clone()),
    }));
    lines.sort_by_key(|line| line.line);
    FileReport {
        file: name.into(),
        statements: all,
        enforced,
        kept,
        score: score(enforced, all),
        menus: by_menu(&lines),
        needs: needed(&lines),
        lines,
        errors,
        notes,
    }
}

fn by_menu(lines: &[LineReport]) -> Vec<MenuReport> {
    let mut menus: BTreeMap<&str, MenuReport> = BTreeMap::new();
    for line in lines {
        let menu = menus
            .entry(&line.menu)
            .or_insert_with(|| MenuReport { menu: line.menu.clone(), ..MenuReport::default() });
        match line.verdict {
            Verdict::Enforced => menu.enforced += 1,
            Verdict::Kept => menu.kept += 1,
            Verdict::Error => menu.errors += 1,
        }
    }
    menus.into_values().collect()
}

fn needed(lines: &[LineReport]) -> Vec<Need> {
    let mut needs: HashMap<&str, Need> = HashMap::new();
    for line in lines.iter().filter(|line| line.verdict == Verdict::Kept && !line.menu.is_empty()) {
        let (kind, what) = needs::need(&line.menu);
        let need = needs.entry(what).or_insert_with(|| Need {
            kind,
            what: what.into(),
            statements: 0,
            menus: Vec::new(),
        });
        need.statements += 1;
        if let Err(place) = need.menus.binary_search(&line.menu) {
            need.menus.insert(place, line.menu.clone());
        }
    }
    let mut needs: Vec<Need> = needs.into_values().collect();
    needs.sort_by(|a, b| (a.kind, b.statements, &a.what).cmp(&(b.kind, a.statements, &b.what)));
    needs
}
