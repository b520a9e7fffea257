//! `/ip firewall connection tracking`.

use config::{Errors, Tree};
use router_common::conntrack::timeout::Class;
use router_common::maps::flow::{self, tracking};
use router_common::maps::image::{Record, Rule, action};

use crate::desired::RuleImage;
use crate::settings::record;
use crate::view::Tracking;

/// Timers and switches of connection tracking. `enabled=auto` tracks as soon as there is a rule.
pub fn compile(tree: &Tree, rules: &RuleImage) -> Result<flow::Tracking, Errors> {
    let view: Tracking = record(tree, "ip/firewall/connection/tracking")?;
    let mut compiled = flow::Tracking::default();
    for (class, milliseconds) in [
        (Class::SynSent, view.syn_sent_ms),
        (Class::SynReceived, view.syn_received_ms),
        (Class::Established, view.established_ms),
        (Class::FinWait, view.fin_wait_ms),
        (Class::CloseWait, view.close_wait_ms),
        (Class::LastAck, view.last_ack_ms),
        (Class::TimeWait, view.time_wait_ms),
        (Class::Close, view.close_ms),
        (Class::MaxRetrans, view.max_retrans_ms),
        (Class::Unacked, view.unacked_ms),
        (Class::Udp, view.udp_ms),
        (Class::UdpStream, view.udp_stream_ms),
        (Class::Icmp, view.icmp_ms),
        (Class::Generic, view.generic_ms),
    ] {
        compiled.timeouts.set(class, u32::try_from(milliseconds.div_ceil(1000)).unwrap_or(u32::MAX));
    }
    let enabled = view.enabled == "yes" || view.enabled == "auto" && !rules.rules.is_empty();
    let mut cells = rules.rules.iter().filter_map(|rule| rules.cells.get(rule.cell as usize));
    let fasttracks = cells.any(|cell| Rule::of(cell).action == action::FASTTRACK);
    for (flag, on) in [
        (tracking::ENABLED, enabled),
        (tracking::LOOSE, view.loose),
        (tracking::LIBERAL, view.liberal),
        (tracking::FASTTRACK, fasttracks),
    ] {
        compiled.flags |= if on { flag } else { 0 };
    }
    Ok(compiled)
}

#[cfg(test)]
mod tests {
    use config::Tree;
    use router_common::maps::flow::tracking;

    use crate::HostFacts;

    fn flags(text: &str) -> u32 {
        let tree = config::import(&Tree::new(), text).unwrap().tree;
        crate::compile(&tree, &HostFacts::default()).unwrap().image.tracking.flags
    }

    #[test]
    fn a_rule_turns_tracking_on_and_a_fasttracking_one_says_so() {
        assert_eq!(flags("") & (tracking::ENABLED | tracking::FASTTRACK), 0);
        let rule = "/ip firewall filter add chain=forward connection-state=established";
        assert_eq!(flags(rule) & (tracking::ENABLED | tracking::FASTTRACK), tracking::ENABLED);
        let fasttrack = format!("{rule} action=fasttrack-connection");
        assert_ne!(flags(&fasttrack) & tracking::FASTTRACK, 0);
        assert_eq!(flags(&format!("{fasttrack} disabled=yes")) & tracking::FASTTRACK, 0);
    }
}
