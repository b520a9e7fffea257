//! UDP and UDP-Lite: unreplied, replied, stream.
//!
//! A question and its answer end with the short timer; what goes on after the answer is a stream
//! (net/netfilter/nf_conntrack_proto_udp.c).

use crate::conntrack::timeout::Class;

/// Seconds that an exchange must last before it counts as a stream: a resolver's questions do not.
pub const STREAM_S: u32 = 2;

/// The timer of an exchange: `replied` says whether the other side had answered before the packet at hand, `age_s` how
/// long ago the first packet was.
#[inline(always)]
pub fn class(replied: bool, age_s: u32) -> Class {
    if replied && age_s > STREAM_S { Class::UdpStream } else { Class::Udp }
}

/// Streams are assured: they are not thrown out for others.
#[inline(always)]
pub fn is_assured(class: Class) -> bool {
    matches!(class, Class::UdpStream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_and_its_answer_are_no_stream() {
        assert_eq!(class(false, 0), Class::Udp);
        assert_eq!(class(true, 0), Class::Udp);
        assert_eq!(class(true, STREAM_S), Class::Udp);
        assert!(!is_assured(Class::Udp));
    }

    #[test]
    fn what_goes_on_both_ways_is_a_stream() {
        assert_eq!(class(true, STREAM_S + 1), Class::UdpStream);
        assert!(is_assured(Class::UdpStream));
        assert_eq!(class(false, 3600), Class::Udp, "nobody has answered");
    }
}
