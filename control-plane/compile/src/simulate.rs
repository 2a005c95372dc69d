//! Monte Carlo over a model: replicas, edges and failure domains fail, or containers are stopped, and a journey is up or not.
//!
//! A [`World`] is a model's topology with the numbers of a what-if profile. [`availability`] draws who is up and asks every endpoint;
//! [`fail_stop`] stops K of N containers without replacement, for a sweep of K; those of protected nodes are not among the N. Where few enough things can fail the answer is also enumerated
//! exactly, and stands beside the estimate. Seeded: the same seed gives the same numbers on any number of threads. A failure lasts for
//! the whole request, so that a retry meets the same failure: what repetition gains is the bounds' matter.

mod endpoint;
mod exact;
mod profile;
mod random;
mod sample;
mod world;

use serde_json::{Map, Value, json};

pub use endpoint::{Endpoint, Goal, Predicate, Semantics};
pub use profile::{KIND, Profile, read, table};
pub use sample::threads;
pub use world::{InvalidWorld, Node, World};

/// How an estimate was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimulationSettings {
    /// Trials, at least 1.
    pub trials: u64,
    /// Seed of the random numbers.
    pub seed: u64,
    /// Threads, at least 1; does not change the numbers.
    pub threads: usize,
}

/// What one endpoint reaches, or all by their weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    /// Name of the endpoint; `weighted` for all.
    pub endpoint: String,
    /// Mean over the trials.
    pub mean: f64,
    /// 95 % confidence interval (Wilson 1927; for values within 0 and 1 it is at least as wide as needed).
    pub interval: (f64, f64),
    /// By enumeration, where that was possible.
    pub exact: Option<f64>,
}

/// How many containers are stopped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StopAmount {
    /// A share of all that may be, rounded up.
    Fraction(f64),
    /// Exactly so many, at most all.
    Count(usize),
}

impl StopAmount {
    /// Containers, of `all` that may be stopped.
    fn of(self, all: usize) -> usize {
        match self {
            // A product such as 0.1 * 30 may miss a whole number by an ulp.
            Self::Fraction(share) if share > 0.0 => {
                ((share * all as f64 - 1e-9).ceil() as usize).clamp(1.min(all), all)
            }
            Self::Fraction(_) => 0,
            Self::Count(count) => count.min(all),
        }
    }
}

/// One point of a fail-stop sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepPoint {
    /// What was asked.
    pub stop: StopAmount,
    /// Containers stopped, of those that may be.
    pub stopped: usize,
    /// What is left.
    pub estimates: Vec<Estimate>,
}

/// Everything up or down by chance.
pub fn availability(world: &World, settings: SimulationSettings) -> Vec<Estimate> {
    let sums = sample::run(settings, world.endpoints.len(), |random, values| {
        let state = sample::draw(world, random);
        values.extend(world.endpoints.iter().map(|endpoint| endpoint.value(world, &state)));
    });
    estimates(world, &sums, settings.trials, exact::availability(world))
}

/// Containers stopped without replacement, for each point.
pub fn fail_stop(world: &World, stops: &[StopAmount], settings: SimulationSettings) -> Vec<SweepPoint> {
    let point = |&stop: &StopAmount| {
        let stopped = stop.of(world.containers());
        let sums = sample::run(settings, world.endpoints.len(), |random, values| {
            let state = sample::stop(world, stopped, random);
            values.extend(world.endpoints.iter().map(|endpoint| endpoint.value(world, &state)));
        });
        let exact = exact::fail_stop(world, stopped);
        SweepPoint { stop, stopped, estimates: estimates(world, &sums, settings.trials, exact) }
    };
    stops.iter().map(point).collect()
}

fn estimates(world: &World, sums: &[f64], trials: u64, exact: Option<Vec<f64>>) -> Vec<Estimate> {
    let mean = |sum: &f64| sum / trials as f64;
    let means: Vec<_> = sums.iter().map(mean).collect();
    let exact_of = |place: usize| exact.as_ref().and_then(|exact| exact.get(place).copied());
    let estimate = |(place, endpoint): (usize, &Endpoint)| {
        let mean = means.get(place).copied().unwrap_or_default();
        Estimate {
            endpoint: endpoint.name.clone(),
            mean,
            interval: wilson(mean, trials),
            exact: exact_of(place),
        }
    };
    let mut found: Vec<_> = world.endpoints.iter().enumerate().map(estimate).collect();
    if found.len() > 1 {
        let mean = weighted(world, &means);
        let exact = exact.as_ref().map(|exact| weighted(world, exact));
        found.push(Estimate { endpoint: "weighted".to_owned(), mean, interval: wilson(mean, trials), exact });
    }
    found
}

fn weighted(world: &World, values: &[f64]) -> f64 {
    let total: f64 = world.endpoints.iter().map(|endpoint| endpoint.weight).sum();
    let sum: f64 = world.endpoints.iter().zip(values).map(|(endpoint, value)| endpoint.weight * value).sum();
    if total > 0.0 { sum / total } else { 0.0 }
}

/// Wilson's interval at 95 %.
fn wilson(mean: f64, trials: u64) -> (f64, f64) {
    const Z: f64 = 1.959_963_984_540_054;
    let n = trials as f64;
    let centre = mean + Z * Z / (2.0 * n);
    let spread = Z * (mean * (1.0 - mean) / n + Z * Z / (4.0 * n * n)).max(0.0).sqrt();
    let scale = 1.0 + Z * Z / n;
    (((centre - spread) / scale).max(0.0), ((centre + spread) / scale).min(1.0))
}

/// Estimates as JSON.
pub fn to_json(estimates: &[Estimate]) -> Value {
    let round = |value: f64| json!((value * 1e8).round() / 1e8);
    let one = |estimate: &Estimate| {
        let mut json = Map::new();
        json.insert("endpoint".to_owned(), json!(estimate.endpoint));
        json.insert("mean".to_owned(), round(estimate.mean));
        json.insert("interval95".to_owned(), json!([round(estimate.interval.0), round(estimate.interval.1)]));
        if let Some(exact) = estimate.exact {
            json.insert("exact".to_owned(), round(exact));
        }
        Value::Object(json)
    };
    estimates.iter().map(one).collect()
}

#[cfg(test)]
mod tests;
