//! Flags of items: their letters, their columns, and the legend.

use super::{Line, Rows};
use crate::schema::Menu;
use crate::tree::Item;

/// The flag letters of a configured item.
pub(super) fn of(item: &Item, rows: &dyn Rows) -> String {
    let disabled = if item.is_disabled() { "X" } else { "" };
    format!("{disabled}{}", rows.flags(item))
}

/// Letters that exclude each other share a column; the columns in their order. A letter that is nowhere has its own
/// column behind them.
fn groups(menu: &Menu) -> &'static [&'static str] {
    match menu.path.as_str() {
        "ip/address" | "ipv6/address" => &["XID"],
        "ip/route" | "ipv6/route" | "routing/route" => &["D", "XIA", "csrboidvmy", "H", "+"],
        path if path.starts_with("interface") => &["D", "XIR", "S", "H"],
        _ => &["XI", "D"],
    }
}

/// The word of a letter, in small letters: the menu's own, or what the letter means in most menus.
fn word(menu: &Menu, letter: char) -> &str {
    let own = menu.flags.iter().find(|(own, _)| own.chars().eq([letter]));
    own.map_or_else(|| common(letter), |(_, word)| word.as_str())
}

fn common(letter: char) -> &'static str {
    match letter {
        'X' => "disabled",
        'I' => "inactive",
        'D' => "dynamic",
        'R' => "running",
        'S' => "slave",
        'A' => "active",
        'B' => "blocked",
        'C' => "complete",
        'E' => "established",
        'H' => "hw-offloaded",
        'L' => "link-local",
        'P' => "published",
        '*' => "default",
        _ => "other",
    }
}

/// The words of an item's letters.
pub(super) fn words(menu: &Menu, letters: &str) -> Vec<String> {
    letters.chars().map(|letter| word(menu, letter).to_owned()).collect()
}

/// The columns of flags that a listing needs.
pub(super) struct Columns<'m> {
    menu: &'m Menu,
    /// Letters in use, by column.
    columns: Vec<Vec<char>>,
}

impl<'m> Columns<'m> {
    pub fn new(menu: &'m Menu, lines: &[Line<'_>]) -> Columns<'m> {
        let mut columns: Vec<Vec<char>> = Vec::new();
        let used = |letter: char| lines.iter().any(|line| line.flags.contains(letter));
        for group in groups(menu) {
            columns.push(group.chars().filter(|letter| used(*letter)).collect());
        }
        let own = menu.flags.iter().flat_map(|(letter, _)| letter.chars()).filter(|letter| used(*letter));
        for letter in own.chain(lines.iter().flat_map(|line| line.flags.chars())) {
            if !columns.iter().any(|column| column.contains(&letter)) {
                columns.push(vec![letter]);
            }
        }
        columns.retain(|column| !column.is_empty());
        Columns { menu, columns }
    }

    /// Letters in their columns, padded.
    pub fn cell(&self, letters: &str) -> String {
        let mut cell = String::new();
        for column in &self.columns {
            let mut own = column.iter().filter(|letter| letters.contains(**letter)).peekable();
            if own.peek().is_none() {
                cell.push(' ');
            }
            cell.extend(own);
        }
        cell
    }

    /// Bytes of the widest cell.
    pub fn width(&self, lines: &[Line<'_>]) -> usize {
        lines.iter().map(|line| self.cell(&line.flags).len()).max().unwrap_or(0)
    }

    /// `Flags: D - DYNAMIC; X - DISABLED, I - INVALID`: those in use, in capital words. A comma stands between letters that
    /// exclude each other.
    pub fn legend(&self) -> String {
        legend(self.menu, &self.columns, |word| word.to_ascii_uppercase())
    }
}

/// `Flags: X - disabled, I - invalid; D - dynamic`: all that the menu has.
pub(super) fn whole_legend(menu: &Menu) -> String {
    let has = |letter: char| menu.flags.iter().any(|(own, _)| own.chars().eq([letter]));
    let mut columns: Vec<Vec<char>> =
        groups(menu).iter().map(|group| group.chars().filter(|letter| has(*letter)).collect()).collect();
    for letter in menu.flags.iter().flat_map(|(letter, _)| letter.chars()) {
        if !columns.iter().any(|column| column.contains(&letter)) {
            columns.push(vec![letter]);
        }
    }
    columns.retain(|column| !column.is_empty());
    legend(menu, &columns, str::to_owned)
}

fn legend(menu: &Menu, columns: &[Vec<char>], form: impl Fn(&str) -> String) -> String {
    if columns.is_empty() {
        return String::new();
    }
    let name = |letter: &char| format!("{letter} - {}", form(word(menu, *letter)));
    let groups: Vec<String> =
        columns.iter().map(|column| column.iter().map(name).collect::<Vec<_>>().join(", ")).collect();
    format!("Flags: {}\n", groups.join("; "))
}
