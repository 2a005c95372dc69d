//! Quantiles of latency, and when they cannot be believed.
//!
//! `histogram_quantile` answers with the end of the last finite bucket when the quantile lies beyond it: with buckets up to 0.3 s it never says more,
//! and a threshold of 0.4 s is never missed. Whether it does lie beyond is in the buckets: less than the quantile's share of requests
//! is in the finite ones.

use emac_core::units::Ratio;
use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::token::{T_DIV, T_MUL, TokenType};
use promql_parser::parser::{BinaryExpr, Call, Expr, LabelModifier, NumberLiteral, VectorSelector};

use super::LatencySli;
use super::promql::selector;
use emac_document::{
    each_selector_mut, match_all, parse_generated, parse_promql, selectors, unit, with_window, write_promql,
};

/// The journey's latency as the control plane adds it up, in seconds.
const CONTROL_PLANE: &str = "journey_latency_seconds_bucket";
/// The same as each sidecar at the edge counts it, in milliseconds.
const SIDECARS: &str = "journey_latency_milliseconds_bucket";

/// A quantile's query over one window.
#[derive(Clone, Debug)]
pub struct Quantile {
    query: Expr,
    seconds: f64,
}

/// Answers within a time, and all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Within {
    /// PromQL.
    pub good: String,
    /// PromQL.
    pub total: String,
    /// Asked of the bucket that ends at the time, which the histogram must have; otherwise of a native histogram.
    pub of_bucket: bool,
}

impl LatencySli {
    /// Its query over a window.
    pub(super) fn at(&self, window: &str) -> Quantile {
        Quantile::of(&self.query, window, 300.0).unwrap_or_else(|| Quantile {
            query: Expr::NumberLiteral(NumberLiteral::new(f64::NAN)),
            seconds: 300.0,
        })
    }
}

impl Quantile {
    /// A query over a window of so many seconds; `None` when it is no PromQL.
    pub fn of(query: &str, window: &str, seconds: f64) -> Option<Self> {
        let query = parse_promql(&with_window(query, window)).ok()?;
        let query = match query.value_type() {
            promql_parser::parser::value::ValueType::Scalar => {
                parse_generated(&format!("vector({})", write_promql(&query))).ok()?
            }
            _ => query,
        };
        Some(Self { query, seconds })
    }

    /// As PromQL.
    pub fn query(&self) -> String {
        write_promql(&self.query)
    }

    /// Only of series with a label.
    #[must_use]
    pub fn of_series(mut self, matcher: &Matcher) -> Self {
        match_all(&mut self.query, matcher);
        self
    }

    /// The same of another share; `None` where the query is no `histogram_quantile` of a number.
    #[must_use]
    pub fn with_share(mut self, share: Ratio) -> Option<Self> {
        *self.share_mut()? = Expr::NumberLiteral(NumberLiteral::new(share.get()));
        Some(self)
    }

    /// The same of the sidecars' histogram where it reads the control plane's: that one is of all pods, a sidecar's has the labels of its pod. Theirs is
    /// in milliseconds.
    #[must_use]
    pub fn of_sidecars(mut self) -> Self {
        let is_ours = |series: &VectorSelector| series.name.as_deref() == Some(CONTROL_PLANE);
        let read = selectors(&self.query);
        if read.is_empty() || !read.into_iter().all(is_ours) || self.histogram().is_none() {
            return self;
        }
        each_selector_mut(&mut self.query, &mut |series| series.name = Some(SIDECARS.to_owned()));
        let (lhs, rhs) = (Box::new(self.query), Box::new(Expr::NumberLiteral(NumberLiteral::new(1000.0))));
        let query = Expr::Binary(BinaryExpr { op: TokenType::new(T_DIV), lhs, rhs, modifier: None });
        Self { query, ..self }
    }

    /// Whether it reads the histogram that sidecars expose.
    pub fn is_of_sidecars(&self) -> bool {
        selectors(&self.query).iter().any(|series| series.name.as_deref() == Some(SIDECARS))
    }

    fn share_mut(&mut self) -> Option<&mut Expr> {
        let call = called_mut(&mut self.query)?;
        let is_quantile = call.func.name == "histogram_quantile";
        call.args
            .args
            .first_mut()
            .filter(|arg| is_quantile && matches!(***arg, Expr::NumberLiteral(_)))
            .map(|arg| &mut **arg)
    }

    /// The histogram, and the share that is asked for.
    fn histogram(&self) -> Option<(f64, &Expr)> {
        let call = called(&self.query)?;
        match call.args.args.iter().map(|arg| &**arg).collect::<Vec<_>>().as_slice() {
            [Expr::NumberLiteral(share), of] if call.func.name == "histogram_quantile" => {
                Some((share.val, of))
            }
            _ => None,
        }
    }

