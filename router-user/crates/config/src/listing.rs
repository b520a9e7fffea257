//! What a script is for the parser, written out: every name in full, every argument under its name. The form is that of
//! RouterOS's own listing of code, `(evl /ip/address/addaddress=192.0.2.1;24;interface=ether1)`.

use std::fmt::Write;

use crate::ast::{Arg, Bad, Block, Call, Command, Expr, Literal, Op, Statement, StatementKind};
use crate::error::Error;
use crate::parser::{Mode, Parser};
use crate::schema;
use crate::types::Type;

/// Lists a script as the parser of a real router reads it, one with nothing but the base package, or gives the first
/// error it finds.
///
/// A command is `(evl /path/nameargument=value;argument=value)`, its arguments in the order of their names; `$x` is a
/// variable, `(<%% $f a)` a call, `(+ a b)` an operator with its operands, `;(evl ..)` code as a value. An unknown command
/// is `(<%% bad command name x (line 1 column 1) x;..)`. What a router lists beside conditions, the names that they
/// could use, is left out.
pub fn listing(text: &str) -> Result<String, Error> {
    list(text, Mode { strict: true, listing: true, base: true })
}

/// [`listing`] for a router with every package.
pub fn full_listing(text: &str) -> Result<String, Error> {
    list(text, Mode { strict: true, listing: true, base: false })
}

fn list(text: &str, mode: Mode) -> Result<String, Error> {
    let mut parser = Parser::with(text, mode);
    let mut items = Vec::new();
    while let Some(statement) = parser.next_statement() {
        if !parser.errors.is_empty() {
            return Err(parser.errors.swap_remove(0));
        }
        let statement = statement?;
        add(&mut items, &statement);
    }
    Ok(items.join(";"))
}

/// Adds a statement. Brackets at the beginning of a statement take in what stands before them.
fn add(items: &mut Vec<String>, statement: &Statement) {
    let item = match &statement.kind {
        StatementKind::Menu(path) => menu(path),
        StatementKind::Block(block) => run(block),
        StatementKind::Command(read) => command(read),
        StatementKind::Bad(bad) => unknown(bad),
        StatementKind::Call(Call { function, args }) => match function.as_ref() {
            Expr::Command(block) => {
                items.extend(self::items(&block.statements));
                let function = match items.as_slice() {
                    [one] => one.clone(),
                    several => format!("(evl {})", several.join(";")),
                };
                items.clear();
                format!("(<%% {function} {})", values(args).join(";"))
            }
            Expr::Variable(name) => {
                let mut all = vec![format!("(> ${name})")];
                all.extend(values(args));
                format!("(<%% ${name} {})", all.join(";"))
            }
            other => format!("(<%% {} {})", value(other), values(args).join(";")),
        },
    };
    items.push(item);
}

fn menu(path: &str) -> String {
    if path.is_empty() { "/".into() } else { format!("/{path}/") }
}

fn items(statements: &[Statement]) -> Vec<String> {
    let mut items = Vec::new();
    statements.iter().for_each(|statement| add(&mut items, statement));
    items
}

/// Code as it is shown.
pub(crate) fn run(block: &Block) -> String {
    format!("(evl {})", items(&block.statements).join(" "))
}

fn command(command: &Command) -> String {
    let mut args = Vec::new();
    // A switch gets the value that stands before it, whatever that is.
    let mut last = "true".to_owned();
    for arg in &command.args {
        if arg.value == Expr::Word(String::new()) {
            continue;
        }
        let text = match &arg.value {
            Expr::On => last.clone(),
            Expr::Word(word) => typed(command, &arg.name, word),
            other if arg.name == "where" => condition(command, other),
            other => value(other),
        };
        if arg.name != "where" {
            last.clone_from(&text);
        }
        args.push((arg.name.as_str(), text));
    }
    args.sort_by_key(|(name, _)| *name);
    let args: Vec<String> = args.iter().map(|(name, text)| format!("{name}={text}")).collect();
    format!("(evl {}{}{})", menu(&command.menu), command.name, args.join(";"))
}

