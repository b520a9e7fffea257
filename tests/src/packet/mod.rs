//! Packets in, packets out: the programs run by BPF_PROG_TEST_RUN on ports in a namespace of their own.

mod frame;
mod reset;
mod rig;

pub use frame::{Frame, Ip, Segment, describe, on};
pub use rig::{Answer, Hook, Rig, SkbContext, ip, port, settings, sysctl};
