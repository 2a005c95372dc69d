//! Forms in which people write the same SLI; `$` stands for a situation's prefix.

pub(crate) struct Shape {
    pub(crate) good: &'static str,
    pub(crate) total: &'static str,
    /// Its requests can be counted.
    pub(crate) counts: bool,
}

impl Shape {
    pub(crate) fn of(&self, prefix: &str) -> (String, String) {
        let named = |query: &str| query.replace('$', prefix);
        (named(self.good), named(self.total))
    }
}

const fn counted(good: &'static str, total: &'static str) -> Shape {
    Shape { good, total, counts: true }
}

const fn uncounted(good: &'static str, total: &'static str) -> Shape {
    Shape { good, total, counts: false }
}

const ALL: &str = "sum(rate($_desk_total[{{ .window }}]))";

pub(crate) const SHAPES: &[Shape] = &[
    counted("sum(rate($_desk_total{code!~\"5..\"}[{{ .window }}]))", ALL),
    counted(
        "sum(rate($_desk_total{code!~'5[0-9]{2}'}[{{ .window }}]))",
        "sum(rate($_desk_total{route=~\"/v[12]/.*\"}[{{.window}}]))",
    ),
    counted(
        "sum(rate($_desk_total{code=~\"2..\"}[{{ .window }}])) + sum(rate($_desk_total{code=~\"3..\"}[{{ .window }}]))",
        ALL,
    ),
    counted(
        "sum(rate($_desk_total[{{ .window }}])) - sum(rate($_desk_total{code=~`5\\d\\d`}[{{ .window }}]))",
        ALL,
    ),
    counted(
        "sum(rate($_ok_total[{{ .window }}]))",
        "sum(rate($_ok_total[{{ .window }}])) + sum(rate($_err_total[{{ .window }}]))",
    ),
    counted(
        "(sum(rate($_ok_total[{{ .window }}])))",
        "(sum(rate($_ok_total[{{ .window }}])) + (sum(rate($_err_total[{{ .window }}]))))",
    ),
    counted(
        "sum(rate($_desk_total{code!~\"5..\"}[{{ .window }}])) # all but 5xx",
        "sum(rate($_desk_total[{{ .window }}])) # {[(\"",
    ),
    counted(
        "sum(\n  # good ones\n  rate(\n    $_desk_total{\n      code!~\"5..\", # no 5xx\n    }[{{ .window }}]\n  )\n)\n",
        ALL,
    ),
    counted(
        "scalar(sum(rate($_desk_total{code!~\"5..\"}[{{ .window }}])))",
        "scalar(sum(rate($_desk_total[{{ .window }}])))",
    ),
    counted("sum(rate($_desk_total{code=~`2..|3..`}[{{ .window }}]))", ALL),
    counted("sum(rate($_desk_total{code=~\"\\x32..|\\u0033..\"}[{{ .window }}]))", ALL),
    counted(
        "sum(increase($_desk_total{code!~\"5..\"}[{{ .window }}]))",
        "sum(increase($_desk_total[{{ .window }}]))",
    ),
    counted(
        "sum by (zone) (rate($_desk_total{code!~\"5..\"}[{{ .window }}]))",
        "sum by (zone) (rate($_desk_total[{{ .window }}]))",
    ),
    counted(
        "sum(rate($_desk_total{code!~\"5..\"}[{{ .window }}])) by (zone)",
        "sum(rate($_desk_total[{{ .window }}])) by (zone)",
    ),
    counted(
        "sum without (code) (rate($_desk_total{code!~\"5..\"}[{{ .window }}]))",
        "sum without (code) (rate($_desk_total[{{ .window }}]))",
    ),
    counted("rate($_desk_total{code!~\"5..\"}[{{ .window }}])", "rate($_desk_total[{{ .window }}])"),
    counted(
        "sum(rate($_desk_total{code!~\"5..\"}[{{ .window }}] offset 1m))",
        "sum(rate($_desk_total[{{ .window }}] offset 1m))",
    ),
    counted(
        "sum(rate($_desk_total{code!~\"5..\"}[{{ .window }}] @ end()))",
        "sum(rate($_desk_total[{{ .window }}] @ end()))",
    ),
    counted(
        "avg_over_time(sum(rate($_desk_total{code!~\"5..\"}[3m]))[{{ .window }}:1m])",
        "avg_over_time(sum(rate($_desk_total[3m]))[{{ .window }}:1m])",
    ),
    counted("sum(rate($_lat_bucket{le=\"0.4\"}[{{ .window }}]))", "sum(rate($_lat_count[{{ .window }}]))"),
    counted(
        "sum(rate($_lat_bucket{le=~\"0\\\\.40*\"}[{{ .window }}]))",
        "sum(rate($_lat_bucket{le=\"+Inf\"}[{{ .window }}]))",
    ),
    counted(
        "sum(avg_over_time($:good:rate5m[{{ .window }}]))",
        "sum(avg_over_time($:all:rate5m[{{ .window }}]))",
    ),
    counted(
        "sum(rate($_desk_total{code!~\"5..\"}[{{ .window }}])) * 60",
        "60 * sum(rate($_desk_total[{{ .window }}]))",
    ),
    counted("sum(rate($_desk_total{code!~\"5..\"}[{{ .window }}])) or vector(0)", ALL),
    counted(
        "sum by (code) (rate($_desk_total{code!~\"5..\"}[{{ .window }}]))",
        "sum by (code) (rate($_desk_total[{{ .window }}]))",
    ),
    counted(
        "sum(rate($_desk_total{code!~\"5..\"}[{{ .window }}])) or vector(0)",
        "sum(rate($_desk_total[{{ .window }}])) or vector(1)",
    ),
    counted(
        "(sum(rate($_desk_total{code=~\"2..\"}[{{ .window }}])) or vector(0)) + sum(rate($_desk_total{code=~\"3..\"}[{{ .window }}]))",
        ALL,
    ),
    uncounted(
        "sum(rate($_ok_total[{{ .window }}])) / (sum(rate($_ok_total[{{ .window }}])) + sum(rate($_err_total[{{ .window }}])))",
        "vector(1)",
    ),
    uncounted(
        "sum(rate($_ok_total[{{ .window }}])) / (sum(rate($_ok_total[{{ .window }}])) + sum(rate($_err_total[{{ .window }}])))",
        "1",
    ),
    counted(
        "sum(rate($_desk_total{code=~\"2..\"}[{{ .window }}])) + on () sum(rate($_desk_total{code=~\"3..\"}[{{ .window }}]))",
        ALL,
    ),
    counted("clamp_max(sum(rate($_desk_total{code!~\"5..\"}[{{ .window }}])), 1e9)", ALL),
    counted(
        "label_replace(sum by (zone) (rate($_desk_total{code!~\"5..\"}[{{ .window }}])), \"site\", '$1', \"zone\", \"(.*)\")",
        "label_replace(sum by (zone) (rate($_desk_total[{{ .window }}])), \"site\", '$1', \"zone\", \"(.*)\")",
    ),
    counted(
        "sum(rate($_desk_total{code=\"200\"}[{{ .window }}])) + sum(rate($_desk_total{code=\"204\"}[{{ .window }}])) + sum(rate($_desk_total{code=\"301\"}[{{ .window }}]))",
        ALL,
    ),
    counted(
        "-(sum(rate($_desk_total{code=~\"5..\"}[{{ .window }}])) - sum(rate($_desk_total[{{ .window }}])))",
        ALL,
    ),
    counted(
        "sum(rate({__name__=\"$_desk_total\",code!~\"5..\"}[{{ .window }}]))",
        "sum(rate({__name__=\"$_desk_total\"}[{{ .window }}]))",
    ),
    counted(
        "sum(irate($_desk_total{code!~\"5..\"}[{{ .window }}]))",
        "sum(irate($_desk_total[{{ .window }}]))",
    ),
    counted(
        "sum(rate($_desk_total{code!~\"5..\"}[{{ .window }}])) > 0",
        "sum(rate($_desk_total[{{ .window }}])) >= 0",
    ),
    counted(
        "sum(rate($_desk_total{code=~\"2..\"}[{{ .window }}]) or rate($_desk_total{code=~\"3..\"}[{{ .window }}]))",
        ALL,
    ),
    counted(
        "sum by (zone) (rate($_desk_total{code=~\"2..\"}[{{ .window }}])) + sum by (zone) (rate($_desk_total{code=~\"3..\"}[{{ .window }}]))",
        "sum by (zone) (rate($_desk_total[{{ .window }}]))",
    ),
    counted(
        "sum by (zone) (rate($_desk_total[{{ .window }}])) - ignoring (code) sum by (zone) (rate($_desk_total{code=~\"5..\"}[{{ .window }}]))",
        "sum by (zone) (rate($_desk_total[{{ .window }}]))",
    ),
    counted("sum(sum by (zone, code) (rate($_desk_total{code!~\"5..\"}[{{ .window }}])))", ALL),
    counted(
        "SUM(rate($_desk_total{code!=\"500\",code!=\"503\"}[{{- .window -}}]))",
        "Sum(rate($_desk_total{}[{{ .window }}]))",
    ),
];
