//! What differs between two texts, and between two images.

use plan::desired::Image;

/// Lines of the middle that are compared pairwise at most; beyond, all of it counts as changed.
const COMPARED: usize = 4_000_000;

/// Removed lines begin with `-`, added ones with `+`; what is the same in both is left out but for RouterOS's menu
/// line above a change.
pub fn texts(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let mut out = String::new();
    let (mut menu, mut shown) = ("", "");
    for (mark, line) in lines(&old, &new) {
        if line.starts_with('/') {
            menu = line;
        }
        if mark == ' ' {
            continue;
        }
        if shown != menu && line != menu {
            out.push_str(&format!("  {menu}\n"));
        }
        shown = menu;
        out.push_str(&format!("{mark} {line}\n"));
    }
    out
}

/// Longest common subsequence, after what is equal at both ends.
fn lines<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<(char, &'a str)> {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) = (old.get(head..).unwrap_or(&[]), new.get(head..).unwrap_or(&[]));
    let tail = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(a, b)| a == b).count();
    let (old_mid, old_tail) = old_rest.split_at(old_rest.len() - tail);
    let (new_mid, _) = new_rest.split_at(new_rest.len() - tail);

    let same = |lines: &[&'a str]| lines.iter().map(|line| (' ', *line)).collect::<Vec<_>>();
    let mut out = same(old.get(..head).unwrap_or(&[]));
    if old_mid.len().saturating_mul(new_mid.len()) <= COMPARED {
        out.extend(common(old_mid, new_mid));
    } else {
        out.extend(old_mid.iter().map(|line| ('-', *line)));
        out.extend(new_mid.iter().map(|line| ('+', *line)));
    }
    out.extend(same(old_tail));
    out
}

fn common<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<(char, &'a str)> {
    let width = new.len() + 1;
    // length[i * width + j]: common lines of old[i..] and new[j..].
    let mut length = vec![0u32; (old.len() + 1) * width];
    for (i, a) in old.iter().enumerate().rev() {
        for (j, b) in new.iter().enumerate().rev() {
            length[i * width + j] = if a == b {
                length[(i + 1) * width + j + 1] + 1
            } else {
                length[(i + 1) * width + j].max(length[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut out = Vec::new();
    loop {
        match (old.get(i), new.get(j)) {
            (Some(a), Some(b)) if a == b => {
                out.push((' ', *a));
                (i, j) = (i + 1, j + 1);
            }
            (Some(a), Some(_)) if length[(i + 1) * width + j] >= length[i * width + j + 1] => {
                out.push(('-', *a));
                i += 1;
            }
            (_, Some(b)) => {
                out.push(('+', *b));
                j += 1;
            }
            (Some(a), None) => {
                out.push(('-', *a));
                i += 1;
            }
            (None, None) => return out,
        }
    }
}

/// Ports that come, go or change, as lines of a diff.
pub fn images(old: Option<&Image>, new: &Image) -> Vec<String> {
    let none = Image { settings: new.settings, ports: Vec::new(), ..Image::default() };
    let old = old.unwrap_or(&none);
    let mut out = Vec::new();
    for port in &old.ports {
        if !new.ports.iter().any(|p| p.host_name == port.host_name) {
            out.push(format!("- data plane on {} ({})", port.name, port.host_name));
        }
    }
    for port in &new.ports {
        match old.ports.iter().find(|p| p.host_name == port.host_name) {
            None => out.push(format!("+ data plane on {} ({})", port.name, port.host_name)),
            Some(before) if before != port => {
                out.push(format!("~ data plane on {} ({})", port.name, port.host_name));
            }
            Some(_) => {}
        }
    }
    if old.settings != new.settings {
        out.push("~ data plane settings".into());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_shown_under_its_menu() {
        let old = "/ip address\nadd a\nadd b\n/ip route\nadd r\n";
        let new = "/ip address\nadd a\nadd c\nadd d\n/ip route\nadd r\n";
        assert_eq!(texts(old, new), "  /ip address\n- add b\n+ add c\n+ add d\n");
        assert_eq!(texts(old, old), "");
        assert_eq!(texts("", "/ip route\nadd r\n"), "+ /ip route\n+ add r\n");
        assert_eq!(texts("x\n", ""), "- x\n");
    }

    #[test]
    fn applying_the_difference_gives_the_new_text() {
        let texts = ["", "a", "a b c", "a c", "b", "x a y c z", "c b a"];
        for old in texts {
            for new in texts {
                let (old, new): (Vec<_>, Vec<_>) = (old.split(' ').collect(), new.split(' ').collect());
                let changes = lines(&old, &new);
                let side = |skip: char| -> Vec<&str> {
                    changes.iter().filter(|(mark, _)| *mark != skip).map(|(_, line)| *line).collect()
                };
                assert_eq!((side('+'), side('-')), (old.clone(), new.clone()));
            }
        }
    }
}
