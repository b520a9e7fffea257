//! The rarer matchers: what they are written as, read into the cells that they are kept in.

use router_common::facts::{header, ip_option};
use router_common::maps::image::{More, Volume, pcc};

use super::matches::{count, time_ms};

/// `both-addresses-and-ports:2/0` -> fields, denominator, remainder.
pub fn per_connection_classifier(text: &str) -> Option<(u8, u32, u32)> {
    let (fields, share) = text.rsplit_once(':')?;
    let (denominator, remainder) = share.split_once('/')?;
    let (denominator, remainder): (u32, u32) = (denominator.parse().ok()?, remainder.parse().ok()?);
    use pcc::{DST, DST_PORT, SRC, SRC_PORT};
    let fields = match fields {
        "src-address" => SRC,
        "dst-address" => DST,
        "both-addresses" => SRC | DST,
        "src-port" => SRC_PORT,
        "dst-port" => DST_PORT,
        "both-ports" => SRC_PORT | DST_PORT,
        "src-address-and-port" => SRC | SRC_PORT,
        "dst-address-and-port" => DST | DST_PORT,
        "both-addresses-and-ports" => SRC | DST | SRC_PORT | DST_PORT,
        _ => return None,
    };
    (remainder < denominator).then_some((fields, denominator, remainder))
}

/// `2,1`: every how many packets, and which of them.
pub fn nth(text: &str) -> Option<(u32, u32)> {
    let numbers: Vec<u32> = text.split(',').map(|number| number.parse().ok()).collect::<Option<_>>()?;
    let (every, packet) = match numbers.as_slice() {
        [every, packet] => (*every, *packet),
        // RouterOS 2: the counter in between.
        [every, _, packet] => (*every, *packet),
        _ => return None,
    };
    (every > 0 && (1..=every).contains(&packet)).then_some((every, packet))
}

/// `500k-0`: the second number is included, 0 is no limit.
pub fn volume(text: &str) -> Option<(u64, u64)> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let (from, to) = (count(from)?, count(to)?);
    let to = if to == 0 { u64::MAX } else { to };
    (from <= to).then_some((from, to))
}

/// `21,3s,3,1`: weight, delay, weight of a low port, of a high one.
pub fn psd(text: &str, volume: &mut Volume) -> Option<()> {
    let [weight, delay, low, high] = text.split(',').collect::<Vec<_>>().try_into().ok()?;
    volume.psd_weight = weight.parse().ok()?;
    volume.psd_delay_s = u32::try_from(time_ms(delay)?.div_ceil(1000)).ok()?;
    volume.psd_low = low.parse().ok()?;
    volume.psd_high = high.parse().ok()?;
    Some(())
}

/// `9h-18h,mon,tue`: a time of the day and the days of the week; no days are all days.
pub fn time(text: &str, more: &mut More) -> Option<()> {
    const DAY_S: u32 = 86_400;
    let mut parts = text.split(',');
    let (from, to) = parts.next()?.split_once('-')?;
    (more.time_from_s, more.time_to_s) = (second_of_day(from)?, second_of_day(to)?.min(DAY_S - 1));
    for day in parts {
        let names = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
        more.days |= 1 << names.iter().position(|name| *name == day)?;
    }
    if more.days == 0 {
        more.days = 0x7f;
    }
    Some(())
}

/// `9h30m`, `09:30:00`, `1d`, at most a day.
fn second_of_day(text: &str) -> Option<u32> {
    let seconds = if text.contains(':') {
        let mut seconds = 0;
        for part in text.split(':') {
            seconds = seconds * 60 + part.parse::<u32>().ok()?;
        }
        if text.matches(':').count() == 1 { seconds * 60 } else { seconds }
    } else {
        let mut seconds = 0;
        let mut digits = String::new();
        for c in text.chars() {
            let unit_s = match c {
                '0'..='9' => {
                    digits.push(c);
                    continue;
                }
                's' => 1,
                'm' => 60,
                'h' => 3600,
                'd' => 86_400,
                _ => return None,
            };
            seconds += std::mem::take(&mut digits).parse::<u32>().ok()?.checked_mul(unit_s)?;
        }
        if digits.is_empty() { seconds } else { return None }
    };
    (seconds <= 86_400).then_some(seconds)
}

