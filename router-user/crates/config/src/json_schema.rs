//! The YAML form's JSON Schema (draft 2020-12), for editors: completion, help, and errors while a file is written.

use serde_json::{Map, Value as Json, json};

use crate::schema::{self, Kind, Menu, Property};
use crate::types::Type;

/// Describes the whole YAML form. It asks for full words where [`crate::from_yaml`] also takes unique beginnings.
pub fn json_schema() -> Json {
    let mut items = Map::new();
    let mut root = match branch("", &mut items) {
        Json::Object(root) => root,
        _ => Map::new(),
    };
    root.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
    root.insert("title".into(), "RouterOS configuration in YAML".into());
    items.insert("text".into(), json!({"type": ["string", "number", "boolean", "null"]}));
    items.insert("yes-no".into(), json!({"enum": [true, false, "yes", "no", null]}));
    items.insert(
        "texts".into(),
        json!({"anyOf": [
            {"type": ["string", "number", "boolean", "null"]},
            {"type": "array", "items": {"type": ["string", "number", "boolean"]}},
        ]}),
    );
    root.insert("$defs".into(), Json::Object(items));
    Json::Object(root)
}

/// What may stand at a path: menus below it, with the items or settings of the menu itself. Items are described in
/// `defined`, by the path of their menu with dots.
fn branch(path: &str, defined: &mut Map<String, Json>) -> Json {
    let below = schema::children(path).unwrap_or_default();
    let mut properties = Map::new();
    let menu = schema::menu(path).filter(|menu| menu.path == path);
    let own = menu.filter(|menu| menu.kind == Kind::Settings);
    for property in own.iter().flat_map(|menu| &menu.properties).filter(|p| !p.read_only) {
        properties.insert(property.name.clone(), described(property));
    }
    for word in below {
        let child = if path.is_empty() { word.clone() } else { format!("{path}/{word}") };
        // Another name of a menu is read, but not proposed.
        if schema::menu(&child).is_some_and(|menu| menu.path != child) {
            continue;
        }
        let below = branch(&child, defined);
        match properties.get_mut(word) {
            Some(setting) => *setting = json!({"anyOf": [setting.take(), below]}),
            None => {
                properties.insert(word.clone(), below);
            }
        }
    }
    let help = menu.map(|menu| menu.help.as_str()).unwrap_or_default();
    match menu.filter(|menu| menu.kind == Kind::List) {
        Some(menu) if below.is_empty() => with_help(items(menu, defined), help),
        Some(menu) => {
            let items = items(menu, defined);
            properties.insert("items".into(), items.clone());
            let object = json!({"type": "object", "properties": properties, "additionalProperties": false});
            with_help(json!({"anyOf": [items, object, {"type": "null"}]}), help)
        }
        None => {
            if let (Some(menu), false) = (own, below.is_empty()) {
                properties.insert("items".into(), item(menu));
            }
            let object = json!({
                "type": ["object", "null"],
                "properties": properties,
                "additionalProperties": false,
            });
            with_help(object, help)
        }
    }
}

fn items(menu: &Menu, defined: &mut Map<String, Json>) -> Json {
    let name = menu.path.replace('/', ".");
    let reference = format!("#/$defs/{name}");
    defined.entry(name).or_insert_with(|| item(menu));
    json!({"type": ["array", "null"], "items": {"$ref": reference}})
}

fn item(menu: &Menu) -> Json {
    let mut properties: Map<String, Json> = menu
        .properties
        .iter()
        .filter(|p| !p.read_only || p.name == menu.identity() || p.name == "name")
        .map(|property| (property.name.clone(), described(property)))
        .collect();
    let is_list = menu.kind == Kind::List;
    if is_list && !(menu.defaults.is_empty() && menu.ports.is_empty()) {
        properties.insert("builtin".into(), json!({"type": ["string", "integer"]}));
    }
    let mut item = json!({"type": "object", "properties": properties, "additionalProperties": false});
    // What a router has from the start needs nothing; it is named by one property or another.
    let added = is_list && !menu.fixed && menu.defaults.is_empty() && menu.ports.is_empty();
    let required: Vec<&str> =
        menu.properties.iter().filter(|p| p.required && added).map(|p| p.name.as_str()).collect();
    if !required.is_empty() {
        item["required"] = json!(required);
    }
    item
}

fn described(property: &Property) -> Json {
    let mut schema = with_help(value(&property.ty), &property.help);
    if let (Some((text, _)), Some(object)) = (&property.default, schema.as_object_mut()) {
        object.insert("default".into(), text.as_str().into());
    }
    schema
}

fn with_help(mut schema: Json, help: &str) -> Json {
    if let (Some(object), false) = (schema.as_object_mut(), help.is_empty()) {
        object.insert("description".into(), help.into());
    }
    schema
}

fn value(ty: &Type) -> Json {
    let text = || json!({"$ref": "#/$defs/text"});
    match ty {
        Type::Bool | Type::Switch => json!({"$ref": "#/$defs/yes-no"}),
        Type::Number { min, max } => json!({"anyOf": [
            {"type": "integer", "minimum": min, "maximum": max},
            {"type": "string", "pattern": "^-?([0-9]+|0x[0-9A-Fa-f]+)$"},
            {"type": "null"},
        ]}),
        Type::Enum(words) => {
            json!({"enum": words.iter().flat_map(|word| forms(word)).chain([Json::Null]).collect::<Vec<_>>()})
        }
        Type::List(_) | Type::Flags(_) => json!({"$ref": "#/$defs/texts"}),
        Type::Not(inner) => json!({"anyOf": [value(inner), {"type": "string", "pattern": "^!"}]}),
        Type::OneOf(types) => {
            let mut all: Vec<Json> = Vec::new();
            for ty in types {
                let one = value(ty);
                if !all.contains(&one) {
                    all.push(one);
                }
            }
            json!({ "anyOf": all })
        }
        _ => text(),
    }
}

/// A word as YAML may give it: `5` is a number, `yes` may be a truth value.
fn forms(word: &str) -> Vec<Json> {
    let mut forms = vec![Json::from(word)];
    match word {
        "yes" => forms.push(true.into()),
        "no" => forms.push(false.into()),
        _ => forms.extend(word.parse::<i64>().ok().map(Json::from)),
    }
    forms
}
