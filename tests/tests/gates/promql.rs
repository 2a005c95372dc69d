//! PromQL beside Prometheus's own parser: of random queries, right and wrong ones, both say the same of whether it is one, and what we write of a query means to
//! Prometheus what the query did. The generator knows nothing of ours.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use emac_compile::emit::prometheus::Events;
use emac_compile::emit::prometheus::promql::with_matcher;
use emac_document::{InvalidPromql, parse_promql, selectors, with_window, write_promql};
use emac_tests::not_run;
use fastrand::Rng;
use serde_json::Value;

use super::live::Live;

struct Made<'a>(&'a mut Rng);

impl Made<'_> {
    fn one(&mut self, of: &[&'static str]) -> &'static str {
        of[self.0.usize(0..of.len())]
    }

    fn below(&mut self, end: u8) -> u8 {
        self.0.u8(0..end)
    }

    fn gap(&mut self) -> &'static str {
        self.one(&["", "", "", " ", " ", "\n", "\t ", " # it's \"a [ comment\n"])
    }

    fn number(&mut self) -> &'static str {
        self.one(&[
            "1", "0", "0.5", ".5", "5.", "1e-9", "1E+3", "0x1F", "0XaB", "017", "0b1", "1_000", "Inf",
            "+Inf", "-inf", "NaN", "nan", "1e400", "4.2e", "00.5", "1e3",
        ])
    }

    fn duration(&mut self) -> &'static str {
        self.one(&[
            "5m",
            "5m",
            "5m",
            "1h",
            "1h30m",
            "1d12h",
            "2w",
            "1y",
            "100ms",
            "1m30s500ms",
            "90",
            "5m30",
            "30m1h",
            "0s",
            "1.5h",
            "-5m",
            "5 m",
            "300y",
            "{{ .window }}",
            "1h1h",
            "5M",
            "",
            "1e3",
            "2*5m",
        ])
    }

    fn good_duration(&mut self) -> &'static str {
        self.one(&["5m", "1h", "1h30m", "1d12h", "2w", "100ms", "1m30s", "1y"])
    }

    fn window(&mut self) -> &'static str {
        if self.below(8) == 0 { self.duration() } else { self.good_duration() }
    }

    fn text(&mut self) -> &'static str {
        self.one(&[
            "\"b\"",
            "'b'",
            "`b`",
            "\"\"",
            "''",
            "``",
            "\"it's\"",
            "'say \"x\"'",
            "\"\\\"\"",
            "'\\''",
            "`\\`",
            "\"\\n\\t\\\\\"",
            "\"\\x41\\101\\u00e9\"",
            "\"\\xc3\\xa9\"",
            "\"\\xff\"",
            "\"\\q\"",
            "'\\\"'",
            "\"\\'\"",
            "\"é 負 🔥\"",
            "\"{{ x }}\"",
            "\"a#b\"",
            "'}'",
            "\"\\U0001f525\"",
            "\"\\ud800\"",
            "\"\\8\"",
            "\"\\0\"",
            "\"new\nline\"",
            "`new\nline`",
            "\"\\a\\b\\f\\v\\r\"",
        ])
    }

    fn pattern(&mut self) -> &'static str {
        self.one(&[
            "\"5..\"",
            "'2..|3..'",
            "`5\\d{2}`",
            "\"5\\\\d+\"",
            "\".*\"",
            "\".+\"",
            "\"\"",
            "\"[a\"",
            "\"(a\"",
            "\"a**\"",
            "\"a{1001}\"",
            "\"(?i)a\"",
            "\"(?x)a\"",
            "\"\\\\pL\"",
            "\"\\\\p{Greek}\"",
            "\"[[:alpha:]]\"",
            "\"a|\"",
            "\"[^a-z]\"",
            "\"(?P<n>a)\"",
            "\"(?<n>a)\"",
            "\"(?=a)\"",
            "\"\\\\1\"",
            "\"[a&&b]\"",
            "\"a{2}{3}\"",
            "\"a{,3}\"",
            "\"[]a]\"",
            "\"[\\\\d-z]\"",
            "\"^a$\"",
            "\"\\\\Aa\\\\z\"",
            "\"\\\\Qa.b\\\\E\"",
            "\"\\\\C\"",
            "\"a{3,2}\"",
            "\"x*?\"",
            "\"é+\"",
            "\"[z-a]\"",
            "\"\\\\x{1F525}\"",
            "\"\\\\u00e9\"",
            "\"\\\\e\"",
            "\"\\\\-\"",
            "\"\\\\é\"",
            "\"\\\\/\"",
            "\"(?s:.)\"",
            "\"(?U)a+\"",
            "\"\\\\b\\\\B\"",
            "\"\\\\07\"",
            "\"a{1,1000}\"",
            "\"(a{100}){20}\"",
            "\"\\\\h\"",
            "\"\\\\Z\"",
            "\"(?#c)a\"",
            "\"{\"",
            "\"a{\"",
            "\"]\"",
            "\"}\"",
            "\"*a\"",
            "\"a|*\"",
            "\"(?:)\"",
            "\"()\"",
        ])
    }

    fn label(&mut self) -> &'static str {
        self.one(&[
            "code",
            "zone",
            "le",
            "job",
            "_a",
            "by",
            "on",
            "sum",
            "offset",
            "bool",
            "and",
            "inf",
            "nan",
            "start",
            "end",
            "group_left",
            "atan2",
            "rate",
            "__name__",
            "\"a.b\"",
            "'c-d'",
            "a1",
            "step",
            "range",
            "without",
            "ignoring",
            "unless",
            "fill",
        ])
    }

    fn matcher(&mut self) -> String {
        let (label, gap) = (self.label(), self.gap());
        match self.below(5) {
            0 | 1 => format!("{label}{gap}={gap}{}", self.text()),
            2 => format!("{label}{gap}!={}", self.text()),
            3 => format!("{label}=~{}", self.pattern()),
            _ => format!("{label}!~{gap}{}", self.pattern()),
        }
    }

    fn series(&mut self) -> String {
        let name = self.one(&[
            "x",
            "x",
            "x",
            "http_requests_total",
            "job:x:rate5m",
            "_y",
            "a1",
            "sum_of",
            "by_x",
            "origin",
            "infinite",
            "nano",
            ":a",
            "start",
            "end",
            "step",
            "range",
            "bool",
            "rate",
            "sum",
            "by",
            "offset",
            "inf",
            "Inf1",
            "atan2",
            "fill",
            "smoothed",
            "anchored",
            "max_of",
            "and_x",
            "é",
        ]);
        match self.below(10) {
            0..=2 => name.to_owned(),
            3 => format!("{{{}}}", self.matcher()),
            4 => format!("{{__name__=\"{name}\"{}}}", self.one(&["", ",", ",a=\"b\""])),
            5 => format!("{{\"{name}\"{}}}", self.one(&["", ",", ", a=\"b\""])),
            6 => self
                .one(&[
                    "{}",
                    "x{}",
                    "{a=\"\"}",
                    "{a!=\"b\"}",
                    "{a=~\".*\"}",
                    "{a=~\".+\"}",
                    "{\"a.b\"}",
                    "{\"a.b\", c=\"d\"}",
                    "{\"a.b\",\"c\"}",
                    "x{\"y\"}",
                    "x {a='b'}",
                    "{'a b'}",
                    "x{,}",
                    "x{a='b',,}",
                    "{a='b' or c='d'}",
                ])
                .to_owned(),
            _ => {
                let all: Vec<_> = (0..=self.below(2)).map(|_| self.matcher()).collect();
                format!("{name}{}{{{}{}}}", self.gap(), all.join(","), self.one(&["", "", ","]))
            }
        }
    }

    fn shift(&mut self) -> String {
        match self.below(12) {
            0 => format!(" offset {}", self.window()),
            1 => format!(" offset -{}", self.good_duration()),
            2 => format!(" @ {}", self.number()),
            3 => self
                .one(&[
                    " @ start()",
                    " @ end()",
                    " @end()",
                    " @ start",
                    " @ -1.5",
                    " @ 1609746000.123",
                    " @ 1e10",
                    " @ 9e18",
                    " @ now()",
                ])
                .to_owned(),
            4 => format!(" offset {} @ 10", self.good_duration()),
            5 => self
                .one(&[
                    " OFFSET 5m",
                    " offset 5m offset 5m",
                    " @ 1 @ 2",
                    " @ 5 offset -1m",
                    " offset 5",
                    " offset (5m)",
                    " smoothed",
                    " anchored",
                ])
                .to_owned(),
            _ => String::new(),
        }
    }

    fn range(&mut self, depth: usize) -> String {
        match self.below(8) {
            0 => format!(
                "{}[{}:{}]{}",
                self.vector(depth),
                self.window(),
                self.one(&["", "1m", "30s", "0s", "5"]),
                self.shift()
            ),
            1 => format!(
                "({})[{}:{}]{}",
                self.vector(depth),
                self.window(),
                self.one(&["", "1m"]),
                self.shift()
            ),
            2 => format!("{}{}[{}]", self.series(), self.shift(), self.window()),
            3 => format!("{}[{}:1m]", self.number(), self.window()),
            4 => format!("({})[5m]", self.series()),
            _ => format!(
                "{}{}[{}{}{}]{}",
                self.series(),
                self.gap(),
                self.one(&["", "", " "]),
                self.window(),
                self.one(&["", "", " "]),
                self.shift()
            ),
        }
    }

    fn names(&mut self) -> String {
        let all: Vec<_> = (0..self.below(3)).map(|_| self.label()).collect();
        format!("({}{})", all.join(","), if all.is_empty() { "" } else { self.one(&["", "", ","]) })
    }

    fn vector(&mut self, depth: usize) -> String {
        if depth == 0 {
            return if self.0.bool() {
                format!("{}{}", self.series(), self.shift())
            } else {
                format!("rate({})", self.range(0))
            };
        }
        let d = depth - 1;
        match self.below(16) {
            0 => format!("({}{})", self.gap(), self.vector(d)),
            1 | 2 => {
                let op = self
                    .one(&["sum", "avg", "max", "min", "count", "group", "stddev", "stdvar", "SUM", "Sum"]);
                let by = format!("{}{}", self.one(&["by", "without", "BY"]), self.names());
                match self.below(5) {
                    0 => format!("{op}({})", self.vector(d)),
                    1 => format!("{op} {by} ({})", self.vector(d)),
                    2 => format!("{op}{}({}){}{by}", self.gap(), self.vector(d), self.gap()),
                    3 => format!("{op} {by}{} ({}) {by}", "", self.vector(d)),
                    _ => format!("{op}({},)", self.vector(d)),
                }
            }
            3 => match self.below(7) {
                0 => format!("topk({}, {})", self.scalar(d), self.vector(d)),
                1 => format!("quantile by (a) ({}, {})", self.scalar(d), self.vector(d)),
                2 => format!("count_values({}, {})", self.text(), self.vector(d)),
                3 => format!("topk({})", self.vector(d)),
                4 => format!("sum(1, {})", self.vector(d)),
                5 => format!("limitk(2, {})", self.vector(d)),
                _ => format!("bottomk(2, {}) by {}", self.vector(d), self.names()),
            },
            4..=6 => self.binary(d),
            7 => format!("{}{}{}", self.one(&["-", "-", "--", "- ", "- -"]), self.gap(), self.vector(d)),
            8..=10 => self.call(d),
            11 => {
                let function = self.one(&[
                    "rate",
                    "increase",
                    "irate",
                    "delta",
                    "idelta",
                    "deriv",
                    "changes",
                    "resets",
                    "avg_over_time",
                    "max_over_time",
                    "sum_over_time",
                    "count_over_time",
                    "last_over_time",
                    "present_over_time",
                    "absent_over_time",
                    "stddev_over_time",
                    "mad_over_time",
                    "first_over_time",
                    "ts_of_max_over_time",
                ]);
                format!("{function}({})", self.range(d))
            }
            12 => format!("quantile_over_time({}, {})", self.scalar(d), self.range(d)),
            13 => format!("vector({})", self.scalar(d)),
            _ => self.vector(0),
        }
    }

    fn scalar(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.number().to_owned();
        }
        match self.below(8) {
            0 => format!("scalar({})", self.vector(depth - 1)),
            1 => self.one(&["time()", "pi()", "time", "now()"]).to_owned(),
            2 => format!(
                "({} {} {})",
                self.scalar(depth - 1),
                self.one(&["+", "-", "*", "/", "%", "^", "atan2"]),
                self.scalar(depth - 1)
            ),
            3 => format!(
                "({} {} {})",
                self.number(),
                self.one(&[">", "> bool ", "== bool", "==", "and"]),
                self.number()
            ),
            4 => format!("-{}", self.scalar(depth - 1)),
            _ => self.number().to_owned(),
        }
    }

    fn binary(&mut self, depth: usize) -> String {
        let op = self.one(&[
            "+", "-", "*", "/", "%", "^", "atan2", "==", "!=", ">", "<", ">=", "<=", "and", "or", "unless",
            "> bool", "== bool", "+ bool", "AND", "=",
        ]);
        let side = |made: &mut Self| match made.below(6) {
            0 => made.scalar(depth),
            1 => format!("({})", made.vector(depth)),
            _ => made.vector(depth),
        };
        let (lhs, rhs) = (side(self), side(self));
        let matching = match self.below(8) {
            0 => format!("on {}", self.names()),
            1 => format!("ignoring{}", self.names()),
            2 => format!("on{} group_left{}", self.names(), self.names()),
            3 => format!("ignoring{} group_right {}", self.names(), self.names()),
            4 => self
                .one(&[
                    "on(a) group_left",
                    "group_left(a)",
                    "on(a) group_left(a)",
                    "on() bool",
                    "on(a) fill(0)",
                ])
                .to_owned(),
            _ => String::new(),
        };
        format!("{lhs}{}{op}{} {matching} {rhs}", self.one(&[" ", "  ", "\n"]), self.gap())
    }

    fn call(&mut self, depth: usize) -> String {
        match self.below(14) {
            0 => format!("histogram_quantile({}, {})", self.scalar(depth), self.vector(depth)),
            1 => format!(
                "{}({})",
                self.one(&[
                    "histogram_count",
                    "histogram_sum",
                    "histogram_avg",
                    "histogram_stddev",
                    "histogram_stdvar"
                ]),
                self.vector(depth)
            ),
            2 => {
                format!("histogram_fraction({}, {}, {})", self.scalar(0), self.scalar(0), self.vector(depth))
            }
            3 => format!(
                "label_replace({}, {}, {}, {}, {})",
                self.vector(depth),
                self.text(),
                self.text(),
                self.text(),
                self.pattern()
            ),
            4 => format!(
                "label_join({}, {}, {}, {})",
                self.vector(depth),
                self.text(),
                self.text(),
                self.text()
            ),
            5 => format!("clamp({}, {}, {})", self.vector(depth), self.scalar(0), self.scalar(0)),
            6 => format!(
                "{}({}, {})",
                self.one(&["clamp_max", "clamp_min", "round"]),
                self.vector(depth),
                self.scalar(depth)
            ),
            7 => format!(
                "{}({})",
                self.one(&[
                    "abs",
                    "absent",
                    "ceil",
                    "exp",
                    "ln",
                    "log2",
                    "log10",
                    "sqrt",
                    "sgn",
                    "sort",
                    "sort_desc",
                    "sort_by_label",
                    "timestamp",
                    "floor",
                    "round",
                    "deg",
                    "rad",
                    "sin",
                    "acosh",
                    "day_of_week",
                    "days_in_month",
                    "minute",
                    "year",
                    "day_of_year",
                    "nope",
                    "Rate",
                ]),
                self.vector(depth)
            ),
            8 => self
                .one(&[
                    "hour()",
                    "month()",
                    "vector()",
                    "abs()",
                    "time(1)",
                    "absent(x, y)",
                    "day_of_week(1)",
                    "info(x)",
                    "ln(1)",
                    "abs(1)",
                    "round(x, y)",
                ])
                .to_owned(),
            9 => format!("predict_linear({}, {})", self.range(depth), self.scalar(0)),
            10 => format!(
                "{}({}, 0.5, 0.5)",
                self.one(&["holt_winters", "double_exponential_smoothing"]),
                self.range(depth)
            ),
            11 => {
                format!("{}({})", self.one(&["abs", "rate", "sum", "absent_over_time"]), self.vector(depth))
            }
            12 => format!("{} {}({})", self.one(&["", "sum"]), "abs", self.vector(depth)),
            _ => format!("rate({})", self.range(depth)),
        }
    }
}

