//! Medians with their intervals, percentiles out of buckets, and whether two measurements differ at all.

use std::collections::BTreeMap;

/// How often an interval holds the median that it is about, where there are samples enough for that.
pub const CONFIDENCE: f64 = 0.95;

/// With fewer samples on a side, two measurements of the same thing lie wholly apart too often (three and three: once in ten).
pub const FEWEST: usize = 4;

/// By so much what is counted may differ without a reason: a port's digits in a page, a cache's counter in a header field.
const TRIFLE: f64 = 0.01;

/// Samples drawn again, from which an interval is taken.
const DRAWS: usize = 1000;

/// A median, and between what bounds it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    pub median: f64,
    pub low: f64,
    pub high: f64,
    pub samples: usize,
}

impl Estimate {
    /// By bootstrap: the medians of many samples drawn from these with replacement, cut at both ends (Efron, "Bootstrap methods:
    /// another look at the jackknife", 1979). Of few samples that is too narrow, as all draws are of the same few: seven held the
    /// median 84 times of 100. So it is never narrower than the interval between two of the samples that holds it by counting alone.
    /// None of no samples.
    pub fn of(samples: &[f64], seed: u64) -> Option<Self> {
        let mut sorted: Vec<f64> = samples.iter().copied().filter(|sample| sample.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let median = middle(&sorted)?;
        let (low, high) = (*sorted.first()?, *sorted.last()?);
        let inner = counted(sorted.len());
        if low == high || inner == 0 {
            return Some(Estimate { median, low, high, samples: sorted.len() });
        }
        let mut drawn = redrawn(&sorted, &mut fastrand::Rng::with_seed(seed));
        drawn.sort_by(f64::total_cmp);
        let tail = (1.0 - CONFIDENCE) / 2.0;
        let (below, above) = (*sorted.get(inner)?, *sorted.get(sorted.len() - 1 - inner)?);
        Some(Estimate {
            median,
            low: at(&drawn, tail).min(below),
            high: at(&drawn, 1.0 - tail).max(above),
            samples: sorted.len(),
        })
    }

    /// A figure that chance has no part in.
    pub fn exact(value: f64) -> Self {
        Estimate { median: value, low: value, high: value, samples: 1 }
    }

    /// How often such an interval holds the median. Few samples can't do better than their range: the median lies outside it when
    /// all fall on one side. None where there is no interval.
    pub fn confidence(&self) -> Option<f64> {
        let power = i32::try_from(self.samples).unwrap_or(i32::MAX);
        (self.samples > 1).then(|| CONFIDENCE.min(1.0 - 2.0 * 0.5_f64.powi(power)))
    }

    /// What is computed from it by a function that grows, or shrinks, all along.
    pub fn map(self, f: impl Fn(f64) -> f64) -> Self {
        let (a, b) = (f(self.low), f(self.high));
        Estimate { median: f(self.median), low: a.min(b), high: a.max(b), samples: self.samples }
    }

    /// The sum of some, each counted by its weight; its bounds are wider than they need be rather than narrower.
    pub fn weighted(parts: &[(f64, Estimate)]) -> Option<Self> {
        let total: f64 = parts.iter().map(|(weight, _)| weight).sum();
        let samples = parts.iter().map(|(_, part)| part.samples).min()?;
        let sum = |of: fn(&Estimate) -> f64| parts.iter().map(|(weight, part)| weight * of(part)).sum::<f64>() / total;
        (total > 0.0).then(|| Estimate {
            median: sum(|part| part.median),
            low: sum(|part| part.low),
            high: sum(|part| part.high),
            samples,
        })
    }

    fn overlaps(&self, other: &Estimate) -> bool {
        self.low <= other.high && other.low <= self.high
    }
}

/// What one measurement is, next to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// No more than chance and noise make.
    None,
    Less,
    More,
    /// There are too few samples to say.
    Unknown,
}

