//! The cases: who forwards, times which traffic.

/// How the router namespace forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Router {
    /// A bare XDP redirect: the ceiling.
    Redirect,
    /// Dropped and counted at the router's port: generator and one hop alone.
    Drop,
    /// What `xdp-forward` does in fib-direct mode.
    FibDirect,
    /// The kernel's forwarding.
    Kernel,
    /// The kernel with conntrack and 25 nftables rules that every packet passes.
    Nft,
    /// This project.
    Routerd,
}

/// Which packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    pub name: &'static str,
    pub ipv6: bool,
    /// Powers of two.
    pub flows: u32,
    pub sources: u32,
    pub destinations: u32,
}

pub const TRAFFICS: [Traffic; 5] = [
    Traffic { name: "1k", ipv6: false, flows: 1 << 10, sources: 1 << 8, destinations: 1 << 8 },
    Traffic { name: "64k", ipv6: false, flows: 1 << 16, sources: 1 << 8, destinations: 1 << 8 },
    Traffic { name: "wide", ipv6: false, flows: 1 << 16, sources: 1 << 8, destinations: 1 << 16 },
    Traffic { name: "back", ipv6: false, flows: 1 << 16, sources: 1 << 16, destinations: 1 << 8 },
    Traffic { name: "v6", ipv6: true, flows: 1 << 10, sources: 1 << 8, destinations: 1 << 8 },
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    pub router: Router,
    pub traffic: Traffic,
}

impl Case {
    /// What every round's figures are compared with.
    pub const YARDSTICK: Case = Case { router: Router::Redirect, traffic: TRAFFICS[0] };

    pub fn all() -> impl Iterator<Item = Case> {
        let of = |router| TRAFFICS.into_iter().map(move |traffic| Case { router, traffic });
        [Case::YARDSTICK, Case { router: Router::Drop, ..Case::YARDSTICK }]
            .into_iter()
            .chain(of(Router::FibDirect))
            .chain(of(Router::Kernel))
            .chain([Case { router: Router::Nft, ..Case::YARDSTICK }])
            .chain(of(Router::Routerd))
    }

    pub fn name(self) -> String {
        match self.router {
            Router::Redirect => "redirect".into(),
            Router::Drop => "drop".into(),
            Router::FibDirect => format!("fib-direct-{}", self.traffic.name),
            Router::Kernel => format!("kernel-{}", self.traffic.name),
            Router::Nft => format!("nft-25-{}", self.traffic.name),
            Router::Routerd => format!("routerd-{}", self.traffic.name),
        }
    }

    pub fn describe(self) -> String {
        let router = match self.router {
            Router::Redirect => "bare XDP redirect",
            Router::Drop => "XDP drop at the router's port",
            Router::FibDirect => "xdp-forward's way, fib-direct mode",
            Router::Kernel => "the kernel's forwarding",
            Router::Nft => "the kernel with conntrack and 25 nftables rules",
            Router::Routerd => "this router",
        };
        let Traffic { ipv6, flows, sources, destinations, .. } = self.traffic;
        let family = if ipv6 { "IPv6" } else { "IPv4" };
        format!("{router}; {family}, {flows} flows, {sources} sources, {destinations} destinations")
    }
}