/// A query, sometimes with a letter too many, too few or another.
fn query(seed: u64) -> String {
    let mut rng = Rng::with_seed(seed);
    let depth = (seed % 4) as usize;
    let mut text = Made(&mut rng).vector(depth);
    if rng.u8(0..6) == 0 {
        let chars: Vec<char> = text.chars().collect();
        let place = rng.usize(0..chars.len());
        let signs = [
            '(', ')', '[', ']', '{', '}', '"', '\'', '`', ',', '=', '~', '!', '-', ' ', '#', '@', ':', '0',
            'm', '\\', ';', '$', '.', '&',
        ];
        let sign = signs[rng.usize(0..signs.len())];
        let (before, after): (String, String) =
            (chars[..place].iter().collect(), chars[place + 1..].iter().collect());
        text = match rng.u8(0..3) {
            0 => before + &after,
            1 => format!("{before}{sign}{after}"),
            _ => format!("{before}{}{sign}{after}", chars[place]),
        };
    }
    text
}

/// Whether texts are PromQL, and how Prometheus writes them; what it says where not.
type Judged = Vec<Result<String, String>>;

/// What a query is, and all that is made of it: as read, as written again, with the canary's matcher, and as good, failed and missed events.
fn made(text: &str) -> Vec<String> {
    let windowed = with_window(text, "5m");
    let Ok(tree) = parse_promql(text) else { return vec![windowed] };
    let mut all = vec![windowed, write_promql(&tree)];
    all.extend(with_matcher(text, "rollout", "canary"));
    if let Ok(events) = Events::of(text, "sum(y)", "5m") {
        all.extend([events.good(), events.failed(), events.errors()]);
    }
    all
}