impl Difference {
    /// `this` next to `other`: apart only where their intervals are, and by more than the noise (0.03 is 3 %).
    ///
    /// What is counted rather than timed needs no number of samples: it is the same each time, but for trifles.
    pub fn of(this: &Estimate, other: &Estimate, noise: f64, counted: bool) -> Self {
        if !counted && this.samples.min(other.samples) < FEWEST {
            return Difference::Unknown;
        }
        let noise = if counted { noise.max(TRIFLE) } else { noise };
        if this.overlaps(other) || apart(this.median, other.median) <= noise {
            return Difference::None;
        }
        if this.median < other.median { Difference::Less } else { Difference::More }
    }
}

/// How many samples at each end can be left out, and the interval between the others still holds the median: it does unless fewer
/// than so many lie on one side of it, which is as likely as so few heads of so many coins.
fn counted(samples: usize) -> usize {
    let mut tail = 0.0;
    let mut likely = 0.5_f64.powi(i32::try_from(samples).unwrap_or(i32::MAX));
    for left_out in 0..samples / 2 {
        tail += likely;
        if tail > (1.0 - CONFIDENCE) / 2.0 {
            return left_out.saturating_sub(1);
        }
        likely *= (samples - left_out) as f64 / (left_out + 1) as f64;
    }
    0
}

/// By what share of the smaller one two figures differ.
pub fn apart(a: f64, b: f64) -> f64 {
    let (less, more) = (a.min(b), a.max(b));
    match (less == more, less > 0.0) {
        (true, _) => 0.0,
        (false, true) => more / less - 1.0,
        (false, false) => f64::INFINITY,
    }
}

/// How far two measurements of the same thing lie apart: what 95 of 100 draws from both stay below. None of no samples.
pub fn noise(a: &[f64], b: &[f64], seed: u64) -> Option<f64> {
    let mut rng = fastrand::Rng::with_seed(seed);
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let (a, b) = (redrawn(a, &mut rng), redrawn(b, &mut rng));
    let mut differences: Vec<f64> = a.iter().zip(&b).map(|(a, b)| apart(*a, *b)).collect();
    differences.sort_by(f64::total_cmp);
    Some(at(&differences, CONFIDENCE))
}

/// The medians of samples drawn from these with replacement, as many in each.
fn redrawn(samples: &[f64], rng: &mut fastrand::Rng) -> Vec<f64> {
    let mut drawn = Vec::with_capacity(samples.len());
    let mut draw = || {
        drawn.clear();
        drawn.extend((0..samples.len()).filter_map(|_| samples.get(rng.usize(0..samples.len()))));
        drawn.sort_by(f64::total_cmp);
        middle(&drawn)
    };
    (0..DRAWS).filter_map(|_| draw()).collect()
}

pub fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    middle(&sorted)
}

fn middle(sorted: &[f64]) -> Option<f64> {
    let half = sorted.len() / 2;
    let upper = *sorted.get(half)?;
    let lower = if sorted.len().is_multiple_of(2) { *sorted.get(half.checked_sub(1)?)? } else { upper };
    Some(f64::midpoint(lower, upper))
}

/// The value that a share of the sorted ones stays below.
fn at(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let index = (share * last as f64).round() as usize;
    sorted.get(index.min(last)).copied().unwrap_or(f64::NAN)
}

/// A percentile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Percentile {
    Micros(u64),
    /// It is among the requests that were never answered: more than this, which is the most that was seen.
    Beyond(u64),
    /// There are too few requests for one.
    Unknown,
}

impl Percentile {
    pub fn micros(self) -> Option<u64> {
        match self {
            Percentile::Micros(micros) => Some(micros),
            Percentile::Beyond(_) | Percentile::Unknown => None,
        }
    }
}

/// Latencies in buckets, those of several rounds together.
#[derive(Clone, Debug, Default)]
pub struct Buckets {
    /// How many by the bucket's upper bound in microseconds.
    counts: BTreeMap<u64, u64>,
    /// Requests that there is no latency of, since they waited for too long to be sent.
    lost: u64,
}

