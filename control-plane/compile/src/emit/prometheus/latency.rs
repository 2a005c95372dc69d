//! Quantiles of latency, and when they cannot be believed.
//!
//! `histogram_quantile` answers with the end of the last finite bucket when the quantile lies beyond it: with buckets up to 0.3 s it never says more,
//! and a threshold of 0.4 s is never missed. Whether it does lie beyond is in the buckets: less than the quantile's share of requests
//! is in the finite ones.

use emac_core::units::Ratio;
use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::{Expr, LabelModifier, NumberLiteral};

use super::LatencySli;
use super::promql::selector;
use emac_document::{
    each_selector_mut, match_all, parse_generated, parse_promql, selectors, unit, with_window, write_promql,
};

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

    fn share_mut(&mut self) -> Option<&mut Expr> {
        let mut at = &mut self.query;
        while let Expr::Paren(of) = at {
            at = &mut of.expr;
        }
        let Expr::Call(call) = at else { return None };
        let is_quantile = call.func.name == "histogram_quantile";
        call.args
            .args
            .first_mut()
            .filter(|arg| is_quantile && matches!(***arg, Expr::NumberLiteral(_)))
            .map(|arg| &mut **arg)
    }

    /// The histogram, and the share that is asked for.
    fn histogram(&self) -> Option<(f64, &Expr)> {
        let mut at = &self.query;
        while let Expr::Paren(of) = at {
            at = &of.expr;
        }
        let Expr::Call(call) = at else { return None };
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
        assert_eq!(at("job:latency:p95"), None);
        assert_eq!(at("histogram_quantile(scalar(q), x)"), None);
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