/// The same whatever writes it: signs that change nothing are left out.
fn plain(formatted: &str) -> String {
    let mut text: String = formatted.chars().filter(|c| !c.is_whitespace()).collect();
    loop {
        let shorter = text.replace("-+", "-").replace("(+", "(").replace("++", "+");
        if shorter == text {
            return text;
        }
        text = shorter;
    }
}

/// Lets a judge look at random queries; differences by kind, each with its number and its shortest example.
fn differences(
    count: u64,
    judge: impl Fn(&[String]) -> Judged,
) -> (usize, BTreeMap<String, (usize, String)>) {
    let texts: Vec<_> = (0..count).map(query).collect();
    let made: Vec<_> = texts.iter().map(|text| made(text)).collect();
    let mut judged = judge(&made.concat()).into_iter();
    let (mut valid, mut kinds) = (0, BTreeMap::<String, (usize, String)>::new());
    for (text, made) in texts.iter().zip(&made) {
        let real: Vec<_> = judged.by_ref().take(made.len()).collect();
        let mut tell = |kind: &str, what: &str, place: usize| {
            let kind = format!("{kind}: {}", short(what));
            let entry = kinds.entry(kind).or_insert((0, String::new()));
            entry.0 += 1;
            let example = format!("{text}\n      {}\n      {what}", made[place]);
            if entry.1.is_empty() || example.len() < entry.1.len() {
                entry.1 = example;
            }
        };
        match (parse_promql(text), &real[0]) {
            (Err(InvalidPromql::Refused(why)), Ok(_)) => tell("refused by name", &why, 0),
            (Err(why), Ok(_)) => tell("refused", &why.to_string(), 0),
            (Err(_), Err(_)) => {}
            (Ok(_), Err(said)) if real[1].is_ok() => tell("written so that it is one", said, 1),
            (Ok(_), Err(said)) => tell("TAKEN", said, 1),
            (Ok(tree), Ok(formatted)) => {
                valid += 1;
                for (place, real) in real.iter().enumerate().skip(1) {
                    if let Err(said) = real {
                        tell("WRITTEN", said, place);
                    }
                }
                if real[1].as_ref().is_ok_and(|again| plain(again) != plain(formatted)) {
                    tell("ANOTHER", formatted, 1);
                }
                if made[2].matches("rollout=\"canary\"").count() != selectors(&tree).len() {
                    tell("MATCHERS", "", 2);
                }
            }
        }
    }
    (valid, kinds)
}