impl Buckets {
    pub fn add(&mut self, latencies: &[(u64, u64)], lost: u64) {
        for (bound, count) in latencies.iter().filter(|(_, count)| *count > 0) {
            *self.counts.entry(*bound).or_default() += count;
        }
        self.lost += lost;
    }

    pub fn total(&self) -> u64 {
        self.counts.values().sum::<u64>() + self.lost
    }

    pub fn counts(&self) -> &BTreeMap<u64, u64> {
        &self.counts
    }

    /// The smallest bound that a share of all requests stays at or below. A bucket's upper bound, so rather too much than too little.
    pub fn percentile(&self, share: f64) -> Percentile {
        let total = self.total();
        let Some((most, _)) = self.counts.last_key_value() else { return Percentile::Unknown };
        // Of a hundred requests, the slowest is not the 99.9th percentile of anything.
        if (total as f64) * (1.0 - share) < 1.0 - 1e-9 {
            return Percentile::Unknown;
        }
        let rank = (share * total as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        let found = self.counts.iter().find(|(_, count)| {
            seen += **count;
            seen >= rank
        });
        found.map_or(Percentile::Beyond(*most), |(bound, _)| Percentile::Micros(*bound))
    }

    /// The share of requests that have come by each bucket's bound.
    pub fn cumulative(&self) -> Vec<(f64, u64)> {
        let total = self.total().max(1) as f64;
        let mut seen = 0;
        let step = |(bound, count): (&u64, &u64)| {
            seen += count;
            (seen as f64 / total, *bound)
        };
        self.counts.iter().map(step).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The buckets that a histogram of three significant digits has, as the load generator keeps.
    fn buckets(samples: impl IntoIterator<Item = f64>) -> Buckets {
        let mut counts: BTreeMap<u64, u64> = BTreeMap::new();
        for sample in samples {
            let value = (sample.ceil() as u64).max(1);
            let width = 1 << (64 - value.leading_zeros()).saturating_sub(11);
            *counts.entry(value.div_ceil(width) * width).or_default() += 1;
        }
        let mut buckets = Buckets::default();
        buckets.add(&counts.into_iter().collect::<Vec<_>>(), 0);
        buckets
    }

    #[track_caller]
    fn near(found: Percentile, want: f64, tolerance: f64) {
        let found = found.micros().expect("a percentile") as f64;
        assert!(apart(found, want) < tolerance, "{found} instead of {want}");
    }

    #[test]
    fn trifles_are_no_difference_of_what_is_counted() {
        let of = |bytes: f64| Estimate::exact(bytes);
        assert_eq!(Difference::of(&of(41_003.0), &of(41_000.0), 0.0, true), Difference::None);
        assert_eq!(Difference::of(&of(42_000.0), &of(41_000.0), 0.0, true), Difference::More);
    }

    #[test]
    fn percentiles_of_known_distributions_are_right() {
        let mut rng = fastrand::Rng::with_seed(1);
        let uniform = buckets((0..100_000).map(|_| rng.f64() * 10_000.0));
        near(uniform.percentile(0.5), 5_000.0, 0.02);
        near(uniform.percentile(0.99), 9_900.0, 0.01);
        // −ln(1 − p) of the mean.
        let exponential = buckets((0..200_000).map(|_| -2_000.0 * (1.0 - rng.f64()).ln()));
        for (share, want) in [(0.5, 1_386.3), (0.9, 4_605.2), (0.99, 9_210.3), (0.999, 13_815.5)] {
            near(exponential.percentile(share), want, 0.05);
        }
        let bimodal = buckets((0..100_000).map(|index| if index % 10 == 0 { 50_000.0 } else { 1_000.0 + rng.f64() }));
        near(bimodal.percentile(0.89), 1_001.0, 0.001);
        near(bimodal.percentile(0.91), 50_000.0, 0.001);
    }

    #[test]
    fn a_stall_is_seen_from_where_it_begins() {
        // 1000 requests per second for 100 s, answered in 1 ms, but for one second in which none are: who asks in it waits for its end.
        let latency = |at: u64| if (50_000..51_000).contains(&at) { (51_000 - at) * 1000 } else { 1000 };
        let stalled = buckets((0..100_000).map(|at| latency(at) as f64));
        near(stalled.percentile(0.5), 1000.0, 0.001);
        near(stalled.percentile(0.985), 1000.0, 0.001);
        near(stalled.percentile(0.995), 500_000.0, 0.01);
        near(stalled.percentile(0.999), 900_000.0, 0.01);
    }

    #[test]
    fn what_was_never_sent_counts_as_slower_than_all() {
        let mut lossy = buckets((0..990).map(|_| 700.0));
        lossy.add(&[], 10);
        assert_eq!(lossy.percentile(0.99), Percentile::Micros(700));
        assert_eq!(lossy.percentile(0.995), Percentile::Beyond(700));
    }

    #[test]
    fn few_requests_have_no_high_percentile() {
        let few = buckets((0..100).map(f64::from));
        assert_eq!(few.percentile(0.999), Percentile::Unknown);
        assert_eq!(few.percentile(0.99), Percentile::Micros(98));
        assert_eq!(Buckets::default().percentile(0.5), Percentile::Unknown);
    }

    #[test]
    fn nineteen_of_twenty_intervals_hold_the_median() {
        for (seed, samples) in [(1, 7), (2, 15), (3, 40)] {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut held = 0;
            for trial in 0..600 {
                // Skewed, as latencies are; the median of an exponential distribution is ln 2.
                let drawn: Vec<f64> = (0..samples).map(|_| -(1.0 - rng.f64()).ln()).collect();
                let estimate = Estimate::of(&drawn, trial).expect("samples");
                held += usize::from((estimate.low..=estimate.high).contains(&std::f64::consts::LN_2));
            }
            assert!((0.94..=0.997).contains(&(f64::from(held as u32) / 600.0)), "{held} of 600 with {samples} samples");
        }
    }

    #[test]
    fn few_samples_say_how_little_they_hold() {
        let three = Estimate::of(&[3.0, 1.0, 2.0], 9).expect("samples");
        assert_eq!((three.median, three.low, three.high), (2.0, 1.0, 3.0));
        assert_eq!(three.confidence(), Some(0.75));
        assert_eq!(Estimate::of(&[1.0], 9).expect("a sample").confidence(), None);
        assert_eq!(Estimate::of(&[], 9), None);
        assert_eq!(Estimate::of(&[2.0, f64::NAN, 2.0, 2.0], 9).expect("samples").samples, 3);
    }

    #[test]
    fn the_same_distribution_is_the_same_and_a_shifted_one_is_not() {
        let mut rng = fastrand::Rng::with_seed(4);
        let mut draw = |shift: f64| -> Vec<f64> { (0..12).map(|_| shift + rng.f64() + rng.f64()).collect() };
        let mut wrong = 0;
        for trial in 0..200 {
            let (first, again, shifted) = (draw(100.0), draw(100.0), draw(110.0));
            let noise = noise(&first, &again, trial).expect("noise");
            assert!(noise < 0.02, "{noise}");
            let [first, again, shifted] =
                [&first, &again, &shifted].map(|of| Estimate::of(of, trial).expect("samples"));
            wrong += usize::from(Difference::of(&first, &again, 0.0, false) != Difference::None);
            assert_eq!(Difference::of(&first, &shifted, noise, false), Difference::Less);
            assert_eq!(Difference::of(&shifted, &first, noise, false), Difference::More);
            assert_eq!(Difference::of(&shifted, &first, 0.2, false), Difference::None, "all of it is noise");
        }
        assert!(wrong <= 6, "{wrong} of 200 pairs of the same were said to differ");
    }

    #[test]
    fn one_round_says_nothing_of_times_but_something_of_bytes() {
        let (less, more) = (Estimate::of(&[10.0], 1).expect("a sample"), Estimate::of(&[20.0], 1).expect("a sample"));
        assert_eq!(Difference::of(&less, &more, 0.0, false), Difference::Unknown);
        assert_eq!(Difference::of(&less, &more, 0.0, true), Difference::Less);
    }
}
