//! What a script may: the words of `policy=`.

use crate::ast::Command;
use crate::error::Fault;
use crate::tree::Item;

/// A set of rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights(u16);

/// The words that commands ask for; `policy=` has more, which are about logging in.
const WORDS: [&str; 9] =
    ["ftp", "reboot", "read", "write", "policy", "test", "password", "sniff", "sensitive"];

impl Default for Rights {
    /// Those of whoever may do everything.
    fn default() -> Rights {
        Rights((1 << WORDS.len()) - 1)
    }
}

impl Rights {
    /// `read,write,!ftp`; words that no command asks for are passed over.
    pub fn of(words: &str) -> Rights {
        let bit = |word: &str| WORDS.iter().position(|known| *known == word).map_or(0, |n| 1 << n);
        Rights(words.split(',').fold(0, |set, word| set | bit(word.trim())))
    }

    /// Those of a script or an entry of the scheduler.
    pub fn of_item(item: &Item) -> Rights {
        item.text("policy").map_or_else(Rights::default, |words| Rights::of(&words))
    }

    pub fn covers(self, other: Rights) -> bool {
        self.0 & other.0 == other.0
    }

    /// Those that both have.
    #[must_use]
    pub fn and(self, other: Rights) -> Rights {
        Rights(self.0 & other.0)
    }
}

pub(crate) fn refused() -> Fault {
    Fault::new("not enough permissions (9)")
}

/// The right that a command of a menu asks for.
pub(crate) fn needed(command: &Command) -> Rights {
    let words = match (command.menu.as_str(), command.name.as_str()) {
        (_, "print" | "export") if command.arg("show-sensitive").is_some() => "read,sensitive",
        ("system", "reboot" | "shutdown" | "reset-configuration") => "reboot",
        ("password", _) | ("", "password") => "password",
        ("tool/sniffer", "start" | "stop" | "save") => "sniff",
        (_, "find" | "get" | "print" | "export" | "monitor" | "monitor-traffic") => "read",
        ("tool", _) | ("", "ping" | "traceroute") | ("tool/e-mail", "send") => "test",
        (menu, _) if menu == "user" || menu.starts_with("user/") => "write,policy",
        _ => "write",
    };
    Rights::of(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ast::StatementKind;
    use crate::script::Script;

    #[test]
    fn sets_of_rights() {
        let few = Rights::of("read, test,winbox,!write");
        assert!(few.covers(Rights::of("read,test")));
        assert!(!few.covers(Rights::of("write")));
        assert!(Rights::default().covers(few) && !few.covers(Rights::default()));
        assert_eq!(few.and(Rights::of("read,write")), Rights::of("read"));
    }

    #[test]
    fn commands_ask_for_what_they_do() {
        for (source, words) in [
            ("/ip address print", "read"),
            ("/ip address add address=192.0.2.1/24 interface=ether1", "write"),
            ("/export show-sensitive", "read,sensitive"),
            ("/system reboot", "reboot"),
            ("/user set admin group=read", "write,policy"),
            ("/tool fetch url=http://192.0.2.1/", "test"),
            ("/ping 192.0.2.1", "test"),
        ] {
            let script = Script::parse(source).unwrap();
            let block = script.block();
            let [statement] = block.statements.as_slice() else { panic!("{source}") };
            let StatementKind::Command(command) = &statement.kind else { panic!("{source}") };
            assert_eq!(needed(command), Rights::of(words), "{source}");
        }
    }
}
