//! A table in which one row compares ours with others.

use std::fmt::Write as _;

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// A cost.
    Lower,
    /// A rate.
    Higher,
}

/// One measurement, ours first.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What was measured.
    pub name: String,
    /// Unit of all numbers of the row.
    pub unit: &'static str,
    /// Which way is better.
    pub better: Better,
    /// What we promised.
    pub target: Option<f64>,
    /// Ours.
    pub ours: Option<f64>,
    /// The others, in the order of the table's heads.
    pub others: Vec<Option<f64>>,
}

impl Row {
    /// How many times better than the best of the others; below 1 is worse.
    pub fn ratio(&self) -> Option<f64> {
        let others = self.others.iter().copied().flatten();
        let (ours, best) = match self.better {
            Better::Lower => (self.ours?, others.min_by(f64::total_cmp)?),
            Better::Higher => (self.ours?, others.max_by(f64::total_cmp)?),
        };
        Some(if self.better == Better::Lower { best / ours } else { ours / best })
    }

    /// Whether the target is met; `None` without target or measurement.
    pub fn met(&self) -> Option<bool> {
        let (ours, target) = (self.ours?, self.target?);
        Some(if self.better == Better::Lower { ours <= target } else { ours >= target })
    }

    fn markdown(&self) -> String {
        let target = match (self.target, self.better) {
            (None, _) => String::new(),
            (Some(target), Better::Lower) => format!("<= {}", number(target)),
            (Some(target), Better::Higher) => format!(">= {}", number(target)),
        };
        let verdict = match self.met() {
            None => "",
            Some(true) => " (met)",
            Some(false) => " (MISSED)",
        };
        let mut line = format!("| {} | {} | {target}{verdict} | {} |", self.name, self.unit, cell(self.ours));
        for other in &self.others {
            let _ = write!(line, " {} |", cell(*other));
        }
        let ratio = self.ratio().map_or_else(|| "-".into(), |ratio| format!("{ratio:.1}x"));
        let _ = writeln!(line, " {ratio} |");
        line
    }
}

/// The rows as a Markdown table; `others` are the heads of the contenders.
pub fn markdown(others: &[&str], rows: &[Row]) -> String {
    let mut text = format!("| measured | unit | target | ours | {} | ours vs best |\n", others.join(" | "));
    text.push_str(&"|---".repeat(5 + others.len()));
    text.push_str("|\n");
    text.extend(rows.iter().map(Row::markdown));
    text
}

fn cell(value: Option<f64>) -> String {
    value.map_or_else(|| "-".into(), number)
}

/// Three significant digits, whole numbers from 100 on.
fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(better: Better, ours: f64) -> Row {
        let others = vec![Some(4.0), None, Some(8.0)];
        Row { name: "x".into(), unit: "ns", better, target: Some(5.0), ours: Some(ours), others }
    }

    #[test]
    fn better_is_better_both_ways() {
        assert_eq!((row(Better::Lower, 2.0).ratio(), row(Better::Lower, 2.0).met()), (Some(2.0), Some(true)));
        assert_eq!(
            (row(Better::Higher, 2.0).ratio(), row(Better::Higher, 2.0).met()),
            (Some(0.25), Some(false))
        );
    }

    #[test]
    fn a_row_reads_as_a_line() {
        let table = markdown(&["a", "b", "c"], &[row(Better::Lower, 6.0)]);
        assert!(
            table.ends_with("| x | ns | <= 5.00 (MISSED) | 6.00 | 4.00 | - | 8.00 | 0.7x |\n"),
            "{table}"
        );
    }
}
