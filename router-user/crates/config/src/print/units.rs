//! Units that listings show and values have not.

use crate::schema::Menu;

/// What a listing shows for the text of a property: sizes in KiB and MiB, counters in groups of three digits.
pub(super) fn shown(menu: &Menu, property: &str, text: String) -> String {
    let Some(number) = text.parse::<u64>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit())) else {
        return text;
    };
    if menu.path == "system/resource" {
        return match property {
            "free-memory" | "total-memory" | "free-hdd-space" | "total-hdd-space" => size(number),
            "cpu-load" | "bad-blocks" => format!("{text}%"),
            "cpu-frequency" => format!("{text}MHz"),
            _ => text,
        };
    }
    if menu.status(property).is_some() && is_counter(property) { grouped(&text) } else { text }
}

/// A property that counts what passed.
pub(super) fn is_counter(property: &str) -> bool {
    let last = property.rsplit('-').next().unwrap_or_default();
    ["byte", "bytes", "packet", "packets", "drop", "drops", "error", "errors"].contains(&last)
}

/// `1196.0KiB`, `3704.1MiB`: at most four digits before the point.
fn size(bytes: u64) -> String {
    let kibibytes = bytes.div_ceil(1024);
    // Tenths, rounded down.
    let tenths = |unit: u64| u128::from(bytes) * 10 / u128::from(unit);
    let (tenths, unit) = match kibibytes {
        0..10_000 => (tenths(1024), "KiB"),
        _ => (tenths(1024 * 1024), "MiB"),
    };
    format!("{}.{}{unit}", tenths / 10, tenths % 10)
}

/// `50 507 925 242`
fn grouped(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use crate::schema;

    #[test]
    fn sizes_and_counters_are_readable() {
        let shown = |menu: &str, name: &str, text: &str| {
            super::shown(schema::menu(menu).unwrap(), name, text.to_owned())
        };
        for (menu, name, text, wanted) in [
            ("system/resource", "free-memory", "42154393", "40.2MiB"),
            ("system/resource", "free-hdd-space", "1224704", "1196.0KiB"),
            ("system/resource", "total-memory", "4227858432", "4032.0MiB"),
            ("system/resource", "free-memory", "40.2MiB", "40.2MiB"),
            ("system/resource", "cpu-load", "7", "7%"),
            ("interface", "rx-byte", "50507925242", "50 507 925 242"),
            ("interface", "rx-byte", "999", "999"),
            ("interface", "actual-mtu", "1500", "1500"),
        ] {
            assert_eq!(shown(menu, name, text), wanted, "{menu} {name}");
        }
    }
}
