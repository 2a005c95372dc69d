//! What kind of world: size, operators, instrumentation, defects, faults.

/// Everything a world is made from. The same settings make the same world, to the byte.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Seed of all draws.
    pub seed: u64,
    /// Services in all, at least 2; roots are counted too.
    pub services: usize,
    /// Services of one journey, fewest and most.
    pub leaves: (usize, usize),
    /// Deepest chain of calls below the root, at least 1.
    pub depth: usize,
    /// Journeys that hide behind each root operation, at least 1.
    pub journeys_per_root: usize,
    /// Probability that a leaf is a service that another journey has, too.
    pub shared: f64,
    /// Probability that an operand is itself an operator, or a series of calls.
    pub nested: f64,
    /// How likely each operator is.
    pub operators: Operators,
    /// Requests.
    pub requests: u64,
    /// Time from the first request to the last, seconds.
    pub window_s: f64,
    /// How spans come about, and how they suffer on the way.
    pub signals: Signals,
    /// What goes wrong.
    pub faults: Faults,
}

/// Relative weights; 0: does not occur.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Operators {
    /// A plain call; several steps make a series.
    pub call: f64,
    /// Parallel, all must succeed.
    pub parallel: f64,
    /// Parallel, k of n must succeed.
    pub at_least: f64,
    /// Race, all at once.
    pub race: f64,
    /// Race, each with a delay.
    pub hedge: f64,
    /// Fallback after failure.
    pub fallback: f64,
    /// Fallback after a timeout.
    pub fallback_after_timeout: f64,
    /// One of two or three.
    pub branch: f64,
    /// A call that is made or not.
    pub optional: f64,
    /// Retry after failure.
    pub retry: f64,
    /// The same several times.
    pub repeat: f64,
    /// Fire and forget, as a request.
    pub forget: f64,
    /// Fire and forget, as a message.
    pub message: f64,
    /// A timeout that is sometimes met.
    pub timeout: f64,
}

/// How spans come about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Signals {
    /// Who records.
    pub style: Style,
    /// Share of traces kept; decided once a trace.
    pub sampling: f64,
    /// Standard deviation of an instance's clock from the true time, nanoseconds.
    pub skew_ns: f64,
    /// Clocks tick this often, nanoseconds, at least 1.
    pub resolution_ns: i64,
    /// Share of spans that get lost.
    pub dropped: f64,
    /// Share of spans that arrive twice.
    pub duplicated: f64,
    /// Share of spans that arrive half a minute late.
    pub late: f64,
    /// Share of services that put an internal span around their calls.
    pub internal: f64,
    /// Share of leaves that are databases.
    pub databases: f64,
    /// Clients say which try a call is, from the second on.
    pub attempts: bool,
}

/// Who records spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Caller and callee, a span each (OpenTelemetry).
    Otel,
    /// The callee only.
    ServerOnly,
    /// The proxies of both, a span each (Envoy, Istio).
    Envoy,
    /// Caller and callee under one id (Zipkin, B3 with shared spans).
    Zipkin,
}

impl Style {
    /// Every style.
    pub const ALL: [Self; 4] = [Self::Otel, Self::ServerOnly, Self::Envoy, Self::Zipkin];
}

/// What goes wrong in a world.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// Outages of one service each.
    pub outages: usize,
    /// Pairs of services that fail together.
    pub shared_domains: usize,
    /// Outages of each such pair.
    pub shared_outages: usize,
    /// Length of an outage, seconds.
    pub length_s: f64,
    /// Pairs whose labels say so: the others must be found by their failures.
    pub labelled: bool,
    /// Services whose instances' labels contradict each other.
    pub conflicting: usize,
    /// Services without any label.
    pub unlabelled: usize,
}

impl Operators {
    /// Every operator, as often as it makes sense.
    pub const ALL: Self = Self {
        call: 6.0,
        parallel: 2.5,
        at_least: 0.4,
        race: 0.6,
        hedge: 0.6,
        fallback: 0.8,
        fallback_after_timeout: 0.3,
        branch: 1.0,
        optional: 0.8,
        retry: 0.8,
        repeat: 0.4,
        forget: 0.4,
        message: 0.4,
        timeout: 0.3,
    };
    /// Plain calls only.
    pub const NONE: Self = Self {
        call: 1.0,
        parallel: 0.0,
        at_least: 0.0,
        race: 0.0,
        hedge: 0.0,
        fallback: 0.0,
        fallback_after_timeout: 0.0,
        branch: 0.0,
        optional: 0.0,
        retry: 0.0,
        repeat: 0.0,
        forget: 0.0,
        message: 0.0,
        timeout: 0.0,
    };
}

impl Signals {
    /// Every span of every trace, in OpenTelemetry's way, by one good clock.
    pub const CLEAN: Self = Self {
        style: Style::Otel,
        sampling: 1.0,
        skew_ns: 0.0,
        resolution_ns: 1,
        dropped: 0.0,
        duplicated: 0.0,
        late: 0.0,
        internal: 0.3,
        databases: 0.3,
        attempts: false,
    };
    /// What a real backend holds: clocks off by some milliseconds, some spans lost, doubled or late.
    pub const REAL: Self = Self {
        skew_ns: 5e6,
        resolution_ns: 1_000,
        dropped: 0.001,
        duplicated: 0.002,
        late: 0.005,
        ..Self::CLEAN
    };
}

impl Settings {
    /// A small world with everything in it: ten services, one journey, 1 000 requests in an hour.
    pub fn small(seed: u64) -> Self {
        Self {
            seed,
            services: 10,
            leaves: (10, 10),
            depth: 3,
            journeys_per_root: 1,
            shared: 0.0,
            nested: 0.25,
            operators: Operators::ALL,
            requests: 1_000,
            window_s: 3_600.0,
            signals: Signals::CLEAN,
            faults: Faults::default(),
        }
    }

    /// A world of many services in journeys of 5 to 15 of them.
    pub fn large(seed: u64, services: usize) -> Self {
        Self { services, leaves: (5, 15), shared: 0.1, ..Self::small(seed) }
    }
}
