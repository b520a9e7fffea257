//! Prefix arithmetic and the texts of addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `192.168.1.1/24`, host bits kept; without a length the whole address.
pub fn prefix(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address.parse().ok()?, length.parse().ok()?),
        None => {
            let address: IpAddr = text.parse().ok()?;
            (address, bits(address))
        }
    };
    (length <= bits(address)).then_some((address, length))
}

/// `02:00:5E:10:00:01`
pub fn mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut mac {
        *byte =
            parts.next().filter(|part| part.len() <= 2).and_then(|part| u8::from_str_radix(part, 16).ok())?;
    }
    parts.next().is_none().then_some(mac)
}

pub fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The address with its host bits cleared.
pub fn network(address: IpAddr, length: u8) -> IpAddr {
    let host_bits = u32::from(bits(address).saturating_sub(length));
    match address {
        IpAddr::V4(v4) => Ipv4Addr::from(u32::from(v4) & u32::MAX.checked_shl(host_bits).unwrap_or(0)).into(),
        IpAddr::V6(v6) => {
            Ipv6Addr::from(u128::from(v6) & u128::MAX.checked_shl(host_bits).unwrap_or(0)).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_bits_are_cleared_at_every_length() {
        for length in 0..=128u8 {
            let IpAddr::V6(v6) = network(Ipv6Addr::from(u128::MAX).into(), length) else { panic!() };
            assert_eq!(u128::from(v6).leading_ones(), u32::from(length));
            assert_eq!(u128::from(v6).count_ones(), u32::from(length));
        }
        assert_eq!(network("192.0.2.200".parse().unwrap(), 25).to_string(), "192.0.2.128");
        assert_eq!(network("192.0.2.200".parse().unwrap(), 0).to_string(), "0.0.0.0");
    }

    #[test]
    fn texts_that_are_none_are_refused() {
        assert_eq!(prefix("192.0.2.1/33"), None);
        assert_eq!(prefix("192.0.2.1"), prefix("192.0.2.1/32"));
        assert_eq!(mac("02:00:5E:10:00:01"), Some([2, 0, 0x5e, 0x10, 0, 1]));
        assert_eq!(mac("02:00:5E:10:00"), None);
        assert_eq!(mac("02:00:5E:10:00:01:02"), None);
        assert_eq!(mac("02:00:5E:10:00:001"), None);
    }
}
