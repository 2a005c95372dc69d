//! What a ratio's numerator counts, where it looks into a histogram.
//!
//! The buckets of a histogram count answers by the time they took: `x_bucket{le="0.3"}` those within 0.3 of the unit, good ones or not. Over all answers that is a
//! share within a time, and no availability. A query is taken apart into its addends; what does not come out as answers within one time is not guessed.

use super::time;
use emac_document::parts;
use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::token::{
    T_ADD, T_DIV, T_EQLC, T_GTE, T_GTR, T_LAND, T_LOR, T_LSS, T_LTE, T_LUNLESS, T_MUL, T_NEQ, T_SUB, T_SUM,
};
use promql_parser::parser::{BinaryExpr, Call, Expr, VectorSelector};

/// What the good events of a ratio are.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Good {
    /// Something that has no histogram in it: answers that are good.
    Answers,
    /// Answers within a time.
    Within {
        /// `le`, in the metric's own unit.
        bound: f64,
        /// The histogram's name, which tells the unit.
        metric: String,
        /// The numerator selects answers that are good, the denominator all.
        of_all: bool,
    },
    /// Something of a histogram that is not read here, and why.
    Unclear(&'static str),
}

const UNSAID_TIME: &str = "its series are named for a latency and do not say which time is kept";
const ANOTHER_WAY: &str = "its query uses a histogram in a way that is not read here";
const FAST_IS_BAD: &str = "its query counts slow answers as good";
const SEVERAL_TIMES: &str = "its query counts answers within several times";
const NO_TIME: &str = "its query sums all buckets of a histogram, whatever their `le`";
const OF_SOME: &str =
    "its total counts answers within a time, or all buckets of a histogram, and not all answers";
const OF_QUANTILE: &str = "its query is of a quantile, so its target counts moments and not answers";

/// The good events of `numerator / total`, or with `bad` of `1 - numerator / total`.
pub(super) fn of_ratio(numerator: &Expr, bad: bool, total: Option<&Expr>) -> Good {
    let is_of_all = |series: &VectorSelector| matches!(counts(series), Counts::Events(_));
    if total.is_some_and(|total| !all_series(total).into_iter().all(is_of_all)) {
        return Good::Unclear(OF_SOME);
    }
    if !uses_histogram(numerator) {
        return unless_of_times(numerator);
    }
    let mut addends = Vec::new();
    if !collect(numerator, true, &mut addends) {
        return Good::Unclear(ANOTHER_WAY);
    }
    of_addends(&addends, bad, total)
}

/// The good events of a ratio that is written as one query.
pub(super) fn of_raw(ratio: &Expr, of_failures: bool) -> Good {
    if !uses_histogram(ratio) {
        return unless_of_times(ratio);
    }
    match unwrapped(ratio) {
        Expr::Binary(BinaryExpr { op, lhs, rhs, .. }) if op.id() == T_DIV => {
            of_ratio(lhs, of_failures, Some(rhs))
        }
        Expr::Binary(BinaryExpr { op, lhs, rhs, .. }) if op.id() == T_SUB && is_number(lhs, 1.0) => {
            of_raw(rhs, !of_failures)
        }
        other => of_ratio(other, of_failures, None),
    }
}

/// A series that somebody recorded may count fast answers; then its name says so, and not how fast. `_count` of a histogram counts all.
fn unless_of_times(expr: &Expr) -> Good {
    let series = all_series(expr);
    let is_quantile = |series: &&VectorSelector| {
        time::is_quantile(metric(series)) || !matchers(series, "quantile").is_empty()
    };
    let of_times = |series: &&VectorSelector| {
        let name = metric(series);
        let is_time = name.ends_with("_sum") || name.ends_with("_seconds") || name.ends_with("_milliseconds");
        !name.ends_with("_count") && (is_time || time::is_latency(name))
    };
    match (series.iter().any(is_quantile), series.iter().any(of_times)) {
        (true, _) => Good::Unclear(OF_QUANTILE),
        (false, true) => Good::Unclear(UNSAID_TIME),
        (false, false) => Good::Answers,
    }
}

