//! Following packets: the filter as typed, and the stream of steps.

use std::net::IpAddr;
use std::path::Path;

use anyhow::Context;
use dataplane::{Filter, Inspector};
use management::protocol;
use serde_json::Value;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use crate::ports;

pub fn filter(typed: &protocol::Trace) -> anyhow::Result<Filter> {
    Ok(Filter {
        source: typed.src.as_deref().map(prefix).transpose()?,
        destination: typed.dst.as_deref().map(prefix).transpose()?,
        ingress: typed.interface.as_deref().map(ports::index).transpose()?,
        protocol: typed.protocol.as_deref().map(ports::protocol).transpose()?,
        source_port: typed.src_port,
        destination_port: typed.dst_port,
        drops: typed.drops,
    })
}

/// An address, or a prefix.
fn prefix(text: &str) -> anyhow::Result<(IpAddr, u8)> {
    let (address, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
    let address: IpAddr = address.parse().with_context(|| format!("{text} is no address and no prefix"))?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let length = match length {
        None => longest,
        Some(length) => length
            .parse()
            .ok()
            .filter(|length| *length <= longest)
            .with_context(|| format!("{text}: the length of a prefix is 0 to {longest}"))?,
    };
    Ok((address, length))
}

/// Sends steps until the receiver has gone; tracing is switched off then, also when the future is dropped.
pub async fn stream(pins: &Path, typed: &protocol::Trace, steps: mpsc::Sender<Value>) -> anyhow::Result<()> {
    let trace = Inspector::open(pins)?.trace(filter(typed)?)?;
    // SAFETY: the descriptor is the ring's own, the same until it is dropped, which AsyncFd does last.
    let mut trace = unsafe { AsyncFd::register(trace) }.map_err(std::io::Error::from)?;
    loop {
        let mut ready = trace.readable_mut().await?;
        while let Some(step) = ready.get_inner_mut().next() {
            if steps.send(serde_json::to_value(step)?).await.is_err() {
                return Ok(());
            }
        }
        ready.clear_ready();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_prefixes() {
        assert_eq!(prefix("192.0.2.9").unwrap(), ("192.0.2.9".parse().unwrap(), 32));
        assert_eq!(prefix("2001:db8::/32").unwrap(), ("2001:db8::".parse().unwrap(), 32));
        assert_eq!(prefix("0.0.0.0/0").unwrap().1, 0);
        for bad in ["", "x", "192.0.2.1/33", "2001:db8::/129", "192.0.2.1/", "/24"] {
            assert!(prefix(bad).is_err(), "{bad}");
        }
    }
}
