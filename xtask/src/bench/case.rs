//! The cases: who forwards under which rules, times which traffic.

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
    /// The same with conntrack and nftables.
    Nft,
    /// This project.
    Routerd,
}

/// Which rules; both firewalls are given the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// No firewall at all.
    None,
    /// Established accepted, invalid dropped, so many rules that match nothing, new accepted; masquerade.
    Masquerade { rules: u32 },
    /// So many rules that match nothing, then one that accepts; every packet passes them all.
    Walk { rules: u32 },
    /// Whoever is in a list of so many addresses is dropped before connection tracking.
    List { addresses: u32 },
}

/// How often a flow is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Packets go one way.
    OneWay,
    /// As [`Life::OneWay`] while it is timed; before that every flow was answered.
    Answered,
    /// Every packet is the first of another flow.
    New,
}

/// Which packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    pub name: &'static str,
    pub ipv6: bool,
    pub life: Life,
    /// Powers of two.
    pub flows: u32,
    pub sources: u32,
    pub destinations: u32,
    /// From one source address to the next.
    pub stride: u32,
}

impl Traffic {
    const fn of(name: &'static str, flows: u32, sources: u32, destinations: u32) -> Traffic {
        Traffic { name, ipv6: false, life: Life::OneWay, flows, sources, destinations, stride: 1 }
    }

    const fn answered(self) -> Traffic {
        Traffic { life: Life::Answered, ..self }
    }
}

const ONE_K: Traffic = Traffic::of("1k", 1 << 10, 1 << 8, 1 << 8);
const SIXTY_FOUR_K: Traffic = Traffic::of("64k", 1 << 16, 1 << 8, 1 << 8);
const ONE_M: Traffic = Traffic::of("1m", 1 << 20, 1 << 8, 1 << 8);
const TRAFFICS: [Traffic; 5] = [
    ONE_K,
    SIXTY_FOUR_K,
    Traffic::of("wide", 1 << 16, 1 << 8, 1 << 16),
    Traffic::of("back", 1 << 16, 1 << 16, 1 << 8),
    Traffic { ipv6: true, ..Traffic::of("v6", 1 << 10, 1 << 8, 1 << 8) },
];
/// 2^23 flows differ in source address or port.
const NEW: Traffic = Traffic { life: Life::New, ..Traffic::of("new", 1 << 23, 1 << 8, 1 << 8) };
/// Each of the list's addresses sends.
const LISTED: Traffic = Traffic { stride: 13, ..Traffic::of("listed", 1 << 20, 1 << 20, 1 << 8) };

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    pub router: Router,
    pub policy: Policy,
    pub traffic: Traffic,
}

impl Case {
    const REDIRECT: Case = Case { router: Router::Redirect, policy: Policy::None, traffic: ONE_K };
    const DROP: Case = Case { router: Router::Drop, ..Case::REDIRECT };

    pub fn all() -> impl Iterator<Item = Case> {
        let plain =
            |router| TRAFFICS.into_iter().map(move |traffic| Case { router, policy: Policy::None, traffic });
        let firewalls = |policy, traffic| {
            [Router::Nft, Router::Routerd].into_iter().map(move |router| Case { router, policy, traffic })
        };
        let walk = move |rules| firewalls(Policy::Walk { rules }, ONE_K);
        let established =
            move |traffic: Traffic| firewalls(Policy::Masquerade { rules: 25 }, traffic.answered());
        let by_rules = [0, 10_000].into_iter().flat_map(|rules| {
            [ONE_K, SIXTY_FOUR_K].into_iter().map(move |traffic| Case {
                router: Router::Routerd,
                policy: Policy::Masquerade { rules },
                traffic: traffic.answered(),
            })
        });
        [Case::REDIRECT, Case::DROP]
            .into_iter()
            .chain(plain(Router::FibDirect))
            .chain(plain(Router::Kernel))
            .chain(plain(Router::Routerd))
            .chain([ONE_K, SIXTY_FOUR_K, ONE_M].into_iter().flat_map(established))
            .chain(by_rules)
            .chain([25, 1_000, 10_000].into_iter().flat_map(walk))
            .chain(firewalls(Policy::Masquerade { rules: 25 }, NEW))
            .chain(firewalls(Policy::List { addresses: LISTED.sources }, LISTED))
    }

    /// Established flows under that many rules.
    pub const fn under_rules(router: Router, rules: u32) -> Case {
        Case { router, policy: Policy::Masquerade { rules }, traffic: ONE_K.answered() }
    }

    /// What every round's figures are compared with.
    pub fn yardstick(self) -> Case {
        if self.drops() { Case::DROP } else { Case::REDIRECT }
    }

    /// No packet arrives.
    pub fn drops(self) -> bool {
        matches!(self.policy, Policy::List { .. })
    }

    /// The case of another router under the same rules with the same traffic.
    pub fn with(self, router: Router) -> Case {
        Case { router, ..self }
    }

    pub fn name(self) -> String {
        let router = match self.router {
            Router::Redirect => return "redirect".into(),
            Router::Drop => return "drop".into(),
            Router::FibDirect => "fib-direct",
            Router::Kernel => "kernel",
            Router::Nft => "nft",
            Router::Routerd => "routerd",
        };
        let traffic = self.traffic.name;
        match self.policy {
            Policy::None => format!("{router}-{traffic}"),
            Policy::Masquerade { rules } => format!("{router}-fw{rules}-masq-{traffic}"),
            Policy::Walk { rules } => format!("{router}-walk-{rules}"),
            Policy::List { .. } => format!("{router}-list-1m"),
        }
    }

    pub fn describe(self) -> String {
        let router = match self.router {
            Router::Redirect => "bare XDP redirect",
            Router::Drop => "XDP drop at the router's port",
            Router::FibDirect => "xdp-forward's way, fib-direct mode",
            Router::Kernel => "the kernel's forwarding",
            Router::Nft => "the kernel with conntrack and nftables",
            Router::Routerd => "this router",
        };
        let policy = match self.policy {
            Policy::None => String::new(),
            Policy::Masquerade { rules } => format!(", {rules} rules and masquerade"),
            Policy::Walk { rules } => format!(", {rules} rules for every packet"),
            Policy::List { addresses } => format!(", dropped by a list of {addresses}"),
        };
        let Traffic { ipv6, flows, sources, destinations, life, .. } = self.traffic;
        let family = if ipv6 { "IPv6" } else { "IPv4" };
        let life = match life {
            Life::OneWay => "",
            Life::Answered => ", answered before",
            Life::New => ", each packet a new one",
        };
        format!(
            "{router}{policy}; {family}, {flows} flows{life}, {sources} sources, {destinations} destinations"
        )
    }
}
