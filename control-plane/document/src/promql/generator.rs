//! Random queries, as people write them: any quotes, escapes, comments, spaces, modifiers before and behind. Seeded, without dependencies.

/// A stream of draws (SplitMix64).
pub(crate) struct Draws(u64);

impl Draws {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1))
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64) as usize
    }

    pub(crate) fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// A query that gives series, and how many selectors it has.
pub(crate) struct Query {
    pub(crate) text: String,
    pub(crate) selectors: usize,
}

pub(crate) fn query(draws: &mut Draws, depth: usize) -> Query {
    let mut made = Made { draws, selectors: 0 };
    let text = made.vector(depth);
    let text = match made.draws.below(6) {
        0 => format!("{text} # it's {{ [ ( all"),
        1 => format!("# about \"it\n{text}"),
        _ => text,
    };
    Query { text, selectors: made.selectors }
}

struct Made<'a> {
    draws: &'a mut Draws,
    selectors: usize,
}

impl Made<'_> {
    fn gap(&mut self) -> &'static str {
        self.draws.one(&[" ", " ", " ", "  ", "\n", "\t", " # why ({[\n"])
    }

    fn duration(&mut self) -> &'static str {
        self.draws.one(&["5m", "1h", "30s", "1d12h", "90m", "{{ .window }}", "{{.window}}", "2w", "1500ms"])
    }

    fn vector(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.leaf();
        }
        let d = depth - 1;
        match self.draws.below(11) {
            0 => format!("({}{})", self.vector(d), self.gap()),
            1 => self.aggregation(d),
            2 => self.parametrised(d),
            3 | 4 => self.arithmetic(d),
            5 => self.many(d),
            6 => format!(
                "{}{}{} ({})",
                self.vector(d),
                self.gap(),
                self.draws.one(&["or", "and", "unless", "and on (zone)"]),
                self.vector(d)
            ),
            7 => format!("-({})", self.vector(d)),
            8 => self.call(d),
            9 => self.compared(d),
            _ => {
                let function =
                    self.draws.one(&["max_over_time", "avg_over_time", "sum_over_time", "last_over_time"]);
                format!(
                    "{function}(({})[{}:{}]{})",
                    self.vector(d),
                    self.duration(),
                    self.draws.one(&["", "1m", "30s"]),
                    self.shift()
                )
            }
        }
    }

    fn leaf(&mut self) -> String {
        match self.draws.below(5) {
            0 => format!("{}{}", self.series(), self.shift()),
            _ => {
                let function = self.draws.one(&[
                    "rate",
                    "increase",
                    "irate",
                    "delta",
                    "count_over_time",
                    "histogram_count(rate",
                ]);
                let close = if function.contains('(') { "))" } else { ")" };
                format!("{function}({}[{}]{}{close}", self.series(), self.duration(), self.shift())
            }
        }
    }

    fn shift(&mut self) -> &'static str {
        self.draws.one(&[
            "",
            "",
            "",
            "",
            " offset 5m",
            " offset -1h30m",
            " @ 1609746000",
            " @ -7.5 offset 1m",
            " @ start()",
            " offset 2w @ end()",
        ])
    }

    fn series(&mut self) -> String {
        self.selectors += 1;
        let metric = self.draws.one(&[
            "x",
            "http_requests_total",
            "job:good:rate5m",
            "sum_of",
            "a:b",
            "origin",
            "by_x",
            "_y",
        ]);
        let matchers: Vec<_> = (0..self.draws.below(4)).map(|_| self.matcher()).collect();
        if matchers.is_empty() {
            return match self.draws.below(4) {
                0 => format!("{metric}{{}}"),
                1 => format!("{{__name__=\"{metric}\"}}"),
                2 => format!("{metric}{}{{ }}", self.gap()),
                _ => metric.to_owned(),
            };
        }
        let gap = self.gap();
        let trailing = self.draws.one(&["", "", ",", " , "]);
        format!(
            "{metric}{}{{{gap}{}{trailing}}}",
            self.draws.one(&["", "", " "]),
            matchers.join(&format!(",{gap}"))
        )
    }

    fn matcher(&mut self) -> String {
        let label =
            self.draws.one(&["code", "zone", "le", "order", "sum", "by", "_a", "job", "on", "offset"]);
        let equal = [
            "\"5..\"",
            "'it\\'s'",
            "`}\\d`",
            "\"\\x41\\u00e9\\101\\n\"",
            "\"é ]}){{ \"",
            "'\\\\'",
            "\"\"",
            "\"# no\"",
        ];
        let like = [
            "\"2..|3..\"",
            "'5[0-9]{2}'",
            "`/v[12]/.*`",
            "\"(a|b)?[^\\\\d{]+\"",
            "\".+\"",
            "\"[[:alpha:]]*?\"",
        ];
        let space = self.draws.one(&["", "", " "]);
        match self.draws.below(4) {
            0 => format!("{label}{space}={space}{}", self.draws.one(&equal)),
            1 => format!("{label}{space}!={}", self.draws.one(&equal)),
            2 => format!("{label}=~{space}{}", self.draws.one(&like)),
            _ => format!("{label}!~{}", self.draws.one(&like)),
        }
    }

    fn grouping(&mut self) -> &'static str {
        self.draws.one(&[
            "by (zone)",
            "by (le, zone)",
            "without (pod, code)",
            "by ()",
            "by(zone,)",
            "without(zone)",
        ])
    }

    fn aggregation(&mut self, depth: usize) -> String {
        let op = self.draws.one(&["sum", "max", "avg", "count", "group", "stddev", "SUM"]);
        let inner = self.vector(depth);
        match self.draws.below(3) {
            0 => format!("{op}({inner})"),
            1 => format!("{op} {} ({inner})", self.grouping()),
            _ => format!("{op}({inner}) {}", self.grouping()),
        }
    }

    /// The parameter reads series, too.
    fn parametrised(&mut self, depth: usize) -> String {
        match self.draws.below(4) {
            0 => format!("topk(3, {})", self.vector(depth)),
            1 => format!("quantile(scalar({}), {}) by (zone)", self.vector(0), self.vector(depth)),
            2 => format!("count_values(\"v\", {})", self.vector(depth)),
            _ => format!("bottomk by (zone) (scalar({}), {})", self.vector(0), self.vector(depth)),
        }
    }

    fn arithmetic(&mut self, depth: usize) -> String {
        let op = self.draws.one(&["+", "-", "*", "/", "%", "^", "atan2"]);
        match self.draws.below(5) {
            0 => format!("{}{}{op} {}", self.number(), self.gap(), self.vector(depth)),
            1 => format!("{} {op} {}", self.vector(depth), self.number()),
            2 => format!("({}) {op} ignoring (code) ({})", self.vector(depth), self.vector(depth)),
            _ => format!("{}{}{op}{}{}", self.vector(depth), self.gap(), self.gap(), self.vector(depth)),
        }
    }

    fn many(&mut self, depth: usize) -> String {
        let matching = self.draws.one(&[
            "on (zone) group_left ()",
            "on(zone) group_left (pod)",
            "ignoring (code) group_right(x)",
            "on()",
        ]);
        format!("({}) * {matching} ({})", self.vector(depth), self.vector(depth))
    }

    fn number(&mut self) -> &'static str {
        self.draws.one(&["1", "0.5", "-1", "1e-9", "0x1f", "Inf", "3e20", ".25", "-(1)", "1 ^ -2"])
    }

    fn call(&mut self, depth: usize) -> String {
        match self.draws.below(6) {
            0 => format!("histogram_quantile(0.99, {})", self.vector(depth)),
            1 => format!("clamp_max({}, {})", self.vector(depth), self.number()),
            2 => format!("label_replace({}, 'a', \"$1\", `b`, \"(.*)\")", self.vector(depth)),
            3 => format!("vector(scalar({}))", self.vector(depth)),
            4 => format!("histogram_fraction(0, 0.4, {})", self.vector(depth)),
            _ => format!("abs({})", self.vector(depth)),
        }
    }

    fn compared(&mut self, depth: usize) -> String {
        let op = self.draws.one(&["==", "!=", ">", "<", ">=", "<="]);
        format!("({} {op} {}{})", self.vector(depth), self.draws.one(&["", "bool "]), self.vector(depth))
    }
}
