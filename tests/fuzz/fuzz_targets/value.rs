//! Values of every property: a text that is taken has a canonical form that means the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use router_config::schema;

fuzz_target!(|input: (u16, &str)| {
    let (number, text) = input;
    let properties: Vec<_> = schema::menus().flat_map(|menu| &menu.properties).collect();
    let Some(property) = properties.get(usize::from(number) % properties.len()) else { return };
    let Ok(value) = property.check(text) else { return };
    let canonical = value.to_string();
    match property.check(&canonical) {
        Ok(again) => assert_eq!(again, value, "{}: {text:?} -> {canonical:?}", property.name),
        Err(error) => panic!("{}: {text:?} -> {canonical:?}: {error}", property.name),
    }
});
