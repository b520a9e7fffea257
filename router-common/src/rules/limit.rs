//! A bucket of tokens in one word: the time at which it will be full again (GCRA, ITU-T I.371).

use crate::facts::Facts;
use crate::maps::image::Rate;

/// What a packet costs, in nanoseconds.
#[inline(always)]
pub fn cost_ns(rate: &Rate, facts: &Facts) -> u64 {
    let units = if rate.burst_ns & Rate::BITS != 0 { u64::from(facts.total_bytes) * 8 } else { 1 };
    // A packet has fewer than 2^22 bits; the plan keeps the product inside a word.
    rate.cost.wrapping_mul(units) >> 16
}

/// The bucket's next word where the packet may take its tokens at `now_ns`; None where it is empty.
#[inline(always)]
pub fn take(word: u64, now_ns: u64, rate: &Rate, cost_ns: u64) -> Option<u64> {
    let full_at = if word > now_ns { word } else { now_ns };
    let next = full_at + cost_ns;
    (next - now_ns <= rate.burst_ns & !Rate::BITS).then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    /// `limit=10,5:packet`
    fn rate() -> Rate {
        Rate { cost: (SECOND_NS / 10) << 16, burst_ns: 5 * SECOND_NS / 10 }
    }

    fn run(rate: &Rate, facts: &Facts, word: &mut u64, now_ns: u64) -> bool {
        match take(*word, now_ns, rate, cost_ns(rate, facts)) {
            Some(next) => *word = next,
            None => return false,
        }
        true
    }

    #[test]
    fn a_burst_passes_then_the_rate() {
        let (rate, facts, mut word) = (rate(), Facts::default(), 0);
        let start = 77 * SECOND_NS;
        let burst = (0..20).filter(|_| run(&rate, &facts, &mut word, start)).count();
        assert_eq!(burst, 5);
        // Over the next ten seconds at 100 packets each.
        let later = (1..=1000).filter(|n| run(&rate, &facts, &mut word, start + n * SECOND_NS / 100)).count();
        assert_eq!(later, 100);
        // After a rest the bucket is full, not fuller.
        let rested = (0..20).filter(|_| run(&rate, &facts, &mut word, start + 100 * SECOND_NS)).count();
        assert_eq!(rested, 5);
    }

    #[test]
    fn bits_cost_by_length() {
        // 8000 bit/s, a burst of 16,000 bits.
        let rate = Rate { cost: (SECOND_NS << 16) / 8000, burst_ns: (2 * SECOND_NS) | Rate::BITS };
        let (large, small) =
            (Facts { total_bytes: 1000, ..Facts::default() }, Facts { total_bytes: 100, ..Facts::default() });
        let mut word = 0;
        assert!(run(&rate, &large, &mut word, SECOND_NS));
        assert!((0..10).all(|_| run(&rate, &small, &mut word, SECOND_NS)));
        assert!(!run(&rate, &small, &mut word, SECOND_NS));
        assert!(run(&rate, &small, &mut word, SECOND_NS + SECOND_NS / 10));
    }
}
