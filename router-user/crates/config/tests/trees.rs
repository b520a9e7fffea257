//! Generated configurations over the whole schema go through every form without loss.

use proptest::prelude::*;
use router_config::schema::{self, Kind, Menu, Property};
use router_config::{ExportOptions, Tree, Type, export, from_yaml, import, run, to_yaml};

/// A source of choices (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(n.max(1)).unwrap()).unwrap()
    }

    fn pick<'a, T>(&mut self, among: &'a [T]) -> &'a T {
        &among[self.below(among.len())]
    }

    fn text(&mut self) -> String {
        let awkward = [
            "",
            " ",
            "a b",
            "yes",
            "no",
            "null",
            "~",
            "1e3",
            "0x10",
            "007",
            "1:20",
            "- a",
            "a: b",
            "a #b",
            "[x]",
            "{x}",
            "\"",
            "\\",
            "$x",
            "$(1)",
            "?",
            "it's",
            "a=b",
            "^a.*$",
            "!x",
            "x;y",
            "\r\n",
            "\n",
            "\t",
            "\u{e4}",
            "\u{1f600}",
            "\u{1}",
            "  two  blanks  ",
            "a,b",
            "%",
            "@",
            "`",
            "|",
            ">",
            "&a",
            "1_000",
            ".5",
        ];
        if self.below(4) > 0 {
            return (*self.pick(&awkward)).to_owned();
        }
        let parts = 1 + self.below(40);
        (0..parts).map(|_| *self.pick(&awkward)).collect()
    }

    fn number(&mut self, min: i64, max: i64) -> i64 {
        let span = usize::try_from(max.saturating_sub(min).clamp(0, 1 << 40)).unwrap();
        min + i64::try_from(self.below(span.saturating_add(1))).unwrap()
    }

    /// A text that the type is likely to take.
    fn value(&mut self, ty: &Type) -> String {
        const ANY: [&str; 12] = [
            "1",
            "1d2h3m4s",
            "10M",
            "192.0.2.9",
            "192.0.2.0/24",
            "2001:db8::9",
            "2001:db8::/32",
            "00:11:22:33:44:55",
            "ether1",
            "auto",
            "none",
            "any",
        ];
        match ty {
            Type::Bool | Type::Switch => (*self.pick(&["yes", "no"])).to_owned(),
            Type::String | Type::Secret | Type::Script => self.text(),
            Type::Number { min, max } => self.number(*min, *max).to_string(),
            Type::Rate => (*self.pick(&["0", "512k", "10M", "1G", "1500", "1.5M"])).to_owned(),
            Type::Time => {
                (*self.pick(&["0s", "10s", "1d2h3m4s", "300", "00:10:00", "100ms", "3w"])).to_owned()
            }
            Type::Date => (*self.pick(&["jan/02/1970", "2026-11-22"])).to_owned(),
            Type::Mac => "02:00:5e:10:00:01".to_owned(),
            Type::Interface | Type::InterfaceOrList => format!("ether{}", 1 + self.below(3)),
            Type::Enum(words) => self.pick(words).clone(),
            Type::Flags(words) => {
                let no = if self.below(4) == 0 { "!" } else { "" };
                format!("{},{no}{}", self.pick(words), self.pick(words))
            }
            Type::List(inner) => (0..1 + self.below(3))
                .map(|_| self.value(inner).replace(',', ""))
                .collect::<Vec<_>>()
                .join(","),
            Type::Not(inner) => format!("{}{}", if self.below(3) == 0 { "!" } else { "" }, self.value(inner)),
            Type::Pair(inner) => format!("{}/{}", self.value(inner), self.value(inner)),
            Type::OneOf(types) => {
                let ty = &types[self.below(types.len())];
                self.value(ty)
            }
            Type::Reference(path) => {
                let names: Vec<String> =
                    Tree::new().items(path).filter_map(|item| item.text("name")).collect();
                if names.is_empty() { String::new() } else { self.pick(&names).clone() }
            }
            _ => (*self.pick(&ANY)).to_owned(),
        }
    }
}

fn writable(menu: &Menu) -> impl Iterator<Item = &Property> {
    menu.properties.iter().filter(|p| !p.read_only)
}

/// One statement for a menu: what it needs, and some of the rest.
fn statement(dice: &mut Dice, menu: &Menu) -> String {
    let mut text = menu.blank_path();
    text.push_str(match menu.kind {
        Kind::Settings => " set",
        _ if menu.fixed => " set 0",
        _ => " add",
    });
    for property in writable(menu) {
        if property.required || dice.below(3) == 0 {
            let value = (0..4).map(|_| dice.value(&property.ty)).find(|value| property.check(value).is_ok());
            if let Some(value) = value {
                let hex: String = value.bytes().map(|b| format!("\\{b:02X}")).collect();
                text.push_str(&format!(" {}=\"{hex}\"", property.name));
            }
        }
    }
    text
}

fn tree(dice: &mut Dice, statements: usize) -> (Tree, usize) {
    let menus: Vec<&Menu> =
        schema::menus().filter(|m| matches!(m.kind, Kind::List | Kind::Settings)).collect();
    let mut tree = Tree::new();
    let mut taken = 0;
    for _ in 0..statements {
        let menu = dice.pick(&menus);
        taken += usize::from(run(&mut tree, &statement(dice, menu)).is_ok());
    }
    (tree, taken)
}

fn written(tree: &Tree) -> String {
    export(tree, &ExportOptions { sensitive: true, ..ExportOptions::default() })
}

fn read(text: &str) -> Result<Tree, TestCaseError> {
    let taken = import(&Tree::new(), text);
    Ok(taken.map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?.tree)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_tree_is_what_its_forms_say(seed in 1..u64::MAX) {
        let (tree, taken) = tree(&mut Dice(seed), 24);
        prop_assert!(taken >= 6, "{taken} statements taken");
        let text = written(&tree);
        let again = read(&text)?;
        prop_assert_eq!(written(&again), text.clone());
        let told = |tree: &Tree| {
            export(tree, &ExportOptions { sensitive: true, verbose: true, ..ExportOptions::default() })
        };
        let verbose = told(&tree);
        prop_assert_eq!(told(&read(&verbose)?), verbose, "verbose");
        let terse = export(&tree, &ExportOptions { sensitive: true, terse: true, ..ExportOptions::default() });
        prop_assert_eq!(written(&read(&terse)?), text.clone(), "terse");
        let yaml = to_yaml(&tree);
        let back = from_yaml(&Tree::new(), &yaml).map_err(|e| TestCaseError::fail(format!("{e}\n{yaml}")))?.tree;
        prop_assert!(back == tree, "{}", yaml);
        prop_assert_eq!(to_yaml(&back), yaml);
        prop_assert_eq!(written(&back), text);
    }

    #[test]
    fn every_print_of_a_tree_is_an_answer(seed in 1..u64::MAX) {
        let dice = &mut Dice(seed);
        let (mut tree, _) = tree(dice, 12);
        let menus: Vec<&Menu> = schema::menus().filter(|m| m.kind != Kind::Commands).collect();
        for menu in menus {
            let list: &[&str] = &["", " detail", " terse", " value-list", " as-value", " show-ids", " count-only"];
            let forms = if menu.kind == Kind::Settings { &["", " value-list", " as-value"] } else { list };
            for form in forms {
                let command = format!("{} print{form}", menu.blank_path());
                let output = run(&mut tree, &command);
                prop_assert!(output.is_ok(), "{command}: {output:?}");
            }
        }
    }
}