fn of_addends(addends: &[Addend<'_>], bad: bool, total: Option<&Expr>) -> Good {
    let mut within: Option<(f64, &str)> = None;
    let mut of_all = total.is_some_and(|total| !all_series(total).into_iter().any(selects_outcomes));
    for addend in addends {
        let (bound, metric) = match &addend.counts {
            Counts::Events(series) => {
                // Bad events that are slow ones among the good ones leave out failures.
                of_all &= !(bad && addend.plus && series.is_some_and(selects_outcomes));
                continue;
            }
            Counts::Nonsense => return Good::Unclear(NO_TIME),
            Counts::Within(bound, series) => {
                of_all &= is_good(series);
                (*bound, metric(series))
            }
            Counts::Share(bound, histogram) => {
                of_all = false;
                (*bound, histogram.map_or("", metric))
            }
        };
        if addend.plus == bad {
            return Good::Unclear(FAST_IS_BAD);
        }
        if within.is_some_and(|(known, _)| known != bound) {
            return Good::Unclear(SEVERAL_TIMES);
        }
        within = Some((bound, metric));
    }
    let others = |plus: bool| {
        addends.iter().any(|addend| addend.plus == plus && matches!(addend.counts, Counts::Events(_)))
    };
    match within {
        None => Good::Answers,
        // Good events are those within the time and no others; bad ones are all events but those.
        Some(_) if !bad && (others(true) || others(false)) || bad && !others(true) => {
            Good::Unclear(ANOTHER_WAY)
        }
        Some((bound, metric)) => Good::Within { bound, metric: metric.to_owned(), of_all },
    }
}

/// One addend of a numerator.
struct Addend<'a> {
    plus: bool,
    counts: Counts<'a>,
}

/// What an addend counts.
enum Counts<'a> {
    /// Events of any time; `None`: a number.
    Events(Option<&'a VectorSelector>),
    /// Events within a time.
    Within(f64, &'a VectorSelector),
    /// The share within a time, of a native histogram.
    Share(f64, Option<&'a VectorSelector>),
    /// All buckets together.
    Nonsense,
}

/// Takes a query apart; `false` where it is not made of sums of counts.
fn collect<'a>(expr: &'a Expr, plus: bool, addends: &mut Vec<Addend<'a>>) -> bool {
    match expr {
        Expr::Paren(inner) => collect(&inner.expr, plus, addends),
        Expr::Unary(inner) => collect(&inner.expr, !plus, addends),
        Expr::Aggregate(sum) if sum.op.id() == T_SUM => collect(&sum.expr, plus, addends),
        Expr::Subquery(range) => collect(&range.expr, plus, addends),
        Expr::NumberLiteral(_) => add(addends, plus, Counts::Events(None)),
        Expr::VectorSelector(series) => add(addends, plus, counts(series)),
        Expr::MatrixSelector(range) => add(addends, plus, counts(&range.vs)),
        Expr::Call(call) => collect_call(call, plus, addends),
        Expr::Binary(binary) => collect_binary(binary, plus, addends),
        Expr::Aggregate(_) | Expr::StringLiteral(_) | Expr::Extension(_) => false,
    }
}

fn add<'a>(addends: &mut Vec<Addend<'a>>, plus: bool, counts: Counts<'a>) -> bool {
    addends.push(Addend { plus, counts });
    true
}

fn collect_call<'a>(call: &'a Call, plus: bool, addends: &mut Vec<Addend<'a>>) -> bool {
    /// What these make of events still counts them.
    const COUNTING: [&str; 15] = [
        "rate",
        "increase",
        "irate",
        "delta",
        "idelta",
        "sum_over_time",
        "last_over_time",
        "histogram_count",
        "clamp_min",
        "clamp_max",
        "clamp",
        "round",
        "ceil",
        "floor",
        "scalar",
    ];
    let of = |place: usize| call.args.args.get(place).map(|argument| &**argument);
    match (call.func.name, of(0)) {
        (name, Some(first)) if COUNTING.contains(&name) => collect(first, plus, addends),
        ("vector", Some(first)) => number(first).is_some() && add(addends, plus, Counts::Events(None)),
        ("histogram_fraction", Some(lower)) => {
            let upper = of(1).and_then(number).filter(|upper| upper.is_finite());
            match (number(lower).filter(|lower| *lower <= 0.0), upper, of(2)) {
                (Some(_), Some(upper), Some(histogram)) => {
                    add(addends, plus, Counts::Share(upper, only_series(histogram)))
                }
                _ => false,
            }
        }
        _ => false,
    }
}

