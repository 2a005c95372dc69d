//! Times: durations as these documents write them, and what a metric's name says about its unit. Prometheus has it as a word of the name (`http_request_duration_seconds_bucket`).

use emac_core::units::Micros;

use super::Unit;
use emac_document::{Reader, parse_duration};

/// What a name tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Told {
    /// A time, in units of so many microseconds.
    Time(f64),
    /// A time, in a unit that is not said.
    SomeTime,
    /// Nothing of a time.
    Nothing,
}

const UNITS: [(&str, f64); 22] = [
    ("seconds", 1e6),
    ("second", 1e6),
    ("secs", 1e6),
    ("sec", 1e6),
    ("milliseconds", 1e3),
    ("millisecond", 1e3),
    ("millis", 1e3),
    ("milli", 1e3),
    ("msecs", 1e3),
    ("msec", 1e3),
    ("ms", 1e3),
    ("microseconds", 1.0),
    ("micros", 1.0),
    ("usecs", 1.0),
    ("usec", 1.0),
    ("us", 1.0),
    ("nanoseconds", 1e-3),
    ("nanos", 1e-3),
    ("ns", 1e-3),
    ("minutes", 60e6),
    ("hours", 3_600e6),
    ("days", 86_400e6),
];

/// Words of times that calls take.
const TIMES: [&str; 7] = ["duration", "durations", "latency", "latencies", "elapsed", "rtt", "took"];
/// With one of these `time` is the time that a call takes.
const CALLS: [&str; 10] = [
    "request",
    "requests",
    "response",
    "responses",
    "rq",
    "rpc",
    "query",
    "processing",
    "service",
    "handling",
];
/// Words of seconds that are no answer's: moments, ages and sums.
const OTHERS: [&str; 24] = [
    "timestamp",
    "uptime",
    "start",
    "started",
    "created",
    "modified",
    "expiry",
    "expires",
    "expiration",
    "age",
    "cpu",
    "lag",
    "staleness",
    "freshness",
    "last",
    "offset",
    "drift",
    "skew",
    "ttl",
    "interval",
    "backlog",
    "remaining",
    "until",
    "since",
];

/// What the words of a metric's name, or of another system's query, tell.
pub(super) fn told(name: &str) -> Told {
    let words = words(name);
    let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    let unit = words.iter().rev().find_map(|word| UNITS.iter().find(|(unit, _)| unit == word));
    match unit {
        Some(&(_, micros)) => Told::Time(micros),
        None if has(&TIMES) || has(&["time"]) && has(&CALLS) => Told::SomeTime,
        None => Told::Nothing,
    }
}

/// Whether the words tell of a time that is no answer's: an age, a moment, a share of a processor.
pub(super) fn is_no_answers(name: &str) -> bool {
    words(name).iter().any(|word| OTHERS.contains(&word.as_str()))
}

/// Whether the words of another system's query tell of a time that answers take, or of a quantile. Short units are also names of countries and namespaces.
pub(super) fn names_time(query: &str) -> bool {
    const UNITS: [&str; 6] = ["seconds", "milliseconds", "millis", "msec", "microseconds", "nanoseconds"];
    let words = words(query);
    let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    has(&TIMES)
        || has(&UNITS)
        || has(&["time"]) && has(&CALLS)
        || words.iter().any(|word| is_quantile_word(word))
}

/// Whether the words tell of times that calls take.
pub(super) fn is_latency(name: &str) -> bool {
    words(name).iter().any(|word| TIMES.contains(&word.as_str()))
}

/// Whether the words tell of a number made of many answers.
pub(super) fn is_summary(name: &str) -> bool {
    const WORDS: [&str; 7] = ["avg", "average", "mean", "median", "max", "maximum", "histogram"];
    words(name).iter().any(|word| WORDS.contains(&word.as_str()) || is_quantile_word(word))
}

/// Whether the words tell of a quantile.
pub(super) fn is_quantile(name: &str) -> bool {
    words(name).iter().any(|word| is_quantile_word(word))
}

/// `p99`, `perc95`, `95th`, `percentile`.
fn is_quantile_word(word: &str) -> bool {
    const NAMES: [&str; 9] =
        ["p", "q", "perc", "pct", "percentile", "percentiles", "quantile", "quantiles", "upper"];
    const WHOLE: [&str; 4] = ["percentile", "percentiles", "quantile", "quantiles"];
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    let numbered = NAMES.iter().any(|name| word.strip_prefix(name).is_some_and(digits));
    WHOLE.contains(&word) || numbered || word.strip_suffix("th").is_some_and(digits)
}

