//! Packet tables: configuration in, packet in; verdict, packet out and counters compared.

mod concurrent;
mod decisions;
mod flood;
mod forward;
mod fragment;
mod icmp_error;
mod lab;
mod rules;
mod shield;
mod trace;
mod track;
mod translate;
mod verdict;
mod verified;