fn collect_binary<'a>(binary: &'a BinaryExpr, plus: bool, addends: &mut Vec<Addend<'a>>) -> bool {
    let (lhs, rhs) = (&*binary.lhs, &*binary.rhs);
    match binary.op.id() {
        T_ADD => collect(lhs, plus, addends) && collect(rhs, plus, addends),
        T_SUB => collect(lhs, plus, addends) && collect(rhs, !plus, addends),
        T_MUL | T_DIV if number(rhs).is_some_and(|factor| factor > 0.0) => collect(lhs, plus, addends),
        T_MUL if number(lhs).is_some_and(|factor| factor > 0.0) => collect(rhs, plus, addends),
        // A share times the count that it is of.
        T_MUL => match (uses_fraction(lhs), uses_fraction(rhs)) {
            (true, false) => collect(lhs, plus, addends),
            (false, true) => collect(rhs, plus, addends),
            _ => false,
        },
        // What stands in for series that are missing, and what only picks series.
        T_LOR if stands_in(rhs) => collect(lhs, plus, addends),
        T_LAND | T_LUNLESS => collect(lhs, plus, addends),
        T_EQLC | T_NEQ | T_LTE | T_LSS | T_GTE | T_GTR if !binary.return_bool() => {
            collect(lhs, plus, addends)
        }
        _ => false,
    }
}

/// `vector(0)`, `x * 0`, `0 * x`.
fn stands_in(expr: &Expr) -> bool {
    match unwrapped(expr) {
        Expr::Call(call) => call.func.name == "vector",
        Expr::Binary(BinaryExpr { op, lhs, rhs, .. }) => {
            op.id() == T_MUL && (is_number(lhs, 0.0) || is_number(rhs, 0.0))
        }
        _ => false,
    }
}

fn counts(series: &VectorSelector) -> Counts<'_> {
    let bounds = matchers(series, "le");
    match bounds.as_slice() {
        [] if metric(series).ends_with("_bucket") => Counts::Nonsense,
        [] => Counts::Events(Some(series)),
        [only] => match bound(only) {
            Some(f64::INFINITY) => Counts::Events(Some(series)),
            Some(bound) => Counts::Within(bound, series),
            None => Counts::Nonsense,
        },
        _ => Counts::Nonsense,
    }
}

/// `le="0.3"`, and `le=~"0.3|0.30"`, as those write it who do not know how their clients do.
fn bound(matcher: &Matcher) -> Option<f64> {
    let one = |text: &str| match text.trim().replace('\\', "").as_str() {
        "+Inf" | "Inf" => Some(f64::INFINITY),
        text => text.parse::<f64>().ok().filter(|bound| bound.is_finite()),
    };
    match &matcher.op {
        MatchOp::Equal => one(&matcher.value),
        MatchOp::Re(_) => {
            let text = matcher.value.trim().trim_start_matches('^').trim_end_matches('$');
            let text = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')).unwrap_or(text);
            let mut bounds = text.split('|').map(one);
            let first = bounds.next().flatten()?;
            bounds.all(|other| other == Some(first)).then_some(first)
        }
        MatchOp::NotEqual | MatchOp::NotRe(_) => None,
    }
}

// === which answers a series selects ===

/// One way of writing how answers ended: values of good ones and of failed ones.
type Way = (&'static [&'static str], &'static [&'static str]);

const ERROR: [Way; 4] = [(&["false"], &["true"]), (&["0"], &["1"]), (&["none"], &["any"]), (&[""], &["any"])];
const SUCCESS: [Way; 3] = [(&["true"], &["false"]), (&["1"], &["0"]), (&["yes"], &["no"])];
const WORDS: &[&str] =
    &["ok", "OK", "Ok", "success", "SUCCESS", "Success", "succeeded", "Succeeded", "successful", "good"];