/// A number as a time: in the SLO's own unit, else in the name's, else in seconds. `None` for what is none.
pub(super) fn of(value: f64, unit: Unit, told: Told) -> Option<Micros> {
    let micros = match (unit, told) {
        (Unit::None, _) => return None,
        (Unit::Seconds, _) | (Unit::Unsaid, Told::SomeTime | Told::Nothing) => 1e6,
        (Unit::Millis, _) => 1e3,
        (Unit::Micros, _) => 1.0,
        (Unit::Unsaid, Told::Time(micros)) => micros,
    };
    let micros = value * micros;
    (0.0 < micros && micros <= 1e15).then(|| Micros((micros.round() as u64).max(1)))
}

/// A duration as these documents write it. The shorthand has units that ours lacks: a month, a quarter and a year count 30, 90 and 365 days.
pub(super) fn duration(reader: Reader<'_>) -> Option<Micros> {
    let text = reader.text()?;
    let days = [('M', 30), ('Q', 90), ('Y', 365), ('y', 365)];
    let calendar = days.iter().find_map(|&(unit, days)| Some((text.strip_suffix(unit)?, days)));
    match calendar {
        None => reader.duration(),
        Some((count, days)) => match count
            .parse::<u64>()
            .map(|count| parse_duration(&format!("{}d", count.saturating_mul(days))))
        {
            Ok(Ok(duration)) if duration > Micros(0) => Some(duration),
            _ => reader.refuse(format!("`{text}` is not a duration")),
        },
    }
}

/// `httpRequest_durationSeconds` as `http request duration seconds`.
fn words(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut before = ' ';
    for letter in name.chars() {
        let starts = letter.is_ascii_uppercase() && before.is_ascii_lowercase();
        if (starts || !letter.is_ascii_alphanumeric()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if letter.is_ascii_alphanumeric() {
            word.push(letter.to_ascii_lowercase());
        }
        before = letter;
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_words_of_names() {
        for (name, expected) in [
            ("http_request_duration_seconds_bucket", Told::Time(1e6)),
            ("istio_request_duration_milliseconds_bucket", Told::Time(1e3)),
            ("api_server_requestMsec", Told::Time(1e3)),
            ("rpc_ns", Told::Time(1e-3)),
            ("envoy_cluster_upstream_rq_time_bucket", Told::SomeTime),
            ("checkout:latency", Told::SomeTime),
            ("response_size_bytes_bucket", Told::Nothing),
            ("node_time", Told::Nothing),
            ("queue_length", Told::Nothing),
            ("milestones", Told::Nothing),
        ] {
            assert_eq!(told(name), expected, "{name}");
        }
    }

    #[test]
    fn ages_moments_and_summaries_are_no_answers() {
        for name in
            ["last_success_timestamp_seconds", "process_uptime_seconds", "consumer_lag_seconds_bucket"]
        {
            assert!(is_no_answers(name), "{name}");
        }
        assert!(!is_no_answers("http_request_duration_seconds"));
        for name in ["job:latency_seconds:p99", "p95:trace.http.request", "request_seconds_avg", "latencyMax"]
        {
            assert!(is_summary(name), "{name}");
        }
        assert!(!is_summary("php_request_seconds") && !is_summary("pay_latency"));
        for name in ["stats perc95(x)", "ALIGN_PERCENTILE_99", "upper_95th", "percentile(duration, 95)"] {
            assert!(is_quantile(name), "{name}");
        }
        assert!(!is_quantile("p") && !is_quantile("http2") && !is_quantile("north"));
    }

    #[test]
    fn a_number_is_a_time_in_the_unit_that_is_said() {
        assert_eq!(of(0.3, Unit::Unsaid, Told::Time(1e6)), Some(Micros(300_000)));
        assert_eq!(of(300.0, Unit::Millis, Told::Nothing), Some(Micros(300_000)));
        assert_eq!(of(300.0, Unit::Unsaid, Told::SomeTime), Some(Micros(300_000_000)));
        assert_eq!(of(0.3, Unit::None, Told::Time(1e6)), None);
        for no_time in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e12] {
            assert_eq!(of(no_time, Unit::Seconds, Told::Nothing), None);
        }
    }
}
