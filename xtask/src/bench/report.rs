//! From samples to ratios: within a round, then the median over the rounds.

use std::fmt;

use serde::Serialize;

use super::case::{Case, Router};

/// One measurement.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Sample {
    pub sent: u64,
    pub arrived: u64,
    /// Wrong checksum or TTL; only counted with `--verify`.
    pub bad: u64,
    /// Frames at the sink that are none of ours.
    pub other: u64,
    /// CPU time of the sending thread and its ksoftirqd.
    pub cpu_seconds: f64,
    pub wall_seconds: f64,
}

impl Sample {
    /// CPU nanoseconds per packet that arrived.
    pub fn ns(&self) -> f64 {
        self.cpu_seconds * 1e9 / self.arrived as f64
    }

    pub fn lost(&self) -> f64 {
        1.0 - self.arrived as f64 / self.sent as f64
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:7.1} ns  lost {:.4}  cpu/wall {:.2}",
            self.ns(),
            self.lost(),
            self.cpu_seconds / self.wall_seconds
        )?;
        if self.bad > 0 {
            write!(f, "  bad {:.4}", self.bad as f64 / self.arrived as f64)?;
        }
        Ok(())
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
    /// Packets per second as a part of the round's redirects.
    pub of_redirect: f64,
    /// Times the kernel's forwarding of the same traffic.
    pub of_kernel: Option<f64>,
    /// Times `fib-direct` with the same traffic.
    pub of_fib_direct: Option<f64>,
    pub lost: f64,
    pub bad: f64,
}

pub struct Report {
    cases: Vec<Case>,
    samples: Vec<(u32, Case, Sample)>,
}

impl Report {
    pub fn new(mut cases: Vec<Case>) -> Report {
        if !cases.contains(&Case::YARDSTICK) {
            cases.insert(0, Case::YARDSTICK);
        }
        Report { cases, samples: Vec::new() }
    }

    pub fn add(&mut self, round: u32, case: Case, sample: Sample) {
        self.samples.push((round, case, sample));
    }

    pub fn lines(&self) -> Vec<Line> {
        self.cases.iter().filter_map(|case| self.line(*case)).collect()
    }

    fn of(&self, case: Case) -> impl Iterator<Item = (u32, &Sample)> {
        self.samples.iter().filter(move |(_, c, _)| *c == case).map(|(round, _, sample)| (*round, sample))
    }

    /// The median ns of a case within a round.
    fn ns_in(&self, round: u32, case: Case) -> Option<f64> {
        median(self.of(case).filter(|(r, _)| *r == round).map(|(_, sample)| sample.ns()))
    }

    fn line(&self, case: Case) -> Option<Line> {
        let all = |f: fn(&Sample) -> f64| self.of(case).map(move |(_, sample)| f(sample));
        let ratio = |to: Case| {
            median(self.of(case).filter_map(|(round, sample)| Some(self.ns_in(round, to)? / sample.ns())))
        };
        let same = |router| Case { router, ..case };
        let ns = median(all(Sample::ns))?;
        Some(Line {
            case: case.name(),
            mpps: 1e3 / ns,
            ns,
            ns_least: all(Sample::ns).fold(f64::INFINITY, f64::min),
            ns_most: all(Sample::ns).fold(0.0, f64::max),
            ns_over_redirect: median(
                self.of(case)
                    .filter_map(|(round, sample)| Some(sample.ns() - self.ns_in(round, Case::YARDSTICK)?)),
            )?,
            of_redirect: ratio(Case::YARDSTICK)?,
            of_kernel: ratio(same(Router::Kernel)),
            of_fib_direct: ratio(same(Router::FibDirect)),
            lost: median(all(Sample::lost))?,
            bad: median(all(|sample| sample.bad as f64 / sample.arrived as f64))?,
        })
    }

    pub fn print_table(&self) {
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
        for line in self.lines() {
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

    pub fn print_json(&self) {
        let samples: Vec<_> = self
            .samples
            .iter()
            .map(|(round, case, sample)| serde_json::json!({ "round": round, "case": case.name(), "sample": sample }))
            .collect();
        println!("{}", serde_json::json!({ "cases": self.lines(), "samples": samples }));
    }
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    let upper = *values.get(half)?;
    Some(if values.len() % 2 == 1 { upper } else { (upper + values.get(half - 1)?) / 2.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(ns: f64) -> Sample {
        Sample { sent: 1000, arrived: 1000, bad: 0, other: 0, cpu_seconds: ns * 1e-6, wall_seconds: 1.0 }
    }

    #[test]
    fn medians() {
        assert_eq!(median([].into_iter()), None);
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([4.0, 1.0, f64::INFINITY].into_iter()), Some(2.5));
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let case = |name: &str| Case::all().find(|case| case.name() == name).unwrap();
        let (kernel, routerd) = (case("kernel-1k"), case("routerd-1k"));
        let mut report = Report::new(vec![kernel, routerd]);
        // The machine is twice as slow in the second round.
        for (round, factor) in [(0, 1.0), (1, 2.0)] {
            report.add(round, Case::YARDSTICK, sample(100.0 * factor));
            report.add(round, kernel, sample(800.0 * factor));
            report.add(round, routerd, sample(200.0 * factor));
        }
        let lines = report.lines();
        let line = lines.iter().find(|line| line.case == "routerd-1k").unwrap();
        assert!((line.of_redirect - 0.5).abs() < 1e-9);
        assert!((line.of_kernel.unwrap() - 4.0).abs() < 1e-9);
        assert_eq!(line.of_fib_direct, None);
        assert!((line.ns_over_redirect - 150.0).abs() < 1e-9);
    }
}
