//! Flags of items: their letters, their columns, and the legend.

use super::{Line, Rows};
use crate::schema::Menu;
use crate::tree::Item;

/// The flag letters of a configured item.
pub(crate) fn of(item: &Item, rows: &dyn Rows) -> String {
    let known = rows.flags(item);
    let disabled = if item.is_disabled() && !known.contains('X') { "X" } else { "" };
    format!("{disabled}{known}")
}

/// Letters that exclude each other share a column; the columns in their order. Where a menu has nothing of its own, its
/// common letters share the first column. A letter that is nowhere has its own column behind them.
fn groups(menu: &Menu) -> &'static [&'static str] {
    match menu.path.as_str() {
        "ip/route" | "ipv6/route" | "routing/route" => &["D", "XIA", "csrboidvmy", "H", "+"],
        "ip/arp" => &["XIHD", "PC"],
        "interface" => &["D", "XIR", "S", "P"],
        "ip/hotspot/ip-binding" => &["XPB"],
        "ip/firewall/connection" | "ipv6/firewall/connection" => {
            &["E", "S", "A", "C", "D", "F", "s", "d", "H"]
        }
        "interface/bonding" => &["X", "R"],
        "interface/bridge/host" => &["XD", "IL", "E", "Aa"],
        path if path.contains("/firewall/") && menu.ordered => &["XI", "D"],
        _ => &["XIDRABE", "*"],
    }
}

/// Letters that a menu shows only where an item has them: newer than the layout of its listings.
fn is_late(menu: &Menu, letter: char) -> bool {
    match menu.path.as_str() {
        "interface" => matches!(letter, 'I' | 'w'),
        "interface/vlan" => letter == 'H',
        _ => false,
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
pub(crate) fn words(menu: &Menu, letters: &str) -> Vec<String> {
    letters.chars().map(|letter| word(menu, letter).to_owned()).collect()
}

/// The columns of flags that a listing needs.
pub(super) struct Columns<'m> {
    menu: &'m Menu,
    /// Letters in use, by column.
    columns: Vec<Vec<char>>,
}

impl<'m> Columns<'m> {
    /// Those of a table: the letters in use.
    pub fn used(menu: &'m Menu, lines: &[Line<'_>]) -> Columns<'m> {
        let used = |letter: char| lines.iter().any(|line| line.flags.contains(letter));
        Columns { menu, columns: columns(menu, lines, used) }
    }

    /// Those of other listings: all that the menu has, if there is anything to tell.
    pub fn whole(menu: &'m Menu, lines: &[Line<'_>]) -> Columns<'m> {
        let any = !menu.flags.is_empty() || lines.iter().any(|line| !line.flags.is_empty());
        Columns {
            menu,
            columns: if any {
                columns(menu, lines, |letter| is_due(menu, lines, letter))
            } else {
                Vec::new()
            },
        }
    }

    /// Those of one line per item: `detail`'s, without the columns at the end that no interface and no route needs;
    /// those in use where connections are listed.
    pub fn terse(menu: &'m Menu, lines: &[Line<'_>]) -> Columns<'m> {
        if lines.iter().all(|line| line.flags.is_empty()) {
            return Columns { menu, columns: Vec::new() };
        }
        if menu.path.ends_with("/firewall/connection") {
            return Columns::used(menu, lines);
        }
        let Columns { mut columns, .. } = Columns::whole(menu, lines);
        let is_used = |letters: &[char]| {
            lines.iter().any(|line| letters.iter().any(|letter| line.flags.contains(*letter)))
        };
        if menu.path == "interface" || menu.path.ends_with("/route") {
            while columns.len() > 3 && columns.last().is_some_and(|last| !is_used(last)) {
                columns.pop();
            }
        }
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
pub(super) fn whole_legend(menu: &Menu, lines: &[Line<'_>]) -> String {
    legend(menu, &columns(menu, &[], |letter| is_due(menu, lines, letter)), str::to_owned)
}

fn is_due(menu: &Menu, lines: &[Line<'_>], letter: char) -> bool {
    !is_late(menu, letter) || lines.iter().any(|line| line.flags.contains(letter))
}

/// The wanted letters of a menu and of some items, by column.
fn columns(menu: &Menu, lines: &[Line<'_>], wanted: impl Fn(char) -> bool) -> Vec<Vec<char>> {
    let own = || menu.flags.iter().flat_map(|(letter, _)| letter.chars());
    let all: Vec<char> = own()
        .chain(lines.iter().flat_map(|line| line.flags.chars()))
        .filter(|letter| wanted(*letter))
        .collect();
    let mut columns: Vec<Vec<char>> = groups(menu)
        .iter()
        .map(|group| group.chars().filter(|letter| all.contains(letter)).collect())
        .collect();
    for letter in all {
        if !columns.iter().any(|column| column.contains(&letter)) {
            columns.push(vec![letter]);
        }
    }
    columns.retain(|column| !column.is_empty());
    columns
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
