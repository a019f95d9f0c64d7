//! A whole run: one case after the other until one differs, and the report.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use serde::Serialize;
use user_ringbuf_sim::proof::Fault;

use super::compare::{Difference, Pair};
use super::draw::draw;
use super::image::{Case, Ground};
use super::kernel::{Fence, KernelRing};
use super::outcome::{Met, Outcome};
use super::shrink::simpler;
use super::side::Side;
use super::sim::SimRing;

/// Candidates that are tried to shrink a difference.
const CANDIDATES: u32 = 2000;

/// A run of this many cases must meet every rule often enough.
const MANY: u64 = 10_000;

/// Where the low ring is replaced, so that its positions stay below 2^32.
const LOW_END: u64 = (1 << 32) - (1 << 24);

/// Where the high ring begins.
const HIGH_START: u64 = (1 << 32) + (1 << 20);

/// What to try.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many cases.
    pub images: u64,
    /// What they are drawn from.
    pub seed: u64,
    /// Only this one.
    pub only: Option<u64>,
    /// What is wrong with the fake kernel on purpose.
    pub plant: Option<Fault>,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct TrialReport {
    /// Cases tried, including the one that differed.
    pub images: u64,
    /// How many differed: the first one ends the run.
    pub differences: u64,
    /// How many cases had which outcome.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// Cases per second.
    pub images_per_second: u64,
    /// The seed, to repeat it.
    pub seed: u64,
    /// The fault planted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plant: Option<&'static str>,
    /// Outcomes of fewer than one case in a hundred, with the reason.
    pub rare: BTreeMap<&'static str, &'static str>,
    /// Such outcomes without a reason, in a run of 10,000 cases or more.
    pub untested: Vec<&'static str>,
    /// The first difference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<Found>,
}

/// A difference, to be investigated.
#[derive(Debug, Serialize)]
pub struct Found {
    /// The case's number.
    pub image: u64,
    /// The shrunk case.
    pub case: String,
    /// What the two did with it.
    pub difference: String,
    /// A command that repeats it.
    pub repeat: String,
}

/// Makes the two rings of one ground.
pub type Build<'b, R, F> = &'b mut dyn FnMut(Ground) -> anyhow::Result<Pair<R, F>>;

/// The rings of a run, made when they are first needed.
pub struct Trial<'b, R, F> {
    pairs: HashMap<Ground, Pair<R, F>>,
    build: Build<'b, R, F>,
    page: u32,
    /// Waits behind each drain that must not wake: slow, and needed for a case that is run alone.
    thorough: bool,
}

/// Bytes of log that a ring's drains get.
#[must_use]
pub fn log_bytes(ground: Ground) -> usize {
    match ground {
        Ground::Low | Ground::High => 1 << 18,
        Ground::Many => 1 << 21,
        // One sample at the limit.
        Ground::Huge => (1 << 24) + (1 << 16),
    }
}

/// Compares the fake kernel with the real one.
///
/// # Errors
/// [`Unavailable`](crate::kernel::Unavailable) without rights, and what else kept a case from being tried.
pub fn against_the_kernel(plan: &Plan) -> anyhow::Result<TrialReport> {
    let page = u32::try_from(rustix::param::page_size())?;
    let fence = Fence::new()?;
    let mut build = |ground: Ground| {
        let (size, log) = (ground.size(page), log_bytes(ground));
        let nesting = matches!(ground, Ground::Low | Ground::High);
        Ok(Pair::new(KernelRing::new(size, log, nesting, &fence)?, SimRing::new(size, log, plan.plant)?))
    };
    Trial::new(page, &mut build).run(plan)
}

impl<'b, R: Side, F: Side> Trial<'b, R, F> {
    /// A trial on rings that `build` makes, on a machine with pages of `page` bytes.
    pub fn new(page: u32, build: Build<'b, R, F>) -> Self {
        Self { pairs: HashMap::new(), build, page, thorough: false }
    }

    /// The whole plan, up to the first difference.
    ///
    /// # Errors
    /// What kept a case from being tried.
    pub fn run(&mut self, plan: &Plan) -> anyhow::Result<TrialReport> {
        let mut met = Met::default();
        let (mut images, mut found) = (0, None);
        let begun = Instant::now();
        self.thorough = plan.only.is_some();
        let numbers = plan.only.map_or(0..plan.images, |number| number..number + 1);
        for number in numbers {
            let case = draw(plan.seed, number, self.page);
            let difference = self.pair(case.ground)?.run(&case, &mut met)?;
            met.next();
            images += 1;
            if let Some(difference) = difference {
                found = Some(self.found(plan, number, case, difference)?);
                break;
            }
        }
        for pair in self.pairs.values_mut() {
            anyhow::ensure!(
                !pair.real.woke_late()?,
                "one of the last drains with seed {} woke when it must not",
                plan.seed
            );
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a rate"
        )]
        let images_per_second = (images as f64 / begun.elapsed().as_secs_f64()) as u64;
        // A single image meets little.
        let rare = |outcome: &&Outcome| plan.only.is_none() && met.count(**outcome) * 100 < images;
        let rare = || Outcome::ALL.iter().filter(rare);
        Ok(TrialReport {
            images,
            differences: found.is_some().into(),
            outcomes: met.by_name(),
            images_per_second,
            seed: plan.seed,
            plant: plan.plant.map(Fault::name),
            rare: rare().filter_map(|outcome| Some((outcome.name(), outcome.rare()?))).collect(),
            untested: rare()
                .filter(|outcome| images >= MANY && outcome.rare().is_none())
                .map(|outcome| outcome.name())
                .collect(),
            found,
        })
    }

    fn pair(&mut self, ground: Ground) -> anyhow::Result<&mut Pair<R, F>> {
        if ground == Ground::Low {
            self.pairs.retain(|ground, pair| *ground != Ground::Low || pair.real.consumer() <= LOW_END);
        }
        let pair = match self.pairs.entry(ground) {
            Entry::Occupied(there) => there.into_mut(),
            Entry::Vacant(place) => {
                let mut pair = (self.build)(ground)?;
                if ground == Ground::High {
                    pair.real.move_to(HIGH_START)?;
                }
                place.insert(pair)
            }
        };
        pair.real.be_thorough(self.thorough);
        Ok(pair)
    }

    /// Shrinks a case that differs.
    fn found(&mut self, plan: &Plan, image: u64, mut case: Case, mut difference: Difference) -> anyhow::Result<Found> {
        let mut met = Met::default();
        let mut left = CANDIDATES;
        self.thorough = true;
        'simpler: loop {
            for candidate in simpler(&case) {
                if left == 0 {
                    break 'simpler;
                }
                left -= 1;
                if let Some(other) = self.pair(candidate.ground)?.run(&candidate, &mut met)? {
                    (case, difference) = (candidate, other);
                    continue 'simpler;
                }
            }
            break;
        }
        let plant = plan.plant.map_or_else(String::new, |fault| format!(" --plant {fault}"));
        Ok(Found {
            image,
            case: case.to_string(),
            difference: difference.to_string(),
            repeat: format!(
                "cargo run --release -q -p user-ringbuf-tests --bin kernel-vs-sim -- --seed {} --image {image}{plant}",
                plan.seed
            ),
        })
    }
}