    /// Requests at or below a bucket's end, by that end, where the histogram has buckets of its own series.
    fn buckets(&self, op: MatchOp) -> Option<String> {
        let (_, of) = self.histogram()?;
        let by_bucket = has_buckets(of);
        let mut of = of.clone();
        let end = Matcher::new(op, "le", "+Inf");
        each_selector_mut(&mut of, &mut |series| series.matchers.matchers.push(end.clone()));
        by_bucket.then(|| format!("max without (le) ({})", write_promql(&of)))
    }

    /// Answers within a time, asked of the same histogram; `None` where the query is no quantile of one.
    pub fn within(&self, seconds: f64) -> Option<Within> {
        let (_, of) = self.histogram()?;
        if !has_buckets(of) {
            let of = write_promql(of);
            let total = format!("histogram_count({of})");
            let good = format!("histogram_fraction(0, {seconds}, {of}) * {total}");
            return Some(Within { good, total, of_bucket: false });
        }
        let ended = |series: &&promql_parser::parser::VectorSelector| {
            series.matchers.matchers.iter().any(|by| by.name == "le")
        };
        if selectors(of).iter().any(ended) {
            return None;
        }
        let of_bucket = |end: Matcher| {
            let mut of = of.clone();
            each_selector_mut(&mut of, &mut |series| series.matchers.matchers.push(end.clone()));
            format!("sum without (le) ({})", write_promql(&of))
        };
        // Whole numbers are written `1` or `1.0`, as the client or Prometheus does.
        let end = match seconds.fract() == 0.0 {
            false => Matcher::new(MatchOp::Equal, "le", &seconds.to_string()),
            true => selector(&format!("x{{le=~\"{seconds}|{seconds}.0\"}}"))?.matchers.pop()?,
        };
        let all = Matcher::new(MatchOp::Equal, "le", "+Inf");
        Some(Within { good: of_bucket(end), total: of_bucket(all), of_bucket: true })
    }

    /// Holds where the quantile lies beyond the last bucket and that ends at or below a limit.
    pub fn beyond_last_bucket(&self, limit: &str) -> Option<String> {
        let (share, _) = self.histogram()?;
        let (finite, all) = (self.buckets(MatchOp::NotEqual)?, self.buckets(MatchOp::Equal)?);
        Some(format!("({} <= {limit}) and ({finite} < {share} * {all})", self.query()))
    }

    /// The quantile where it can be compared with a limit, else NaN: at or below it, when it lies within the buckets; above it, when enough requests
    /// were measured, or half of them were slower.
    pub fn judged(&self, limit: &str) -> String {
        let value = self.query();
        let Some((share, of)) = self.histogram() else { return value };
        let below = format!("({value} <= bool {limit})");
        let below = match (self.buckets(MatchOp::NotEqual), self.buckets(MatchOp::Equal)) {
            (Some(finite), Some(all)) => format!("{below} * ({finite} >= bool {share} * {all})"),
            _ => below,
        };
        let counted = match self.buckets(MatchOp::Equal) {
            Some(all) => Some(all),
            None if !has_buckets(of) => Some(format!("histogram_count({})", write_promql(of))),
            None => None,
        };
        let above = format!("({value} > bool {limit})");
        let above = match (counted, unit(of), self.clone().with_share(Ratio::new(0.5).unwrap_or_default())) {
            (Some(counted), Some(unit), Some(median)) => {
                let enough = 3.0 / (1.0 - share).max(1e-6);
                let events = super::round(unit.events(self.seconds));
                let enough = format!("({counted} * {events} >= bool {})", super::round(enough));
                format!("{above} * ({enough} + ({} > bool {limit}))", median.query())
            }
            _ => above,
        };
        format!("{value} + 0 / ({below} + {above})")
    }
}

/// The call that a query is, perhaps in another unit: `histogram_quantile(...) / 1000`.
fn called(expr: &Expr) -> Option<&Call> {
    match expr {
        Expr::Paren(of) => called(&of.expr),
        Expr::Binary(of) if is_scaled(of) => called(&of.lhs),
        Expr::Call(call) => Some(call),
        _ => None,
    }
}

/// As [`called`].
fn called_mut(expr: &mut Expr) -> Option<&mut Call> {
    match expr {
        Expr::Paren(of) => called_mut(&mut of.expr),
        Expr::Binary(of) if is_scaled(of) => called_mut(&mut of.lhs),
        Expr::Call(call) => Some(call),
        _ => None,
    }
}

