//! Packet tables: configuration in, packet in; verdict, packet out and counters compared.

mod forward;
mod lab;
