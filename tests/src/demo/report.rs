//! `report.html`: one page that needs nothing else, light or dark as its reader's system is.

mod svg;

use std::fmt::Write as _;
use std::time::Duration;

use super::phase::{Mode, PHASES};
use super::play::Played;
use super::summary::{Row, Summary};
use super::{DEADLINE, Options};
use crate::load::{Sample, Tally};
use svg::{Band, Chart, Line};

const STYLE: &str = include_str!("report/style.css");

/// The page.
pub(super) fn html(summary: &Summary, played: &[Played], options: &Options) -> String {
    let mut page = String::from("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n");
    page += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>EmaC demo</title>\n";
    let _ = writeln!(page, "<style>\n{STYLE}</style></head><body><main>");
    page += &head(summary, options);
    page += &findings(summary);
    page += &charts(summary, played);
    page += &stories();
    page += &table(summary);
    page + "</main></body></html>\n"
}

fn head(summary: &Summary, options: &Options) -> String {
    format!(
        "<h1>Checkout, observed and enforced</h1>\n<p>front, then cart and pricing in parallel, then paya with payb as its \
         alternate: five services behind five real Envoy sidecars and an edge Envoy. {rate} requests a second, {seconds} s a \
         phase, seed {seed}. The promise: {objective} % of checkouts succeed within {deadline} ms. At most {budget} % may be \
         answered with a cached price.</p>\n<p>The same load and the same faults ran twice. <b class=\"observe\">Observing</b>, \
         the sidecars only measure and the routes' static timeouts and retries rule. <b class=\"enforce\">Enforcing</b>, they \
         act on the budgets the control plane computed.</p>\n",
        rate = options.rate,
        seconds = options.phase().as_secs(),
        seed = options.seed,
        objective = summary.objective * 100.0,
        deadline = summary.deadline_ms,
        budget = summary.fallback_budget * 100.0,
    )
}

fn findings(summary: &Summary) -> String {
    let items = summary.findings().iter().fold(String::new(), |mut list, finding| {
        let (class, word) = if finding.shown { ("held", "shown") } else { ("missed", "not shown") };
        let _ = writeln!(list, "<li><b class=\"{class}\">{word}</b> {}</li>", finding.text);
        list
    });
    format!("<ul>\n{items}</ul>\n")
}

fn charts(summary: &Summary, played: &[Played]) -> String {
    let success = |t: &Tally| t.success_within_deadline() * 100.0;
    let degraded = |t: &Tally| t.degraded_share() * 100.0;
    let p99 = |t: &Tally| t.latency_ms(0.99).min(2_000.0);
    let p50 = |t: &Tally| t.latency_ms(0.50).min(2_000.0);
    let both = |value: &dyn Fn(&Tally) -> f64| {
        vec![
            line(played, Mode::Observe, "observe", "observe", value),
            line(played, Mode::Enforce, "enforce", "enforce", value),
        ]
    };
    let chart = |title, unit, top, rule, lines| Chart { title, unit, top, rule, bands: bands(played), lines };
    let mut percentiles = both(&p99);
    percentiles.push(line(played, Mode::Observe, "observe, median", "observe thin", &p50));
    percentiles.push(line(played, Mode::Enforce, "enforce, median", "enforce thin", &p50));
    let (objective, budget) = (summary.objective * 100.0, summary.fallback_budget * 100.0);
    let deadline = summary.deadline_ms as f64;
    [
        chart(
            "Checkouts that succeeded within the deadline",
            "%",
            100.0,
            (objective, "objective"),
            both(&success),
        ),
        chart(
            "Time to the answer: 99th percentile and median",
            "ms",
            2_000.0,
            (deadline, "deadline"),
            percentiles,
        ),
        chart(
            "Checkouts answered with a cached price",
            "%",
            40.0,
            (budget, "fallback budget"),
            both(&degraded),
        ),
    ]
    .iter()
    .map(Chart::to_svg)
    .collect()
}

/// One point a second of load, phases side by side.
fn line(
    played: &[Played],
    mode: Mode,
    label: &'static str,
    class: &'static str,
    value: &dyn Fn(&Tally) -> f64,
) -> Line {
    let (mut points, mut offset) = (Vec::new(), 0.0);
    for one in played.iter().filter(|p| p.mode == mode) {
        for second in 0..one.load.as_secs() {
            let tally = Tally::of(within(&one.samples, second), DEADLINE);
            points.push((offset + second as f64 + 0.5, value(&tally)));
        }
        offset += one.load.as_secs_f64();
    }
    Line { label, class, points }
}

fn within(samples: &[Sample], second: u64) -> impl Iterator<Item = &Sample> {
    let (from, to) = (Duration::from_secs(second), Duration::from_secs(second + 1));
    samples.iter().filter(move |s| s.at >= from && s.at < to)
}

fn bands(played: &[Played]) -> Vec<Band> {
    let mut offset = 0.0;
    let band = |one: &Played| {
        let from = offset;
        offset += one.load.as_secs_f64();
        Band { from, to: offset, label: one.phase.name }
    };
    played.iter().filter(|p| p.mode == Mode::Observe).map(band).collect()
}

fn stories() -> String {
    let items = PHASES.iter().fold(String::new(), |mut list, phase| {
        let _ = writeln!(list, "<dt>{}</dt><dd>{}</dd>", phase.name, phase.story);
        list
    });
    format!("<h2>The phases</h2>\n<dl>\n{items}</dl>\n")
}

fn table(summary: &Summary) -> String {
    let head = "<tr><th>phase<th>mode<th>sent<th>goodput /s<th>in time %<th>p50 ms<th>p99 ms<th>degraded %<th>alternate \
                %<th>retries per request</tr>";
    let rows =
        summary.phases.iter().fold(String::new(), |rows, row| rows + &table_row(row, summary.objective));
    format!(
        "<h2>Per phase</h2>\n<table>\n{head}\n{rows}</table>\n<p class=\"note\">Shares are of all requests sent. Percentiles \
         are over all requests, good or not, from the instant each was meant to start (open loop, so a stall is not \
         hidden). Goodput counts good answers within the deadline. Retries are Envoy's own count over all sidecars.</p>\n"
    )
}

fn table_row(row: &Row, objective: f64) -> String {
    let held = if row.success_within_deadline >= objective { "held" } else { "missed" };
    format!(
        "<tr><td>{}<td class=\"{mode}\">{mode}<td>{}<td>{:.1}<td class=\"{held}\">{:.2}<td>{:.0}<td>{:.0}<td>{:.2}<td>{:.2}<td>{:.3}</tr>\n",
        row.name,
        row.sent,
        row.goodput_rps,
        row.success_within_deadline * 100.0,
        row.p50_ms,
        row.p99_ms,
        row.degraded_share * 100.0,
        row.alternate_share * 100.0,
        row.retries_per_request,
        mode = row.mode,
    )
}
