//! What became of the tests, in a form that people and CI read.

use std::process::ExitCode;

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    Passed,
    /// With what the test printed.
    Failed(String),
    /// With the reason.
    Skipped(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    pub name: String,
    pub verdict: Verdict,
    pub milliseconds: u64,
}

impl Outcome {
    pub fn skipped(name: &str, reason: &str) -> Outcome {
        Outcome { name: name.to_owned(), verdict: Verdict::Skipped(reason.to_owned()), milliseconds: 0 }
    }
}

#[derive(Default)]
pub struct Report {
    outcomes: Vec<Outcome>,
}

impl Report {
    pub fn add(&mut self, outcomes: Vec<Outcome>) {
        self.outcomes.extend(outcomes);
    }

    /// Prints skips with their reasons, failures with their output, and the counts as the last line.
    pub fn print(&self) -> ExitCode {
        println!();
        for outcome in &self.outcomes {
            if let Verdict::Skipped(reason) = &outcome.verdict {
                println!("skipped: {}: {reason}", outcome.name);
            }
        }
        for outcome in &self.outcomes {
            if let Verdict::Failed(output) = &outcome.verdict {
                println!("\nFAILED: {}\n{}", outcome.name, output.trim_end());
            }
        }
        let [passed, failed, skipped] = self.counts();
        println!("\n{passed} passed, {failed} failed, {skipped} skipped");
        if failed > 0 || passed == 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }

    /// Passed, failed, skipped.
    fn counts(&self) -> [usize; 3] {
        let mut counts = [0; 3];
        for outcome in &self.outcomes {
            let which = match outcome.verdict {
                Verdict::Passed => 0,
                Verdict::Failed(_) => 1,
                Verdict::Skipped(_) => 2,
            };
            counts[which] += 1;
        }
        counts
    }
}
