//! `routerctl explain in=ether2 src=192.0.2.9 dst=203.0.113.1 protocol=tcp dst-port=443`.

use std::net::IpAddr;

use anyhow::{Context, bail};
use dataplane::{Explanation, Question};

use crate::cli::routerctl::Common;
use crate::ctl::rules::Known;
use crate::ctl::{plane, show, target, trace};
use crate::ports::{self, Names};

pub fn run(common: &Common, packet: &[(String, String)]) -> anyhow::Result<()> {
    let plane = plane::open(common)?;
    let explanation = plane.explain(&question(packet)?)?;
    if common.json {
        return show::json(&explanation);
    }
    let known = Known::ask(&target(common)?.1.socket());
    show::print(&text(&explanation, &known))
}

fn question(packet: &[(String, String)]) -> anyhow::Result<Question> {
    let (mut ingress, mut source, mut destination) = (None, None, None);
    let (mut protocol, mut source_port, mut destination_port) = (None, 40000, 443);
    for (name, value) in packet {
        let address = || value.parse::<IpAddr>().with_context(|| format!("{name}={value}: no address"));
        let port = || value.parse::<u16>().with_context(|| format!("{name}={value}: no port"));
        match name.as_str() {
            "in" | "in-interface" => ingress = Some(ports::index(value)?),
            "src" | "src-address" => source = Some(address()?),
            "dst" | "dst-address" => destination = Some(address()?),
            "protocol" => protocol = Some(ports::protocol(value)?),
            "src-port" => source_port = port()?,
            "dst-port" => destination_port = port()?,
            other => bail!("{other}: in, src, dst, protocol, src-port and dst-port are known"),
        }
    }
    let source = source.context("src= is missing")?;
    let destination = destination.context("dst= is missing")?;
    if source.is_ipv4() != destination.is_ipv4() {
        bail!("src and dst are of different families");
    }
    Ok(Question {
        ingress: ingress.context("in= is missing")?,
        source,
        destination,
        protocol: protocol.unwrap_or(6),
        source_port,
        destination_port,
    })
}

fn text(explanation: &Explanation, known: &Known) -> String {
    let mut names = Names::default();
    let way = if explanation.fast { "fast path" } else { "not the fast path" };
    let mut out = format!("{way}: {}\n", explanation.why);
    for met in explanation.steps.iter().flat_map(|step| &step.rules).filter(|met| !met.varying.is_empty()) {
        let (by, name) = (met.varying.join(", "), format!("/{} *{:X}", met.menu, met.id));
        out.push_str(&format!("its flow is not kept: {by} of {name} can differ from packet to packet\n"));
    }
    out.push_str(&format!("{} returned {}", explanation.program, explanation.action));
    if let Some(egress) = explanation.egress {
        out.push_str(&format!(", out={}", names.of(egress)));
    }
    out.push('\n');
    for step in &explanation.steps {
        out.push_str(&format!("  {}\n", trace::line(step, &mut names)));
        for met in &step.rules {
            out.push_str(&format!("    {}\n", trace::rule_line(met, known)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_does_not_fit_is_named() {
        let ask = |words: &str| {
            let pairs = words.split(' ').filter_map(|word| word.split_once('='));
            question(&pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect::<Vec<_>>())
        };
        let question = ask("in=lo src=192.0.2.1 dst=198.51.100.1 protocol=udp dst-port=53").unwrap();
        assert_eq!((question.ingress, question.protocol, question.destination_port), (1, 17, 53));
        for (words, said) in [
            ("src=192.0.2.1 dst=198.51.100.1", "in= is missing"),
            ("in=lo src=192.0.2.1 dst=2001:db8::1", "different families"),
            ("in=lo src=192.0.2.1", "dst= is missing"),
            ("in=nonexistent0 src=192.0.2.1", "no such interface"),
            ("colour=red", "colour"),
            ("in=lo src=192.0.2.1 dst=192.0.2.2 dst-port=70000", "no port"),
        ] {
            let error = format!("{:#}", ask(words).unwrap_err());
            assert!(error.contains(said), "{words}: {error}");
        }
    }
}