fn unknown(bad: &Bad) -> String {
    let mut all = vec![bad.word.clone()];
    all.extend(values(&bad.args));
    let told = bad.error.as_ref().map(ToString::to_string).unwrap_or_default();
    format!("(<%% {told} {})", all.join(";"))
}

/// Arguments without a name in their order, then those with one by name.
fn values(args: &[Arg]) -> Vec<String> {
    let mut list: Vec<String> = args.iter().filter(|a| a.name.is_empty()).map(|a| value(&a.value)).collect();
    let mut named: Vec<&Arg> = args.iter().filter(|a| !a.name.is_empty()).collect();
    named.sort_by_key(|arg| arg.name.as_str());
    list.extend(named.iter().map(|arg| format!("{}={}", arg.name, value(&arg.value))));
    list
}

pub(crate) fn value(expr: &Expr) -> String {
    match expr {
        Expr::Word(text) | Expr::Source(text) => text.clone(),
        Expr::Literal(Literal::Str(text)) => text
            .chars()
            .map(|c| crate::parser::raw_byte(c).map_or(c, |_| char::REPLACEMENT_CHARACTER))
            .collect(),
        Expr::Literal(literal) => literal.to_string(),
        Expr::Concat(parts) => match parts.as_slice() {
            [one] => value(one),
            parts => operator(".", parts),
        },
        Expr::Variable(name) | Expr::Property(name, _) => format!("${name}"),
        Expr::Op(op, operands, _) => match op {
            Op::Beside => operator(" ", operands),
            op if op.is_flat() => operator(op.text(), &flat(*op, operands)),
            op => operator(op.text(), operands),
        },
        Expr::Array(elements) => {
            let mut list = Vec::new();
            let mut keyed = Vec::new();
            for (key, element) in elements {
                match key {
                    Some(key) => keyed.push(format!("{}={}", value(key), value(element))),
                    None => list.push(value(element)),
                }
            }
            keyed.sort();
            list.extend(keyed);
            list.join(";")
        }
        Expr::Command(block) => match items(&block.statements) {
            empty if empty.is_empty() => "(evl /)".into(),
            items => format!("(evl {})", items.join(";")),
        },
        Expr::Code(block) => format!(";{}", run(block)),
        Expr::On => "true".into(),
        Expr::Unset => String::new(),
    }
}

/// Operands with those of the same operator inside them; a string in pieces is one with what it is put together with.
fn flat(op: Op, operands: &[Expr]) -> Vec<Expr> {
    let mut list = Vec::new();
    for operand in operands {
        match operand {
            Expr::Op(same, inner, _) if *same == op => list.extend(flat(op, inner)),
            Expr::Concat(parts) if op == Op::Concat => list.extend(parts.iter().cloned()),
            other => list.push(other.clone()),
        }
    }
    list
}

fn operator(op: &str, operands: &[Expr]) -> String {
    let mut text = format!("({op}");
    for operand in operands {
        let _ = write!(text, " {}", value(operand));
    }
    text.push(')');
    text
}

/// Conditions, in which words are of the type of what they are compared with.
fn condition(command: &Command, expr: &Expr) -> String {
    let Expr::Op(op, operands, _) = expr else { return value(expr) };
    let mut property = None;
    let mut list = vec![if *op == Op::Beside { " ".to_owned() } else { op.text().to_owned() }];
    for operand in operands {
        list.push(match (operand, property) {
            (Expr::Word(word), _) if word.bytes().all(|b| b.is_ascii_digit()) => word.clone(),
            (Expr::Word(word), Some(name)) => typed(command, name, word),
            (other, _) => condition(command, other),
        });
        property = if let Expr::Property(name, _) = operand { Some(name.as_str()) } else { None };
    }
    format!("({})", list.join(" "))
}

