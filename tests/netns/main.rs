//! Scenarios: the real `routerd` between real hosts, in network namespaces.

mod change;
mod firewall_time;
mod forward;
mod fragment;
mod host;
mod icmp;
mod listing;
mod oracle;
mod refuse;
mod rule_log;
mod seeing;
mod survive;
