//! Scenarios: the real `routerd` between real hosts, in network namespaces.

mod change;
mod forward;
mod host;
mod icmp;
mod listing;
mod oracle;
mod refuse;
mod seeing;
mod survive;