/// Statuses by HTTP's numbers and classes, by gRPC's names and numbers, and by one word for every failure.
const STATUSES: [Way; 20] = [
    (
        &["200", "201", "202", "204", "206", "301", "302", "304"],
        &[
            "500", "501", "502", "503", "504", "505", "506", "507", "508", "511", "520", "521", "522", "523",
            "524", "530", "599",
        ],
    ),
    (&["2xx", "3xx"], &["5xx"]),
    (&["2XX", "3XX"], &["5XX"]),
    (&["OK"], &["Unknown", "Internal", "Unavailable", "DataLoss"]),
    (&["OK"], &["UNKNOWN", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"]),
    (&["ok"], &["unknown", "internal", "unavailable", "data_loss"]),
    (&["0"], &["2", "13", "14", "15"]),
    (WORDS, &["error"]),
    (WORDS, &["errors"]),
    (WORDS, &["err"]),
    (WORDS, &["Error"]),
    (WORDS, &["ERROR"]),
    (WORDS, &["failure"]),
    (WORDS, &["Failure"]),
    (WORDS, &["FAILURE"]),
    (WORDS, &["failed"]),
    (WORDS, &["Failed"]),
    (WORDS, &["fail"]),
    (WORDS, &["server_error"]),
    (WORDS, &["SERVER_ERROR"]),
];

/// The ways in which a label tells how answers ended; none where it does not tell.
fn ways(label: &str) -> &'static [Way] {
    match label {
        "error" => &ERROR,
        "success" => &SUCCESS,
        "code"
        | "status"
        | "status_code"
        | "status_class"
        | "http_status"
        | "http_status_code"
        | "http_response_status_code"
        | "response_code"
        | "grpc_code"
        | "grpc_status"
        | "rpc_grpc_status_code"
        | "result"
        | "outcome" => &STATUSES,
        _ => &[],
    }
}

/// Whether a series is of some outcomes only.
fn selects_outcomes(series: &VectorSelector) -> bool {
    let matchers = series.matchers.matchers.iter().chain(series.matchers.or_matchers.iter().flatten());
    matchers.into_iter().any(|matcher| !ways(&matcher.name).is_empty())
}

/// Whether a series is of good answers only, by some label that tells how they ended.
fn is_good(series: &VectorSelector) -> bool {
    series.matchers.or_matchers.is_empty() && series.matchers.matchers.iter().any(takes_good_only)
}

/// Whether a matcher takes answers that are good and none that failed. One that leaves out a single failure (`code!="500"`), or what was asked wrongly
/// (`code!="404"`), keeps the others; one that names what it takes names good answers only, or numbers.
fn takes_good_only(matcher: &Matcher) -> bool {
    let ways = ways(&matcher.name);
    let takes = |values: &[&str]| values.iter().any(|value| matcher.is_match(value));
    if matches!(matcher.op, MatchOp::NotEqual | MatchOp::NotRe(_)) {
        return ways.iter().any(|(good, failed)| takes(good) && !takes(failed));
    }
    let named = matcher.value.trim_matches(['(', ')', '^', '$', ' ']);
    let mut named = named.split('|').map(|one| one.trim_matches(['(', ')']));
    let is_of_numbers = matcher.value.chars().all(|c| !c.is_ascii_alphabetic() || "xXd".contains(c));
    let is_number = || {
        is_of_numbers
            && ways.iter().any(|(good, _)| takes(good))
            && !ways.iter().any(|(_, failed)| takes(failed))
    };
    !ways.is_empty() && named.all(|one| ways.iter().any(|(good, _)| good.contains(&one))) || is_number()
}

// === walking ===

/// Whether a query looks into a histogram.
fn uses_histogram(expr: &Expr) -> bool {
    let of_buckets =
        |series: &&VectorSelector| metric(series).ends_with("_bucket") || !matchers(series, "le").is_empty();
    all_series(expr).iter().any(of_buckets) || calls(expr, |name| name.starts_with("histogram_"))
}

fn uses_fraction(expr: &Expr) -> bool {
    calls(expr, |name| name == "histogram_fraction")
}

/// Whether a query calls a function of this kind.
pub(super) fn calls(expr: &Expr, kind: impl Fn(&str) -> bool) -> bool {
    any(expr, |expr| matches!(expr, Expr::Call(call) if kind(call.func.name)))
}

/// Whether any part of a query is like that.
pub(super) fn any(expr: &Expr, like: impl Fn(&Expr) -> bool) -> bool {
    let mut open = vec![expr];
    while let Some(expr) = open.pop() {
        if like(expr) {
            return true;
        }
        open.extend(parts(expr));
    }
    false
}

/// Whether a query can be walked by recursion: a chain of signs or sums is as deep as it is long.
pub(super) fn is_shallow(expr: &Expr) -> bool {
    const DEPTH_MAX: usize = 300;
    let mut open = vec![(expr, 1)];
    while let Some((expr, depth)) = open.pop() {
        if depth > DEPTH_MAX {
            return false;
        }
        open.extend(parts(expr).into_iter().map(|part| (part, depth + 1)));
    }
    true
}

/// Every series that a query selects.
fn all_series(expr: &Expr) -> Vec<&VectorSelector> {
    let mut found = Vec::new();
    let mut open = vec![expr];
    while let Some(expr) = open.pop() {
        match expr {
            Expr::VectorSelector(series) => found.push(series),
            Expr::MatrixSelector(range) => found.push(&range.vs),
            other => open.extend(parts(other)),
        }
    }
    found
}

/// The only series of a query.
fn only_series(expr: &Expr) -> Option<&VectorSelector> {
    match all_series(expr).as_slice() {
        [only] => Some(only),
        _ => None,
    }
}

/// A query without its parentheses.
pub(super) fn unwrapped(expr: &Expr) -> &Expr {
    match expr {
        Expr::Paren(inner) => unwrapped(&inner.expr),
        other => other,
    }
}

fn number(expr: &Expr) -> Option<f64> {
    match unwrapped(expr) {
        Expr::NumberLiteral(literal) => Some(literal.val),
        Expr::Unary(inner) => number(&inner.expr).map(|value| -value),
        _ => None,
    }
}

fn is_number(expr: &Expr, value: f64) -> bool {
    number(expr) == Some(value)
}

/// The name of a series' metric, also where a matcher says it; empty where neither does.
pub(super) fn metric(series: &VectorSelector) -> &str {
    let named = |matcher: &&Matcher| matcher.name == "__name__" && matcher.op == MatchOp::Equal;
    let by_matcher = || series.matchers.matchers.iter().find(named).map(|matcher| matcher.value.as_str());
    series.name.as_deref().or_else(by_matcher).unwrap_or_default()
}

/// Matchers of a label.
pub(super) fn matchers<'a>(series: &'a VectorSelector, label: &str) -> Vec<&'a Matcher> {
    let alternatives = series.matchers.or_matchers.iter().flatten();
    series.matchers.matchers.iter().chain(alternatives).filter(|matcher| matcher.name == label).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use emac_document::parse_promql;

    fn ratio(numerator: &str, bad: bool, total: &str) -> Good {
        of_ratio(&parse_promql(numerator).unwrap(), bad, Some(&parse_promql(total).unwrap()))
    }

    fn within(bound: f64, metric: &str, of_all: bool) -> Good {
        Good::Within { bound, metric: metric.to_owned(), of_all }
    }

    const BUCKET: &str = "http_seconds_bucket";

    #[test]
    fn buckets_over_all_are_answers_within_a_time() {
        let all = "sum(rate(http_seconds_count[5m]))";
        for good in [
            "http_seconds_bucket{le=\"0.3\"}",
            "sum(rate(http_seconds_bucket{le=\"0.3\"}[{{ .window }}]))",
            "sum by (zone) (increase(http_seconds_bucket{zone=\"a\",le=\"0.30\"}[30d])) or vector(0)",
            "(sum(rate(http_seconds_bucket{le=~\"0.3|0.30\"}[5m])) or sum(rate(http_seconds_count[5m])) * 0)",
            "sum(rate({__name__=\"http_seconds_bucket\",le=\"0.3\"}[5m])) * 60",
            "clamp_min(sum(rate(http_seconds_bucket{le=\"0.3\",job=\"a\"}[5m])) + sum(rate(http_seconds_bucket{le=\"0.3\",job=\"b\"}[5m])), 0)",
        ] {
            assert_eq!(ratio(good, false, all), within(0.3, BUCKET, false), "{good}");
            let slow = format!("{all} - ({good})");
            assert_eq!(ratio(&slow, true, all), within(0.3, BUCKET, false), "{slow}");
            let raw = parse_promql(&format!("({good}) / {all}")).unwrap();
            assert_eq!(of_raw(&raw, false), within(0.3, BUCKET, false), "{good}");
            let raw = parse_promql(&format!("1 - (({good}) / ({all}))")).unwrap();
            assert_eq!(of_raw(&raw, true), within(0.3, BUCKET, false), "{good}");
        }
        let infinite =
            "rate(http_seconds_bucket{le=\"+Inf\"}[5m]) - rate(http_seconds_bucket{le=\"0.3\"}[5m])";
        assert_eq!(ratio(infinite, true, all), within(0.3, BUCKET, false));
    }

    #[test]
    fn good_answers_within_a_time_are_told_from_any() {
        let good = "rate(http_seconds_bucket{le=\"1\",code!~\"5..\"}[5m])";
        for (total, of_all) in [
            ("rate(http_seconds_count[5m])", true),
            ("rate(http_seconds_count{job=\"a\"}[5m])", true),
            ("rate(http_seconds_count{code!~\"5..\"}[5m])", false),
            ("rate(http_seconds_count{code=~\"2..|3..\"}[5m])", false),
        ] {
            assert_eq!(ratio(good, false, total), within(1.0, BUCKET, of_all), "{total}");
        }
        let all = "rate(http_seconds_count[5m])";
        for (label, of_all) in [
            ("code=~\"2..\"", true),
            ("grpc_code=\"OK\"", true),
            ("result!=\"error\"", true),
            ("code=~\"5..\"", false),
            ("code!~\"2..\"", false),
            ("method=\"GET\"", false),
            ("code!~\"5[0-9]{2}\",method=\"GET\"", true),
            ("code!~\"[45]..\"", true),
            ("code=~\"[1-4]..\"", true),
            ("code!~`5\\d\\d`", true),
            ("status_class!=\"5xx\"", true),
            ("grpc_code!~\"Aborted|Unavailable|Internal|Unknown|Unimplemented|DataLoss\"", true),
            ("outcome!=\"SERVER_ERROR\"", true),
            ("result=~\"(ok|success)\"", true),
            ("result=~\"success|timeout\"", false),
            ("grpc_code=~\"OK|DeadlineExceeded\"", false),
            // These leave out some failures, or none, and keep the others.
            ("code!=\"500\"", false),
            ("code!~\"500|502\"", false),
            ("code!=\"404\"", false),
            ("code=~\"1?5..\"", false),
            ("code=~\".+\"", false),
            ("grpc_code!=\"Unavailable\"", false),
            ("result!=\"timeout\"", false),
            ("outcome!=\"CLIENT_ERROR\"", false),
        ] {
            let good = format!("rate(http_seconds_bucket{{le=\"1\",{label}}}[5m])");
            assert_eq!(ratio(&good, false, all), within(1.0, BUCKET, of_all), "{label}");
            let bad = format!("{all} - {good}");
            assert_eq!(ratio(&bad, true, all), within(1.0, BUCKET, of_all), "{label}");
        }
        // A total, or slow ones, of some outcomes: what is left out is counted as if it were fast.
        let some = "rate(http_seconds_count{code!=\"500\"}[5m])";
        assert_eq!(ratio(good, false, some), within(1.0, BUCKET, false));
        assert_eq!(ratio(&format!("{some} - {good}"), true, all), within(1.0, BUCKET, false));
        let slow = "rate(http_seconds_count{code!~\"5..\"}[5m]) - rate(http_seconds_bucket{le=\"1\",code!~\"5..\"}[5m])";
        assert_eq!(ratio(slow, true, all), within(1.0, BUCKET, false));
        let failed_or_slow = format!("rate(http_seconds_count{{code=~\"5..\"}}[5m]) + {slow}");
        assert_eq!(ratio(&failed_or_slow, true, all), within(1.0, BUCKET, false));
    }

    #[test]
    fn native_histograms_too() {
        let count = "histogram_count(sum(rate(http_seconds[5m])))";
        let share = "histogram_fraction(0, 0.2, sum(rate(http_seconds[5m])))";
        assert_eq!(ratio(&format!("{share} * {count}"), false, count), within(0.2, "http_seconds", false));
        assert_eq!(of_raw(&parse_promql(share).unwrap(), false), within(0.2, "http_seconds", false));
        assert_eq!(
            of_raw(&parse_promql(&format!("1 - {share}")).unwrap(), true),
            within(0.2, "http_seconds", false)
        );
        let between = share.replace("(0,", "(0.1,");
        assert_eq!(of_raw(&parse_promql(&between).unwrap(), false), Good::Unclear(ANOTHER_WAY));
    }

    #[test]
    fn what_has_no_time_in_it_is_availability() {
        let all = "sum(rate(http_seconds_bucket{le=\"+Inf\"}[5m]))";
        for (part, bad) in [
            ("sum(rate(http_total{code!~\"5..\"}[5m]))", false),
            ("sum(rate(http_seconds_count{code=~\"5..\"}[5m]))", true),
            ("sum(rate(http_seconds_bucket{le=\"+Inf\",code=~\"5..\"}[5m]))", true),
        ] {
            assert_eq!(ratio(part, bad, all), Good::Answers, "{part}");
        }
    }

    #[test]
    fn what_is_not_read_is_not_guessed() {
        let all = "sum(rate(http_seconds_count[5m]))";
        for (part, bad, why) in [
            ("sum(rate(http_seconds_bucket{le=\"0.3\"}[5m]))", true, FAST_IS_BAD),
            (
                "sum(rate(http_seconds_count[5m])) - sum(rate(http_seconds_bucket{le=\"0.3\"}[5m]))",
                false,
                FAST_IS_BAD,
            ),
            ("sum(rate(http_seconds_bucket[5m]))", false, NO_TIME),
            ("sum(rate(http_seconds_bucket{le!=\"0.3\"}[5m]))", false, NO_TIME),
            ("sum(rate(http_seconds_bucket{le=~\"0.3|0.5\"}[5m]))", false, NO_TIME),
            (
                "rate(http_seconds_bucket{le=\"0.3\"}[5m]) + rate(http_seconds_bucket{le=\"0.5\"}[5m])",
                false,
                SEVERAL_TIMES,
            ),
            ("rate(http_seconds_bucket{le=\"0.3\"}[5m]) + rate(other_total[5m])", false, ANOTHER_WAY),
            ("max(rate(http_seconds_bucket{le=\"0.3\"}[5m]))", false, ANOTHER_WAY),
            ("histogram_quantile(0.9, rate(http_seconds_bucket[5m]))", false, ANOTHER_WAY),
            ("sum(rate(http_latency_good_total[5m]))", false, UNSAID_TIME),
            (
                "sum(rate(http_seconds_sum[5m])) / sum(rate(http_seconds_count[5m])) < bool 0.3",
                false,
                UNSAID_TIME,
            ),
            ("http_seconds < bool 0.3", false, UNSAID_TIME),
            ("http_seconds{quantile=\"0.99\"} < bool 0.3", false, OF_QUANTILE),
            ("job:http:p99 < bool 0.3", false, OF_QUANTILE),
            ("rate(http_seconds_bucket{le=\"0.3\"}[5m]) / rate(http_seconds_count[5m])", false, ANOTHER_WAY),
        ] {
            assert_eq!(ratio(part, bad, all), Good::Unclear(why), "{part}");
        }
        // Of those within a second nearly all may be within 300 ms, and hardly any of all.
        let fast = "sum(rate(http_seconds_bucket{le=\"0.3\"}[5m]))";
        for total in ["sum(rate(http_seconds_bucket{le=\"1\"}[5m]))", "sum(rate(http_seconds_bucket[5m]))"] {
            assert_eq!(ratio(fast, false, total), Good::Unclear(OF_SOME), "{total}");
            assert_eq!(
                of_raw(&parse_promql(&format!("{fast} / {total}")).unwrap(), false),
                Good::Unclear(OF_SOME)
            );
        }
    }
}