fn is_scaled(of: &BinaryExpr) -> bool {
    [T_MUL, T_DIV].contains(&of.op.id()) && matches!(&*of.rhs, Expr::NumberLiteral(by) if by.val > 0.0)
}

/// Whether a histogram is one series for each bucket: it keeps `le`, or reads what is named so.
fn has_buckets(of: &Expr) -> bool {
    let named = |name: &str| name.ends_with("_bucket");
    let read = selectors(of);
    let mut names = read.iter().filter_map(|series| series.name.as_deref());
    names.any(named) || keeps_le(of)
}

fn keeps_le(of: &Expr) -> bool {
    match of {
        Expr::Paren(of) => keeps_le(&of.expr),
        Expr::Aggregate(of) => {
            matches!(&of.modifier, Some(LabelModifier::Include(labels)) if labels.labels.iter().any(|label| label == "le"))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantile(query: &str) -> Quantile {
        Quantile::of(query, "5m", 300.0).unwrap()
    }

    #[test]
    fn a_share_is_exchanged_where_it_is_a_number() {
        let at = |query: &str| quantile(query).with_share(Ratio::new(0.99).unwrap()).map(|q| q.query());
        assert_eq!(
            at("(histogram_quantile(0.95, sum(rate(x_bucket[{{.window}}])) by (le))) # p95").as_deref(),
            Some("(histogram_quantile(0.99, sum by (le) (rate(x_bucket[5m]))))")
        );
        assert_eq!(
            at("histogram_quantile(0.95, sum(rate(x_bucket[{{.window}}])) by (le)) / 1000").as_deref(),
            Some("histogram_quantile(0.99, sum by (le) (rate(x_bucket[5m]))) / 1000")
        );
        assert_eq!(at("job:latency:p95"), None);
        assert_eq!(at("histogram_quantile(scalar(q), x)"), None);
    }

    #[test]
    fn a_canary_is_measured_by_its_own_sidecars() {
        let of = |query: &str| quantile(query).of_sidecars().query();
        let own =
            "histogram_quantile(0.95, sum(rate(journey_latency_seconds_bucket{journey=\"a\"}[5m])) by (le))";
        let made = of(own);
        assert_eq!(
            made,
            "histogram_quantile(0.95, sum by (le) (rate(journey_latency_milliseconds_bucket{journey=\"a\"}[5m]))) / 1000"
        );
        let median = quantile(&made).with_share(Ratio::new(0.5).unwrap()).unwrap().query();
        assert_eq!(median, made.replace("0.95", "0.5"), "another share of the same");
        assert!(quantile(&made).beyond_last_bucket("0.4").is_some());
        for other in ["histogram_quantile(0.95, x_bucket)", "journey_latency_seconds_bucket", "1"] {
            assert_eq!(of(other), quantile(other).query(), "not ours");
        }
    }

    #[test]
    fn what_lies_beyond_the_last_bucket_is_told_of_classic_histograms_only() {
        let beyond = |query: &str| quantile(query).beyond_last_bucket("0.4");
        assert_eq!(
            beyond("histogram_quantile(0.95, sum by (le) (rate(x_bucket[{{.window}}])))").as_deref(),
            Some(
                "(histogram_quantile(0.95, sum by (le) (rate(x_bucket[5m]))) <= 0.4) and (max without (le) (sum by (le) (rate(x_bucket{le!=\"+Inf\"}[5m]))) < 0.95 * max without (le) (sum by (le) (rate(x_bucket{le=\"+Inf\"}[5m]))))"
            )
        );
        assert_eq!(
            beyond("histogram_quantile(0.95, rate(x_bucket[{{.window}}])) / 1000").as_deref(),
            Some(
                "(histogram_quantile(0.95, rate(x_bucket[5m])) / 1000 <= 0.4) and (max without (le) (rate(x_bucket{le!=\"+Inf\"}[5m])) < 0.95 * max without (le) (rate(x_bucket{le=\"+Inf\"}[5m])))"
            )
        );
        assert_eq!(beyond("histogram_quantile(0.95, sum(rate(x[{{.window}}])))"), None);
        assert_eq!(beyond("job:latency:p95"), None);
        for query in [
            "histogram_quantile(0.95, sum(rate(x[5m])))",
            "histogram_quantile(0.95, sum by (le) (rate(x[5m])))",
            "job:latency:p95",
            "1",
        ] {
            assert!(parse_generated(&quantile(query).judged("0.4")).is_ok(), "{query}");
        }
    }
}
