//! How long a silent connection is kept, by what it is: the timers of `/ip firewall connection tracking`.

use crate::conntrack::tcp::Direction;

/// Which timer a connection runs on. Fits five bits; 0 is none.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    SynSent = 1,
    SynReceived = 2,
    Established = 3,
    FinWait = 4,
    CloseWait = 5,
    LastAck = 6,
    TimeWait = 7,
    Close = 8,
    /// Data that was sent several times is not acknowledged, or nothing may be sent.
    MaxRetrans = 9,
    /// Data is not acknowledged, or nobody has answered on a connection that was taken up in its middle.
    Unacked = 10,
    Udp = 11,
    UdpStream = 12,
    Icmp = 13,
    /// Everything else, also GRE, ESP, SCTP and DCCP.
    Generic = 14,
}

impl Class {
    pub const ALL: [Class; 14] = [
        Class::SynSent,
        Class::SynReceived,
        Class::Established,
        Class::FinWait,
        Class::CloseWait,
        Class::LastAck,
        Class::TimeWait,
        Class::Close,
        Class::MaxRetrans,
        Class::Unacked,
        Class::Udp,
        Class::UdpStream,
        Class::Icmp,
        Class::Generic,
    ];

    /// The property that sets it.
    pub const fn property(self) -> &'static str {
        match self {
            Class::SynSent => "tcp-syn-sent-timeout",
            Class::SynReceived => "tcp-syn-received-timeout",
            Class::Established => "tcp-established-timeout",
            Class::FinWait => "tcp-fin-wait-timeout",
            Class::CloseWait => "tcp-close-wait-timeout",
            Class::LastAck => "tcp-last-ack-timeout",
            Class::TimeWait => "tcp-time-wait-timeout",
            Class::Close => "tcp-close-timeout",
            Class::MaxRetrans => "tcp-max-retrans-timeout",
            Class::Unacked => "tcp-unacked-timeout",
            Class::Udp => "udp-timeout",
            Class::UdpStream => "udp-stream-timeout",
            Class::Icmp => "icmp-timeout",
            Class::Generic => "generic-timeout",
        }
    }

    /// RouterOS's default in seconds.
    pub const fn default_s(self) -> u32 {
        match self {
            Class::SynSent | Class::SynReceived => 5,
            Class::Established => 86400,
            Class::FinWait
            | Class::CloseWait
            | Class::LastAck
            | Class::TimeWait
            | Class::Close
            | Class::Icmp => 10,
            Class::MaxRetrans | Class::Unacked => 300,
            Class::Udp => 30,
            Class::UdpStream => 180,
            Class::Generic => 600,
        }
    }
}

/// Places of a table of timeouts: what five bits can name.
pub const CLASSES: usize = 32;

/// Seconds by [`Class`].
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts(pub [u32; CLASSES]);
crate::assert_size!(Timeouts, 128);

impl Default for Timeouts {
    fn default() -> Timeouts {
        let mut timeouts = Timeouts([0; CLASSES]);
        for class in Class::ALL {
            timeouts.set(class, class.default_s());
        }
        timeouts
    }
}

impl Timeouts {
    pub fn set(&mut self, class: Class, seconds: u32) {
        if let Some(place) = self.0.get_mut(class as usize) {
            *place = seconds;
        }
    }

    /// Of the class of that number; one that does not exist times out at once.
    #[inline(always)]
    pub fn seconds(&self, class: u32) -> u32 {
        self.0.get(class as usize & (CLASSES - 1)).copied().unwrap_or(0)
    }

    /// As the programs take them: nobody waits longer for an acknowledgement than for anything.
    pub fn effective(mut self) -> Timeouts {
        let established = self.seconds(Class::Established as u32);
        for class in [Class::MaxRetrans, Class::Unacked] {
            self.set(class, self.seconds(class as u32).min(established));
        }
        self
    }

    /// The least of the timers that [`Timeouts::tcp_seconds`] may put in the place of a connection's own.
    pub fn waiting_seconds(&self) -> u32 {
        self.seconds(Class::MaxRetrans as u32).min(self.seconds(Class::Unacked as u32))
    }

    /// Seconds that a silent TCP connection of that class is kept, given its two directions' records: less while what
    /// was sent last is not acknowledged.
    pub fn tcp_seconds(&self, class: u32, one: &Direction, other: &Direction) -> u32 {
        let mut seconds = self.seconds(class);
        if one.is_stuck(other) || other.is_stuck(one) {
            seconds = seconds.min(self.seconds(Class::MaxRetrans as u32));
        }
        if one.is_unacked(other) || other.is_unacked(one) {
            seconds = seconds.min(self.seconds(Class::Unacked as u32));
        }
        seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timers_start_with_routeros_defaults() {
        let timeouts = Timeouts::default();
        assert_eq!(timeouts.seconds(Class::Established as u32), 24 * 3600);
        assert_eq!(timeouts.seconds(Class::SynSent as u32), 5);
        assert_eq!(timeouts.seconds(Class::UdpStream as u32), 180);
        assert_eq!(timeouts.seconds(0), 0);
        assert_eq!(timeouts.seconds(31), 0);
    }

    #[test]
    fn numbers_and_properties_are_one_to_one() {
        let mut timeouts = Timeouts([0; CLASSES]);
        for (place, class) in Class::ALL.into_iter().enumerate() {
            assert_eq!(class as usize, place + 1);
            timeouts.set(class, class as u32 * 7);
        }
        for class in Class::ALL {
            assert_eq!(timeouts.seconds(class as u32), class as u32 * 7, "{}", class.property());
            let same = Class::ALL.into_iter().filter(|other| other.property() == class.property());
            assert_eq!(same.count(), 1, "{}", class.property());
        }
    }

    #[test]
    fn waiting_is_never_longer_than_the_connection() {
        let mut timeouts = Timeouts::default();
        assert_eq!(timeouts.effective(), timeouts);
        timeouts.set(Class::Established, 60);
        assert_eq!(timeouts.effective().seconds(Class::Unacked as u32), 60);
        assert_eq!(timeouts.effective().seconds(Class::MaxRetrans as u32), 60);
        assert_eq!(timeouts.effective().seconds(Class::Generic as u32), 600);
    }

    #[test]
    fn unacknowledged_data_shortens_the_timer() {
        let timeouts = Timeouts::default();
        let (mut one, mut other) = (Direction::default(), Direction::default());
        let established = Class::Established as u32;
        one.record(1000, 5000, 100, 0);
        other.record(5000, 1000, 100, 0);
        assert_eq!(timeouts.tcp_seconds(established, &one, &other), 86400);
        one.record(1000, 5000, 100, 10);
        assert_eq!(timeouts.tcp_seconds(established, &one, &other), 300);
        assert_eq!(timeouts.tcp_seconds(Class::FinWait as u32, &one, &other), 10);
        other.record(5000, 1010, 100, 0);
        assert_eq!(timeouts.tcp_seconds(established, &one, &other), 86400);
        other.record(5000, 1010, 0, 0);
        assert_eq!(timeouts.tcp_seconds(established, &one, &other), 300, "zero window");
    }
}
