//! A page about a report: one file without anything from elsewhere, to be shown around. Secrets are masked.

use std::collections::HashMap;
use std::fmt::Write;

use super::{FileReport, NeedKind, Report, Verdict, mask::mask};

/// Source lines shown of one file.
const MAX_LINES: usize = 20_000;
/// Characters shown of one line.
const MAX_WIDTH: usize = 400;

const STYLE: &str = "
:root{color-scheme:light dark;--ok:#2a7f3f;--kept:#9a6700;--bad:#c0262d;--line:#8884}
body{font:15px/1.45 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.2rem;margin-top:2.5rem}
table{border-collapse:collapse}td,th{padding:.15rem .7rem;text-align:left;border-bottom:1px solid var(--line);vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
.bar{display:flex;height:1.1rem;border-radius:.3rem;overflow:hidden;margin:.6rem 0;background:var(--line)}
.bar i{display:block}.ok{color:var(--ok)}.kept{color:var(--kept)}.bad{color:var(--bad)}
.bar .ok{background:var(--ok)}.bar .kept{background:var(--kept)}.bar .bad{background:var(--bad)}
.score{font-size:2.2rem;font-weight:600}
pre{margin:0;font:12.5px/1.5 ui-monospace,monospace;white-space:pre-wrap;word-break:break-word}
.src td{border:0;padding:0 .6rem}.src tr.bad{background:#c0262d18}.src tr.kept{background:#9a670012}
.src .w{color:inherit;opacity:.75;font-size:.8rem}
";

/// The page. `texts` are the files' contents by name; a file without one is shown without its lines.
pub fn html(report: &Report, texts: &HashMap<String, String>) -> String {
    let mut page = String::from("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.push_str(
        "<meta name=\"viewport\" content=\"width=device-width\">\n<title>RouterOS check</title>\n<style>",
    );
    page.push_str(STYLE);
    page.push_str("</style>\n</head>\n<body>\n<h1>What this configuration does here</h1>\n");
    if report.files.len() > 1 {
        let totals = report.totals;
        let _ = writeln!(
            page,
            "<p>{} files, {} statements: {} enforced, {} kept, {} errors; score {}.</p>",
            totals.files, totals.statements, totals.enforced, totals.kept, totals.errors, totals.score
        );
    }
    for file in &report.files {
        file_part(&mut page, file, texts.get(&file.file).map(String::as_str));
    }
    page.push_str("</body>\n</html>\n");
    page
}

fn file_part(page: &mut String, file: &FileReport, text: Option<&str>) {
    let failed = file.statements.saturating_sub(file.enforced + file.kept);
    let _ = write!(
        page,
        "<h2>{}</h2>\n<p><span class=\"score\">{}</span> of 100 statements are enforced.</p>\n",
        escape(&file.file),
        file.score
    );
    page.push_str("<div class=\"bar\">");
    for (class, count) in [("ok", file.enforced), ("kept", file.kept), ("bad", failed)] {
        if count > 0 {
            let _ = write!(page, "<i class=\"{class}\" style=\"flex:{count}\"></i>");
        }
    }
    let _ = write!(
        page,
        "</div>\n<p>{} statements: <b class=\"ok\">{} enforced</b>, <b class=\"kept\">{} kept</b> without effect, \
         <b class=\"bad\">{failed} wrong</b>.</p>\n",
        file.statements, file.enforced, file.kept
    );
    needs(page, file);
    menus(page, file);
    match text {
        Some(text) => source(page, file, text),
        None => errors(page, file),
    }
}

fn needs(page: &mut String, file: &FileReport) {
    if file.needs.is_empty() {
        return;
    }
    page.push_str("<h3>What is missing</h3>\n<table>\n<tr><th></th><th></th><th class=\"n\">lines</th><th>menus</th></tr>\n");
    for need in &file.needs {
        let kind = match need.kind {
            NeedKind::Hardware => "hardware",
            NeedKind::Software => "software",
            NeedKind::Release => "",
        };
        let _ = writeln!(
            page,
            "<tr><td>{kind}</td><td>{}</td><td class=\"n\">{}</td><td>{}</td></tr>",
            escape(&need.what),
            need.statements,
            escape(&need.menus.join(" "))
        );
    }
    page.push_str("</table>\n");
}

fn menus(page: &mut String, file: &FileReport) {
    page.push_str("<h3>By menu</h3>\n<table>\n<tr><th>menu</th><th class=\"n\">enforced</th><th class=\"n\">kept</th><th class=\"n\">errors</th></tr>\n");
    let number = |n: usize, class: &str| match n {
        0 => "<td></td>".to_owned(),
        n => format!("<td class=\"n {class}\">{n}</td>"),
    };
    for menu in &file.menus {
        let name = if menu.menu.len() > 1 { menu.menu.as_str() } else { "(none)" };
        let _ = writeln!(
            page,
            "<tr><td>{}</td>{}{}{}</tr>",
            escape(name),
            number(menu.enforced, "ok"),
            number(menu.kept, "kept"),
            number(menu.errors, "bad")
        );
    }
    page.push_str("</table>\n");
}

/// The text line by line, each with what became of the statement that begins there.
fn source(page: &mut String, file: &FileReport, text: &str) {
    page.push_str("<h3>By line</h3>\n<table class=\"src\">\n");
    let mut told = file.lines.iter().peekable();
    let masked = mask(text);
    for (number, line) in (1u32..).zip(masked.lines()).take(MAX_LINES) {
        let mut verdict = None;
        let mut reasons: Vec<&str> = Vec::new();
        while let Some(next) = told.next_if(|told| told.line <= number) {
            if next.line == number {
                verdict = verdict.max(Some(next.verdict));
                reasons.extend(next.reason.as_deref().filter(|reason| !reasons.contains(reason)));
            }
        }
        let class = match verdict {
            Some(Verdict::Enforced) => "ok",
            Some(Verdict::Kept) => "kept",
            Some(Verdict::Error) => "bad",
            None => "",
        };
        let _ = write!(page, "<tr class=\"{class}\"><td class=\"n\">{number}</td><td><pre>");
        page.push_str(&escape(&clip(line)));
        page.push_str("</pre></td><td class=\"w\">");
        page.push_str(&escape(&reasons.join("; ")));
        page.push_str("</td></tr>\n");
    }
    page.push_str("</table>\n");
    let all = masked.lines().count();
    if all > MAX_LINES {
        let _ = writeln!(page, "<p>The first {MAX_LINES} of {all} lines are shown.</p>");
    }
}

fn errors(page: &mut String, file: &FileReport) {
    page.push_str("<ul>\n");
    for error in &file.errors {
        let _ = writeln!(page, "<li class=\"bad\">{}</li>", escape(&error.to_string()));
    }
    page.push_str("</ul>\n");
}

fn clip(line: &str) -> String {
    let mut shown: String = line.chars().take(MAX_WIDTH).collect();
    if shown.len() < line.len() {
        shown.push_str("...");
    }
    shown
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
