//! The stages, in the order in which a packet meets them.

pub mod connection_limit;
pub mod edit;
pub mod emit;
pub mod facts;
pub mod fast;
pub mod firewall;
pub mod fragment;
pub mod handover;
pub mod icmp_error;
pub mod inspect;
pub mod masquerade;
pub mod nat;
pub mod related;
pub mod reroute;
pub mod route;
pub mod rules;
pub mod shield;
pub mod source;
pub mod tcp_answer;
pub mod track;
pub mod translate;
pub mod unfinished;
