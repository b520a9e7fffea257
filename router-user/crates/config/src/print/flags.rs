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

/// The word of a letter, in small letters.
fn word(letter: char) -> &'static str {
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
        'c' => "connect",
        's' => "static",
        'd' => "dhcp",
        'b' => "bgp",
        'i' => "is-is",
        'm' => "modem",
        'o' => "ospf",
        'r' => "rip",
        'v' => "vpn",
        'y' => "bgp-mpls-vpn",
        '+' => "ecmp",
        '*' => "default",
        _ => "other",
    }
}

/// The words of an item's letters.
pub(super) fn words(_menu: &Menu, letters: &str) -> Vec<String> {
    letters.chars().map(|letter| word(letter).to_owned()).collect()
}

/// The columns of flags that a listing needs.
pub(super) struct Columns {
    /// Letters in use, by column.
    columns: Vec<Vec<char>>,
}

impl Columns {
    pub fn new(menu: &Menu, lines: &[Line<'_>]) -> Columns {
        let mut columns: Vec<Vec<char>> = Vec::new();
        let used = |letter: char| lines.iter().any(|line| line.flags.contains(letter));
        for group in groups(menu) {
            columns.push(group.chars().filter(|letter| used(*letter)).collect());
        }
        for letter in lines.iter().flat_map(|line| line.flags.chars()) {
            if !columns.iter().any(|column| column.contains(&letter)) {
                columns.push(vec![letter]);
            }
        }
        columns.retain(|column| !column.is_empty());
        Columns { columns }
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

    /// `Flags: D - DYNAMIC; X - DISABLED, I - INVALID`: only those in use. A comma stands between letters that exclude each
    /// other. Tables have capital words.
    pub fn legend(&self, capital: bool) -> String {
        if self.columns.is_empty() {
            return String::new();
        }
        let name = |letter: &char| match capital {
            true => format!("{letter} - {}", word(*letter).to_ascii_uppercase()),
            false => format!("{letter} - {}", word(*letter)),
        };
        let groups: Vec<String> = self
            .columns
            .iter()
            .map(|column| column.iter().map(name).collect::<Vec<_>>().join(", "))
            .collect();
        format!("Flags: {}\n", groups.join("; "))
    }
}
