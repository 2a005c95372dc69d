//! Counters of the process, and their way into Envoy's, where each label is a label.
//!
//! A request costs an addition here; Envoy gets the differences on each tick, on the main thread. Envoy 1.38 can write a metric only on
//! behalf of a stream: there the next request's end writes them.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use emac_filter::host::MetricKind;
use emac_filter::metrics::{SHAPES, labels_of};

use crate::abi::{self, Kind, Level, Slot};

/// Values of a histogram that wait for the next tick: 8 MB at most for each.
const SAMPLES_MAX: usize = 1 << 20;

struct Metric {
    kind: Kind,
    /// Which of [`SHAPES`].
    shape: usize,
    labels: Vec<String>,
    value: AtomicU64,
    samples: Mutex<Vec<u64>>,
    /// As Envoy has it; also the lock under which it is written there.
    written: Mutex<Option<u64>>,
}

#[derive(Default)]
struct Registry {
    numbers: HashMap<String, u32>,
    metrics: Vec<Arc<Metric>>,
}

static REGISTRY: RwLock<Option<Registry>> = RwLock::new(None);
/// Envoy's ids of the shapes, by configuration.
static DEFINED: Mutex<BTreeMap<u32, Vec<Option<usize>>>> = Mutex::new(BTreeMap::new());
/// There is something to be written by the next stream.
static WANTED: AtomicBool = AtomicBool::new(false);

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The metric of a name as the filter spells it.
pub(crate) fn find(kind: MetricKind, name: &str) -> Option<u32> {
    let known = |registry: &Option<Registry>| registry.as_ref()?.numbers.get(name).copied();
    if let Some(number) = known(&REGISTRY.read().unwrap_or_else(PoisonError::into_inner)) {
        return Some(number);
    }
    let (metric, labels) = labels_of(name);
    let is_it = |(_, known, keys): &(MetricKind, &str, &[&str])| {
        *known == metric && keys.iter().copied().eq(labels.iter().map(|(key, _)| *key))
    };
    let shape = SHAPES.iter().position(is_it)?;
    let labels = labels.iter().map(|(_, value)| (*value).to_owned()).collect();
    let mut registry = REGISTRY.write().unwrap_or_else(PoisonError::into_inner);
    let registry = registry.get_or_insert_default();
    if let Some(number) = registry.numbers.get(name) {
        return Some(*number);
    }
    let number = u32::try_from(registry.metrics.len()).ok()?;
    registry.metrics.push(Arc::new(Metric {
        kind: kind_of(kind),
        shape,
        labels,
        value: AtomicU64::new(0),
        samples: Mutex::default(),
        written: Mutex::default(),
    }));
    registry.numbers.insert(name.to_owned(), number);
    Some(number)
}

const fn kind_of(kind: MetricKind) -> Kind {
    match kind {
        MetricKind::Counter => Kind::Counter,
        MetricKind::Gauge => Kind::Gauge,
        MetricKind::Histogram => Kind::Histogram,
    }
}

fn with<T>(metric: u32, work: impl FnOnce(&Metric) -> T) -> Option<T> {
    let registry = REGISTRY.read().unwrap_or_else(PoisonError::into_inner);
    registry.as_ref()?.metrics.get(metric as usize).map(|metric| work(metric))
}

/// Adds to a counter.
pub(crate) fn add(metric: u32, by: u64) {
    with(metric, |metric| metric.value.fetch_add(by, Ordering::Relaxed));
}

/// Sets a gauge, or gives a histogram a value.
pub(crate) fn record(metric: u32, value: u64) {
    with(metric, |metric| match metric.kind {
        Kind::Histogram => {
            let mut samples = locked(&metric.samples);
            if samples.len() < SAMPLES_MAX {
                samples.push(value);
            }
        }
        Kind::Counter | Kind::Gauge => metric.value.store(value, Ordering::Relaxed),
    });
}

/// A counter's value.
pub(crate) fn read(metric: u32) -> u64 {
    with(metric, |metric| metric.value.load(Ordering::Relaxed)).unwrap_or_default()
}

/// Something that cannot happen has.
pub(crate) fn internal_error() {
    static NUMBER: OnceLock<Option<u32>> = OnceLock::new();
    if let Some(number) = NUMBER.get_or_init(|| find(MetricKind::Counter, "emac_internal_errors_total")) {
        add(*number, 1);
    }
}

/// Defines all shapes while a configuration is made, which is the only time at which Envoy allows it.
pub(crate) fn define(config: u32) {
    let define = |(kind, name, labels): &(MetricKind, &str, &[&str])| {
        abi::define(config, kind_of(*kind), name, labels)
    };
    let ids: Vec<Option<usize>> = SHAPES.iter().map(define).collect();
    let refused = ids.iter().zip(SHAPES).find(|(id, _)| id.is_none());
    if let Some((_, (_, name, _))) = refused {
        abi::log(
            Level::Warn,
            &format!("emac: Envoy defines no metric {name}, nor perhaps others: they are not shown"),
        );
    }
    locked(&DEFINED).insert(config, ids);
}

/// Gives a configuration that is being made every counter there is: Envoy would forget them with the configuration before.
pub(crate) fn keep(config: u32) {
    for metric in all() {
        if metric.kind == Kind::Counter {
            metric.write(config, 0);
        }
    }
}

/// A configuration is gone.
pub(crate) fn forget(config: u32) {
    locked(&DEFINED).remove(&config);
}

/// Gives Envoy what it does not have yet; on the main thread.
pub(crate) fn flush(config: u32) {
    for metric in all() {
        metric.flush(|value| metric.write(config, value));
    }
}

/// The next stream gives Envoy what it does not have yet.
pub(crate) fn flush_soon() {
    WANTED.store(true, Ordering::Release);
}

/// Where only a stream can, or where the main thread may not come.
pub(crate) fn flush_by_stream(slot: Slot) {
    if !WANTED.load(Ordering::Relaxed) || !WANTED.swap(false, Ordering::AcqRel) {
        return;
    }
    let Some(config) = abi::config_of(slot) else { return };
    for metric in all() {
        metric.flush(|value| {
            let labels: Vec<&str> = metric.labels.iter().map(String::as_str).collect();
            let write = |id| abi::write_metric_by_stream(slot, metric.kind, id, &labels, value);
            id_of(config, metric.shape).is_some_and(write)
        });
    }
}

fn all() -> Vec<Arc<Metric>> {
    let registry = REGISTRY.read().unwrap_or_else(PoisonError::into_inner);
    registry.as_ref().map(|registry| registry.metrics.clone()).unwrap_or_default()
}

fn id_of(config: u32, shape: usize) -> Option<usize> {
    locked(&DEFINED).get(&config)?.get(shape).copied().flatten()
}

impl Metric {
    fn write(&self, config: u32, value: u64) -> bool {
        let labels: Vec<&str> = self.labels.iter().map(String::as_str).collect();
        id_of(config, self.shape).is_some_and(|id| abi::write_metric(config, self.kind, id, &labels, value))
    }

    fn flush(&self, write: impl Fn(u64) -> bool) {
        let mut written = locked(&self.written);
        let value = self.value.load(Ordering::Relaxed);
        match self.kind {
            Kind::Counter => {
                let more = value.saturating_sub(written.unwrap_or_default());
                if more > 0 && write(more) {
                    *written = Some(value);
                }
            }
            Kind::Gauge => {
                if *written != Some(value) && write(value) {
                    *written = Some(value);
                }
            }
            Kind::Histogram => {
                let samples = core::mem::take(&mut *locked(&self.samples));
                for sample in samples {
                    write(sample);
                }
            }
        }
    }
}