/// Queries that are tried.
const QUERIES: u64 = 6_000;

/// What we refuse and Prometheus takes: kinds of reasons, all of which name what is wrong.
const REFUSED: [&str; 12] = [
    "refused by name: ",
    "refused: not PromQL: bad number or duration syntax",
    "refused: not PromQL: duration must be greater than 0",
    "refused: not PromQL: escaped bytes in quoted text",
    "refused: not PromQL: illegal regex for ",
    "refused: not PromQL: no @ modifiers allowed before",
    "refused: not PromQL: invalid promql query; `anchored`",
    "refused: not PromQL: :start is not valid label in",
    // Times and durations of more than 292 years.
    "refused: Prometheus refuses it: ",
    // Removed in Prometheus 3.
    "refused: PromQL has no function `holt_winters`",
    // A number beyond all numbers is written as what it is.
    "written so that it is one: error parsing number: strconv.ParseFloat: parsing \"0e",
    // Prometheus 2: numbers as durations, durations as numbers, quoted names of metrics.
    "written so that it is one: ",
];

fn assert_agreed(kinds: &BTreeMap<String, (usize, String)>, allowed: impl Fn(&str, &str) -> bool) {
    let wrong: Vec<_> = kinds
        .iter()
        .filter(|(kind, (_, example))| !allowed(kind, example))
        .map(|(kind, (count, example))| format!("{count} {kind}\n      {example}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The newest language: nothing is taken that it refuses, and all that is written means the same.
#[test]
fn prometheus_three_agrees_of_random_queries() {
    let test = "gates: PromQL beside the parser of Prometheus 3";
    let Some(judge) = emac_tests::tool("PROMQL_JUDGE_BIN", "gates/bin/promql-judge", "promql-judge") else {
        return not_run(test, "no promql-judge (make e2e-gates builds it)");
    };
    let (valid, kinds) = differences(QUERIES, |texts| {
        let mut child = Command::new(&judge).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines: Vec<_> = texts.iter().map(|text| serde_json::to_string(text).unwrap() + "\n").collect();
        let mut input = child.stdin.take().unwrap();
        let writer = std::thread::spawn(move || input.write_all(lines.concat().as_bytes()).unwrap());
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        let answer = |line: &str| {
            let answer: Value = serde_json::from_str(line).unwrap();
            match answer["formatted"].as_str() {
                Some(formatted) => Ok(formatted.to_owned()),
                None => Err(answer["error"].as_str().unwrap_or_default().to_owned()),
            }
        };
        String::from_utf8(output.stdout).unwrap().lines().map(answer).collect()
    });
    assert!(valid * 5 > QUERIES as usize, "{valid}");
    assert_agreed(&kinds, |kind, _| REFUSED[..11].iter().any(|begin| kind.starts_with(begin)));
}

/// The language of the Prometheus that is at hand, which may be older: it refuses quoted names and newer functions, and nothing else that we take.
#[test]
fn the_prometheus_at_hand_agrees_of_random_queries() {
    let Some(prometheus) = Live::binary("gates: PromQL beside a real Prometheus") else { return };
    let live = Live::start(&prometheus, &[], None);
    let (valid, kinds) =
        differences(QUERIES / 4, |texts| texts.iter().map(|text| live.formatted(text)).collect());
    assert!(valid * 6 > QUERIES as usize / 4, "{valid}");
    assert_agreed(&kinds, |kind, _| {
        let newer = ["TAKEN: unexpected string", "TAKEN: unknown function with name \"histogram_"];
        REFUSED.iter().chain(&newer).any(|begin| kind.starts_with(begin))
    });
}

fn short(said: &str) -> String {
    let said = said.split("parse error: ").last().unwrap_or_default();
    let text: String = said.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    text.chars().take(55).collect()
}
