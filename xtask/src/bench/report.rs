//! From samples to ratios: within a round, then the median over the rounds.

use std::fmt;

use serde::Serialize;

use super::{
    case::{Case, Policy, Router},
    reload::{Reload, Times},
};

/// Packets of a lane.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Count {
    pub sent: u64,
    pub arrived: u64,
    /// Wrong checksum or TTL; only counted with `--verify`.
    pub bad: u64,
    /// CPU time of the sending thread and its ksoftirqd.
    pub cpu_seconds: f64,
}

impl Count {
    /// CPU nanoseconds per packet that arrived.
    pub fn ns(&self) -> f64 {
        self.cpu_seconds * 1e9 / self.arrived as f64
    }
}

/// One measurement of a case, and of the bare redirect in turns with it: pairs of slices.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    pub slices: Vec<(Count, Count)>,
}

impl Sample {
    fn median(&self, figure: impl Fn(&Count, &Count) -> f64) -> f64 {
        median(self.slices.iter().map(|(measured, redirect)| figure(measured, redirect))).unwrap_or(f64::NAN)
    }

    fn ns(&self) -> f64 {
        self.median(|measured, _| measured.ns())
    }

    fn ns_over_redirect(&self) -> f64 {
        self.median(|measured, redirect| measured.ns() - redirect.ns())
    }

    /// Packets per second as a part of the redirect's.
    fn of_redirect(&self) -> f64 {
        self.median(|measured, redirect| redirect.ns() / measured.ns())
    }

    fn sum(&self, figure: impl Fn(&Count) -> u64) -> u64 {
        self.slices.iter().map(|(measured, _)| figure(measured)).sum()
    }

    fn lost(&self) -> f64 {
        // A stray frame of the kernel's may have been counted as well.
        (1.0 - self.sum(|count| count.arrived) as f64 / self.sum(|count| count.sent) as f64).max(0.0)
    }

    /// Packets with a wrong TTL or checksum.
    pub fn bad(&self) -> u64 {
        self.sum(|count| count.bad)
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ns, over, ratio) = (self.ns(), self.ns_over_redirect(), self.of_redirect());
        write!(f, "{ns:7.1} ns  over redirect {over:+7.1} ns  ratio {ratio:.3}  lost {:.4}", self.lost())
    }
}

/// A case's line: medians over the rounds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    pub case: String,
    pub mpps: f64,
    pub ns: f64,
    pub ns_least: f64,
    pub ns_most: f64,
    /// What the router costs above moving the frame.
    pub ns_over_redirect: f64,
    /// Packets per second as a part of the redirect's; of the drop's where all are dropped.
    pub of_redirect: f64,
    /// Times the kernel's forwarding of the same traffic, under the same rules in nftables.
    pub of_kernel: Option<f64>,
    /// Times `fib-direct` with the same traffic.
    pub of_fib_direct: Option<f64>,
    pub lost: f64,
}

#[derive(Default)]
pub struct Report {
    samples: Vec<(u32, Case, Sample)>,
    times: Vec<(Reload, Times)>,
}

impl Report {
    pub fn add(&mut self, round: u32, case: Case, sample: Sample) {
        self.samples.push((round, case, sample));
    }

    /// All rounds of a reload together.
    pub fn add_times(&mut self, reload: Reload, more: Times) {
        match self.times.iter_mut().find(|(other, _)| *other == reload) {
            Some((_, times)) => times.add(more),
            None => self.times.push((reload, more)),
        }
    }

    fn lines(&self, cases: &[Case]) -> Vec<Line> {
        cases.iter().filter_map(|case| self.line(*case)).collect()
    }

    fn of(&self, case: Case) -> impl Iterator<Item = (u32, &Sample)> {
        self.samples.iter().filter(move |(_, c, _)| *c == case).map(|(round, _, sample)| (*round, sample))
    }