/// A bare word as the schema's type of an argument takes it apart.
fn typed(command: &Command, name: &str, word: &str) -> String {
    let menu = schema::menu(&command.menu);
    let argument = menu.and_then(|m| m.command(&command.name)?.arguments.iter().find(|a| a.name == name));
    let property = menu.and_then(|m| m.property(name).or_else(|| m.status(name)));
    if let Some(parts) = parts(&command.menu, name, word) {
        return parts;
    }
    match argument.or(property).map(|p| &p.ty) {
        Some(ty) => fields(ty, word),
        None if word == "yes" => "true".into(),
        None if word == "no" => "false".into(),
        None => word.to_owned(),
    }
}

/// Values that are taken apart although their type in the schema is plain.
fn parts(menu: &str, name: &str, word: &str) -> Option<String> {
    let not = |word: &str| fields(&Type::Not(Box::new(Type::String)), word);
    Some(match (menu, name) {
        (_, "per-connection-classifier") => not(&word.replace([':', '/'], ";")),
        (_, "hop-limit" | "ttl") if word.starts_with(|c: char| c.is_ascii_lowercase()) => {
            word.replace(':', ";")
        }
        (_, "ipsec-policy") => word.replace(',', ";"),
        ("ip/dhcp-server/network", "address") => word.replace('/', ";"),
        ("system/logging", "topics") => word.split(',').map(not).collect::<Vec<_>>().join(";"),
        _ => return None,
    })
}

fn fields(ty: &Type, word: &str) -> String {
    match ty {
        Type::Not(inner) => match word.strip_prefix('!') {
            Some(rest) => format!("true;{}", fields(inner, rest)),
            None => format!(";{}", fields(inner, word)),
        },
        Type::Bool | Type::Switch => match word {
            "yes" => "true".into(),
            "no" => "false".into(),
            other => other.to_owned(),
        },
        Type::List(inner) => word.split(',').map(|part| fields(inner, part)).collect::<Vec<_>>().join(";"),
        Type::Prefix { host: true, .. } | Type::Pair(_) => word.replace('/', ";"),
        Type::Time => crate::parser::clock_text(word).unwrap_or_else(|| word.to_owned()),
        Type::Number { .. } => crate::parser::number_text(word).unwrap_or_else(|| word.to_owned()),
        Type::String | Type::Secret | Type::Script => word.to_owned(),
        _ => word.replace(',', ";"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_full_and_arguments_in_order() {
        for (script, wanted) in [
            (":put 0x10", "(evl /putmessage=16)"),
            ("/ip addr pr detail", "(evl /ip/address/printdetail=true)"),
            (":if ($x = 1) do={ :put a }", "(evl /ifcondition=(= $x 1);do=;(evl (evl /putmessage=a)))"),
            ("$f a b=2 c", "(<%% $f (> $f);a;c;b=2)"),
            ("frobnicate a=1", "(<%% bad command name frobnicate (line 1 column 1) frobnicate;a=1)"),
            (":put \"a\\tb$x\"", "(evl /putmessage=(. a \t b $x))"),
            (":put [:pick \"abc\" 1]", "(evl /putmessage=(evl (evl /pickbegin=1;counter=abc)))"),
        ] {
            assert_eq!(listing(script).unwrap(), wanted);
        }
    }

    #[test]
    fn packages_have_their_menus() {
        assert_eq!(listing("/container/print").unwrap_err().to_string(), "syntax error (line 1 column 11)");
        assert_eq!(full_listing("/container/print").unwrap(), "(evl /container/print)");
    }

    #[test]
    fn the_first_error_is_the_answer() {
        for (script, wanted) in [
            ("xy/b", "syntax error (line 1 column 3)"),
            (":local café 1", "expected end of command (line 1 column 11)"),
            ("/ip address add nam=1", "expected end of command (line 1 column 17)"),
            (":set x 1", "syntax error (line 1 column 6)"),
            ("?", "expected command name (line 1 column 1)"),
            (":do { :put 1", "expected closing brace (line 1 column 13)"),
            ("/ip address { print\n", "missing closing brace (line 2 column 1)"),
        ] {
            assert_eq!(listing(script).unwrap_err().to_string(), wanted, "{script}");
        }
    }
}