/// `ipv4-options`: bits, and whether one of them is to be there.
pub fn options(text: &str) -> Option<(u8, bool)> {
    use ip_option::{
        ANY, LOOSE_SOURCE_ROUTING, RECORD_ROUTE, ROUTER_ALERT, STRICT_SOURCE_ROUTING, TIMESTAMP,
    };
    Some(match text {
        "any" => (ANY, true),
        "none" => (ANY, false),
        "loose-source-routing" => (LOOSE_SOURCE_ROUTING, true),
        "strict-source-routing" => (STRICT_SOURCE_ROUTING, true),
        "no-source-routing" => (LOOSE_SOURCE_ROUTING | STRICT_SOURCE_ROUTING, false),
        "record-route" => (RECORD_ROUTE, true),
        "no-record-route" => (RECORD_ROUTE, false),
        "timestamp" => (TIMESTAMP, true),
        "no-timestamp" => (TIMESTAMP, false),
        "router-alert" => (ROUTER_ALERT, true),
        "no-router-alert" => (ROUTER_ALERT, false),
        _ => return None,
    })
}

/// `hop,route:contains` -> bits, and whether there may be no others.
pub fn headers(text: &str) -> Option<(u8, bool)> {
    let (names, exact) = match text.rsplit_once(':') {
        Some((names, "exact")) => (names, true),
        Some((names, "contains")) => (names, false),
        Some(_) => return None,
        None => (text, true),
    };
    let bits = names.split(',').try_fold(0, |bits, name| {
        let bit = match name {
            "hop" => header::HOP,
            "dst" => header::DST,
            "route" => header::ROUTE,
            "frag" => header::FRAG,
            "auth" => header::AUTH,
            "esp" => header::ESP,
            "none" => header::NONE,
            "proto" => header::PROTO,
            _ => return None,
        };
        Some(bits | bit)
    })?;
    Some((bits, exact))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_below_its_denominator() {
        assert_eq!(per_connection_classifier("both-addresses:2/1"), Some((pcc::SRC | pcc::DST, 2, 1)));
        assert_eq!(
            per_connection_classifier("src-address-and-port:3/0"),
            Some((pcc::SRC | pcc::SRC_PORT, 3, 0))
        );
        for wrong in ["both-addresses:2/2", "both-addresses:0/0", "all:2/0", "src-port:2", "src-port"] {
            assert_eq!(per_connection_classifier(wrong), None, "{wrong}");
        }
        assert_eq!(nth("2,1"), Some((2, 1)));
        assert_eq!(nth("3,3,2"), Some((3, 2)));
        for wrong in ["2,0", "2,3", "0,0", "2", "a,b"] {
            assert_eq!(nth(wrong), None, "{wrong}");
        }
        assert_eq!(volume("500k-0"), Some((500_000, u64::MAX)));
        assert_eq!(volume("0-1M"), Some((0, 1_000_000)));
        assert_eq!(volume("5-4"), None);
    }

    #[test]
    fn times_of_day() {
        let of = |text| {
            let mut more = More::default();
            time(text, &mut more).map(|()| (more.time_from_s, more.time_to_s, more.days))
        };
        assert_eq!(of("9h-18h,mon,fri"), Some((32_400, 64_800, 0b10_0010)));
        assert_eq!(of("0s-1d,sun,mon,tue,wed,thu,fri,sat"), Some((0, 86_399, 0x7f)));
        assert_eq!(of("22h30m-6h"), Some((81_000, 21_600, 0x7f)));
        assert_eq!(of("08:00:00-17:30:00"), Some((28_800, 63_000, 0x7f)));
        assert_eq!(of("8:00-9:00"), Some((28_800, 32_400, 0x7f)));
        for wrong in ["", "9h", "9-10", "2d-3d", "9h-10h,monday"] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn headers_and_options() {
        assert_eq!(headers("hop,route:contains"), Some((header::HOP | header::ROUTE, false)));
        assert_eq!(headers("frag"), Some((header::FRAG, true)));
        assert_eq!(headers("frag:most"), None);
        assert_eq!(options("no-source-routing"), Some((6, false)));
        assert_eq!(options("all"), None);
        let mut volume = Volume::default();
        assert_eq!(psd("21,3s,3,1", &mut volume), Some(()));
        assert_eq!((volume.psd_weight, volume.psd_delay_s, volume.psd_low, volume.psd_high), (21, 3, 3, 1));
        assert_eq!(psd("21,3s,3", &mut volume), None);
    }
}