    fn line(&self, case: Case) -> Option<Line> {
        let all = |f: fn(&Sample) -> f64| self.of(case).map(move |(_, sample)| f(sample));
        // Both against their own redirects: load that comes and goes between two cases does not enter.
        let times = |router| {
            let other = case.with(router);
            median(self.of(case).filter_map(|(round, sample)| {
                let (_, other) = self.of(other).find(|(r, _)| *r == round)?;
                Some(sample.of_redirect() / other.of_redirect())
            }))
        };
        let ns = median(all(Sample::ns))?;
        Some(Line {
            case: case.name(),
            mpps: 1e3 / ns,
            ns,
            ns_least: all(Sample::ns).fold(f64::INFINITY, f64::min),
            ns_most: all(Sample::ns).fold(0.0, f64::max),
            ns_over_redirect: median(all(Sample::ns_over_redirect))?,
            of_redirect: median(all(Sample::of_redirect))?,
            of_kernel: times(if case.policy == Policy::None { Router::Kernel } else { Router::Nft }),
            of_fib_direct: times(Router::FibDirect),
            lost: median(all(Sample::lost))?,
        })
    }

    pub fn print_table(&self, cases: &[Case]) {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::ASCII_MARKDOWN);
        table.set_header([
            "case",
            "Mpps",
            "ns/packet",
            "min..max",
            "ns over redirect",
            "of redirect",
            "of kernel",
            "of fib-direct",
            "lost",
        ]);
        let times = |ratio: Option<f64>| ratio.map_or_else(|| "-".into(), |ratio| format!("{ratio:.2}"));
        for line in self.lines(cases) {
            table.add_row([
                line.case.clone(),
                format!("{:.2}", line.mpps),
                format!("{:.0}", line.ns),
                format!("{:.0}..{:.0}", line.ns_least, line.ns_most),
                format!("{:+.0}", line.ns_over_redirect),
                format!("{:.3}", line.of_redirect),
                times(line.of_kernel),
                times(line.of_fib_direct),
                format!("{:.4}", line.lost),
            ]);
        }
        println!("{table}");
    }

    pub fn print_times(&self) {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::ASCII_MARKDOWN);
        table.set_header(["change", "ms", "min..max", "sent meanwhile", "lost"]);
        for (reload, times) in &self.times {
            table.add_row([vec![reload.name()], times.cells()].concat());
        }
        println!("{table}");
    }

    pub fn print_json(&self, cases: &[Case]) {
        let samples: Vec<_> = self
            .samples
            .iter()
            .map(|(round, case, sample)| serde_json::json!({ "round": round, "case": case.name(), "sample": sample }))
            .collect();
        let times: Vec<_> = self
            .times
            .iter()
            .map(|(reload, times)| serde_json::json!({ "change": reload.name(), "times": times }))
            .collect();
        println!(
            "{}",
            serde_json::json!({ "cases": self.lines(cases), "changes": times, "samples": samples })
        );
    }
}

pub fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    let upper = *values.get(half)?;
    Some(if values.len() % 2 == 1 { upper } else { (upper + values.get(half - 1)?) / 2.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(ns: f64) -> Count {
        Count { sent: 1000, arrived: 1000, bad: 0, cpu_seconds: ns * 1e-6 }
    }

    #[test]
    fn medians() {
        assert_eq!(median([].into_iter()), None);
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([4.0, 1.0, f64::INFINITY].into_iter()), Some(2.5));
    }

    #[test]
    fn one_disturbed_slice_does_not_count() {
        let slice = |ns| (count(ns), count(100.0));
        let sample = Sample { slices: vec![slice(200.0), slice(900.0), slice(200.0)] };
        assert!(
            (sample.of_redirect() - 0.5).abs() < 1e-9 && (sample.ns_over_redirect() - 100.0).abs() < 1e-9
        );
    }

    #[test]
    fn load_that_comes_and_goes_does_not_enter_ratios() {
        let case = |name: &str| Case::all().find(|case| case.name() == name).unwrap();
        let (kernel, routerd) = (case("kernel-1k"), case("routerd-1k"));
        let mut report = Report::default();
        for (round, case, ns, load) in
            [(0, kernel, 800.0, 1.0), (0, routerd, 200.0, 2.0), (1, routerd, 210.0, 1.0)]
        {
            let sample = Sample { slices: vec![(count(ns * load), count(100.0 * load))] };
            report.add(round, case, sample);
        }
        let lines = report.lines(&[routerd]);
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        assert!((line.of_redirect - (0.5 + 100.0 / 210.0) / 2.0).abs() < 1e-9);
        assert!((line.of_kernel.unwrap() - 4.0).abs() < 1e-9, "only in the round that has both");
        assert_eq!(line.of_fib_direct, None);
    }
}
