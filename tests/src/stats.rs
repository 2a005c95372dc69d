//! Prometheus text (what Envoy's `/stats/prometheus` and the control plane's `/metrics` print), read into samples.
//!
//! Only what questions of tests need: names, labels, values. Comments, types and timestamps are skipped; a line that is not a
//! sample is skipped too, as a scenario asks for a value and fails when it is not there.

use std::collections::BTreeMap;

/// One line of an exposition.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Metric name, with its suffix (`_bucket`, `_sum`, `_count`) for histograms.
    pub name: String,
    /// By name.
    pub labels: BTreeMap<String, String>,
    /// As printed.
    pub value: f64,
}

/// All samples of one scrape.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Samples(pub Vec<Sample>);

impl Samples {
    /// Reads an exposition.
    pub fn parse(text: &str) -> Self {
        Self(text.lines().filter(|l| !l.starts_with('#')).filter_map(parse_line).collect())
    }

    /// Samples of that name with at least these labels.
    pub fn select<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&'a str, &'a str)],
    ) -> impl Iterator<Item = &'a Sample> {
        let has = |s: &Sample, (k, v): &(&str, &str)| s.labels.get(*k).is_some_and(|x| x == v);
        self.0.iter().filter(move |s| s.name == name && labels.iter().all(|l| has(s, l)))
    }

    /// Sum over [`Samples::select`]; 0 when there is none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.select(name, labels).map(|s| s.value).sum()
    }

    /// Whether any sample has that name.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|s| s.name == name)
    }

    /// Sum of `name` per value of `label`.
    pub fn by(&self, name: &str, label: &str) -> BTreeMap<String, f64> {
        let mut sums = BTreeMap::new();
        for sample in self.select(name, &[]) {
            let key = sample.labels.get(label).cloned().unwrap_or_default();
            *sums.entry(key).or_insert(0.0) += sample.value;
        }
        sums
    }
}

fn parse_line(line: &str) -> Option<Sample> {
    let (head, labels, rest) = match line.split_once('{') {
        Some((name, tail)) => {
            let (labels, rest) = parse_labels(tail)?;
            (name, labels, rest)
        }
        None => {
            let (name, rest) = line.split_once(' ')?;
            (name, BTreeMap::new(), rest)
        }
    };
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Sample { name: head.trim().to_owned(), labels, value })
}

/// Labels up to the closing brace, and what follows it.
fn parse_labels(mut text: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        text = text.trim_start_matches([',', ' ']);
        if let Some(rest) = text.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, tail) = text.split_once("=\"")?;
        let (value, rest) = parse_quoted(tail)?;
        labels.insert(name.to_owned(), value);
        text = rest;
    }
}

/// A value up to its closing quote, unescaped, and what follows it.
fn parse_quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            _ => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_labels_and_values() {
        let text = "# TYPE a counter\na{x=\"1\",y=\"p \\\"q\\\" \\\\ }\"} 3\na{x=\"2\"} 4 1700000000\nb 0.5\nnonsense\n";
        let samples = Samples::parse(text);
        assert_eq!(samples.0.len(), 3);
        assert_eq!(samples.sum("a", &[]), 7.0);
        assert_eq!(samples.sum("a", &[("x", "2")]), 4.0);
        assert_eq!(samples.0[0].labels["y"], "p \"q\" \\ }");
        assert_eq!(samples.sum("b", &[]), 0.5);
        assert_eq!(samples.by("a", "x"), BTreeMap::from([("1".into(), 3.0), ("2".into(), 4.0)]));
        assert!(!samples.has("c"));
    }
}
