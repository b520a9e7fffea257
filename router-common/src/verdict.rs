//! Why a packet left the pipeline: one list of reasons with stable numbers and one operator-facing name each.

macro_rules! numbered {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $number:literal, $text:literal;)* }) => {
        $(#[$meta])*
        #[repr(u16)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vmeta])* $variant = $number,)* }

        impl $name {
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];
            /// The name that an operator reads.
            pub const fn name(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }
            pub fn from_number(number: u16) -> Option<$name> {
                match number { $($number => Some($name::$variant),)* _ => None }
            }
        }
    };
}

numbered! {
    /// Numbers index the `REASONS` counters: forwarded 1..=9, to the host 10..=39, dropped 40 and up.
    Reason {
        /// Rewritten and redirected by XDP.
        Forwarded = 1, "forwarded";
        /// Forwarded by the tc program.
        ForwardedTc = 2, "forwarded-tc";
        /// Finished by XDP, sent by tc because only the host could resolve or transmit.
        HandedOver = 3, "handed-over";
        /// Left to the kernel's forwarding with our mark.
        KernelForwarded = 4, "kernel-forwarded";
        /// An ICMP error of ours was sent; counted beside the reason for which the packet was dropped.
        IcmpSent = 5, "icmp-sent";

        LocalDelivery = 10, "local";
        Multicast = 11, "multicast";
        Broadcast = 12, "broadcast";
        NotIp = 13, "not-ip";
        Vlan = 14, "vlan";
        OtherHost = 15, "other-host";
        UnmanagedPort = 16, "unmanaged-port";
        NeighborDiscovery = 17, "neighbor-discovery";
        /// Passed up untouched by XDP, decided and counted by tc (the driver has no room for metadata).
        Unfinished = 18, "unfinished";
        /// A later fragment before its first: the daemon holds it for up to a second.
        FragmentHeld = 19, "fragment-held";

        MalformedHeader = 40, "malformed-header";
        BadChecksum = 41, "bad-checksum";
        MartianSource = 42, "martian-source";
        MartianDestination = 43, "martian-destination";
        OwnSource = 44, "own-source";
        RpFilter = 45, "rp-filter";
        TtlExceeded = 46, "ttl-exceeded";
        TooBig = 47, "too-big";
        NoRoute = 48, "no-route";
        Blackhole = 49, "blackhole";
        Unreachable = 50, "unreachable";
        Prohibited = 51, "prohibited";
        ForwardingOff = 52, "forwarding-off";
        RoutingHeader = 53, "routing-header";
        BogusScope = 54, "bogus-scope";
        LinkBroadcast = 55, "link-broadcast";
        NoHeadroom = 56, "no-headroom";
        RedirectFailed = 57, "redirect-failed";
        Unfiltered = 58, "unfiltered";
        /// An ICMP error was due but not sent; counted beside the reason for which the packet was dropped.
        IcmpRateLimited = 59, "icmp-rate-limited";
        ExtensionHeaders = 60, "extension-headers";
        Internal = 61, "internal";
        HostUnreachable = 62, "host-unreachable";
        /// Both buckets of a new connection are full of established ones.
        FlowTableFull = 63, "flow-table-full";
        /// Other CPUs held the bucket of a new connection for too long.
        FlowTableBusy = 64, "flow-table-busy";
        /// No port is left for the translation of a new connection.
        NatExhausted = 65, "nat-exhausted";
        /// A later fragment whose first one has not been seen.
        FragmentUnknown = 66, "fragment-unknown";
        /// The program of the slow path is missing.
        NoSlowPath = 67, "no-slow-path";
        /// A raw rule, a filter rule.
        RawDrop = 68, "raw-drop";
        FilterDrop = 69, "filter-drop";
        /// The image of rules is damaged, or chains call each other without end.
        RuleError = 70, "rule-error";
        /// Masquerade, where the egress port has no address.
        NatNoAddress = 71, "nat-no-address";
        /// A fragment that leaves parts of the upper layer's header to others (RFC 1858, 3; RFC 3128).
        FragmentTiny = 72, "fragment-tiny";
        /// A fragment over bytes that the first one had (RFC 1858, 4; RFC 5722): the rest of its packet goes as well.
        FragmentOverlap = 73, "fragment-overlap";

        /// A masqueraded connection whose packets would leave by another port than its first did.
        NatMoved = 74, "nat-moved";

        // `action=reject`, by `reject-with`: from `maps::image::REJECT_BASE` on.
        RejectNetwork = 80, "reject-network-unreachable";
        RejectHost = 81, "reject-host-unreachable";
        RejectProtocol = 82, "reject-protocol-unreachable";
        RejectPort = 83, "reject-port-unreachable";
        RejectNetProhibited = 84, "reject-net-prohibited";
        RejectHostProhibited = 85, "reject-host-prohibited";
        RejectAdmin = 86, "reject-admin-prohibited";
        RejectTcpReset = 87, "reject-tcp-reset";
        RejectNoRoute = 88, "reject-no-route";
        RejectNotNeighbor = 89, "reject-not-neighbor";
        RejectAddress = 90, "reject-address-unreachable";
        RejectSourceRouting = 91, "reject-err-src-routing-header";
        RejectHeadersTooLong = 92, "reject-headers-too-long";
        RejectSourcePolicy = 93, "reject-source-address-failed-policy";
        /// `action=tarpit`: the connection is accepted in the host's name, and nothing is let through.
        Tarpit = 94, "tarpit";
    }
}

impl Reason {
    pub const fn is_drop(self) -> bool {
        Reason::is_drop_number(self as u16)
    }
    #[inline(always)]
    pub const fn is_drop_number(number: u16) -> bool {
        number >= 40
    }
    pub const fn is_host(self) -> bool {
        self as u16 >= 10 && (self as u16) < 40
    }

    /// The stage that ends a packet under the reason of that number.
    pub const fn stage(number: u16) -> Stage {
        match number {
            1 | 2 => Stage::Emit,
            3 | 4 | 18 => Stage::Handover,
            15 | 16 => Stage::Port,
            13 | 14 | 40 | 41 | 53 | 60 => Stage::Parse,
            42 | 44 | 45 => Stage::Source,
            58 => Stage::TcEgress,
            19 | 63..=74 => Stage::Track,
            _ => Stage::Route,
        }
    }
}

numbered! {
    /// The stages that a trace shows, in the order in which a packet meets them.
    Stage {
        XdpEntry = 1, "xdp";
        TcIngress = 2, "tc-ingress";
        Parse = 3, "parse";
        Port = 4, "port";
        Source = 5, "source";
        Track = 12, "track";
        Rules = 13, "rules";
        Route = 6, "route";
        Emit = 7, "emit";
        Handover = 8, "hand-over";
        IcmpError = 9, "icmp-error";
        TcEgress = 10, "tc-egress";
        End = 11, "end";
    }
}
