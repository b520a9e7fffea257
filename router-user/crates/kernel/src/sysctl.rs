//! Values below /proc/sys, by keys such as `net/ipv4/conf/ether1/rp_filter`.

use std::io;
use std::path::PathBuf;

use crate::Error;

fn path(key: &str) -> PathBuf {
    PathBuf::from("/proc/sys").join(key)
}

/// None where this kernel or namespace has no such value, or the device is gone.
pub(crate) fn read(key: &str) -> Result<Option<String>, Error> {
    match std::fs::read_to_string(path(key)) {
        Ok(text) => Ok(Some(text.trim_end().to_owned())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(Error::File { path: path(key), cause }),
    }
}

pub(crate) fn write(key: &str, value: &str) -> Result<(), Error> {
    std::fs::write(path(key), value).map_err(|cause| Error::File { path: path(key), cause })
}

/// Whether two texts are one value. Times are kept in ticks of the kernel's clock, of 1 to 10 ms each.
pub(crate) fn same(key: &str, a: &str, b: &str) -> bool {
    const TICK_MS: u64 = 10;
    if a == b {
        return true;
    }
    match (a.parse::<i64>(), b.parse::<i64>()) {
        (Ok(a), Ok(b)) if key.ends_with("_ms") || key == "net/ipv4/icmp_ratelimit" => a.abs_diff(b) < TICK_MS,
        _ => false,
    }
}

/// Whether writing `value` lets the kernel forward packets that it did not forward before.
pub(crate) fn opens_forwarding(key: &str, value: &str) -> bool {
    let forwards = key == "net/ipv4/ip_forward" || (key.contains("/conf/") && key.ends_with("/forwarding"));
    forwards && value != "0"
}

/// Writing `conf/all/..` can change every device's own value, so it comes first.
pub(crate) fn order(key: &str) -> (u8, &str) {
    let rank = match conf(key) {
        Some((_, "all", _)) => 0,
        Some((_, "default", _)) => 1,
        _ => 2,
    };
    (rank, key)
}

/// `net/ipv4/conf/ether1/rp_filter` -> (`ipv4`, `ether1`, `rp_filter`). Device names hold no slash.
pub(crate) fn conf(key: &str) -> Option<(&str, &str, &str)> {
    let (family, rest) = key.strip_prefix("net/")?.split_once("/conf/")?;
    let (device, name) = rest.split_once('/')?;
    Some((family, device, name))
}

/// The value of `conf/all/` on which an effective value of a device depends: the kernel takes the greater of the two.
/// `accept_ra` is not combined, but `1` means "unless forwarding", and `all/forwarding` turns that on for each device.
pub(crate) fn governor(key: &str) -> Option<&'static str> {
    match conf(key)? {
        ("ipv4", _, "rp_filter") => Some("net/ipv4/conf/all/rp_filter"),
        ("ipv4", _, "send_redirects") => Some("net/ipv4/conf/all/send_redirects"),
        ("ipv4", _, "secure_redirects") => Some("net/ipv4/conf/all/secure_redirects"),
        ("ipv6", _, "accept_ra") => Some("net/ipv6/conf/all/forwarding"),
        _ => None,
    }
}

/// What device `device` needs when `all` goes from `before` to `after`, so that nothing changes for a device that is
/// not ours: the key and its new value, given the device's `own` value.
pub(crate) fn preserving(governor: &str, before: &str, after: &str, own: &str) -> Option<&'static str> {
    if governor == "net/ipv6/conf/all/forwarding" {
        // 2: also while forwarding. Documentation/networking/ip-sysctl.rst, accept_ra
        return (before == "0" && after != "0" && own == "1").then_some("2");
    }
    let number = |text: &str| text.parse::<u8>().unwrap_or(0);
    let effective = number(before).max(number(own));
    let changes = number(after).max(number(own)) != effective && number(own) != effective;
    changes.then_some(match effective {
        0 => "0",
        1 => "1",
        _ => "2",
    })
}

/// The key of one device that [`preserving`] may have to change along with `governor`.
pub(crate) fn governed(governor: &str, device: &str) -> Option<String> {
    let name = match governor {
        "net/ipv4/conf/all/rp_filter" => "ipv4/conf/{}/rp_filter",
        "net/ipv4/conf/all/send_redirects" => "ipv4/conf/{}/send_redirects",
        "net/ipv4/conf/all/secure_redirects" => "ipv4/conf/{}/secure_redirects",
        "net/ipv6/conf/all/forwarding" => "ipv6/conf/{}/accept_ra",
        _ => return None,
    };
    Some(format!("net/{}", name.replace("{}", device)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwarding_is_opened_only_by_a_value_other_than_0() {
        assert!(opens_forwarding("net/ipv4/conf/ether1/forwarding", "1"));
        assert!(opens_forwarding("net/ipv6/conf/all/forwarding", "1"));
        assert!(!opens_forwarding("net/ipv6/conf/all/forwarding", "0"));
        assert!(!opens_forwarding("net/ipv4/conf/forwarding/rp_filter", "1"));
    }

    #[test]
    fn all_comes_before_default_and_devices() {
        let mut keys = [
            "net/ipv4/conf/a.1/rp_filter",
            "net/ipv4/conf/default/rp_filter",
            "net/ipv6/conf/all/forwarding",
        ];
        keys.sort_by_key(|key| order(key));
        assert_eq!(keys[0], "net/ipv6/conf/all/forwarding");
        assert_eq!(keys[2], "net/ipv4/conf/a.1/rp_filter");
    }

    #[test]
    fn an_unmanaged_device_keeps_its_effective_value() {
        let rp = "net/ipv4/conf/all/rp_filter";
        assert_eq!(preserving(rp, "1", "0", "0"), Some("1"));
        assert_eq!(preserving(rp, "1", "0", "2"), None);
        assert_eq!(preserving(rp, "0", "0", "0"), None);
        let forwarding = "net/ipv6/conf/all/forwarding";
        assert_eq!(preserving(forwarding, "0", "1", "1"), Some("2"));
        assert_eq!(preserving(forwarding, "0", "1", "0"), None);
        assert_eq!(governed(rp, "eth0.5").as_deref(), Some("net/ipv4/conf/eth0.5/rp_filter"));
        assert_eq!(governor("net/ipv6/conf/eth0/accept_ra"), Some(forwarding));
    }
}
