//! Packet tables: configuration in, packet in; verdict, packet out and counters compared.

mod forward;
mod fragment;
mod icmp_error;
mod lab;
mod rules;
mod trace;
mod track;
mod verdict;
mod verified;
