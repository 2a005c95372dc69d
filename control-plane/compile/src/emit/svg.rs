//! The journey as a picture: series from left to right, line by line, everything else in a frame with its operator's name.
//!
//! A picture is as wide as a page: a series that is longer goes on in the next line, a frame with many parts has several columns. Text is
//! as wide as its box allows; what is cut has the whole text as a tooltip.

mod layout;
mod says;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use emac_core::journey::Journey;

use self::layout::{Drawn, GAP, Kind, PAD, TITLE, shape};
pub use self::says::ModelCaptions;
use self::says::Place;
use crate::compile::{Compiled, exact8};
use emac_core::journey::{ComponentName, Expr};

/// What stands in a picture beside names and operators.
pub trait Captions {
    /// A few letters below a component.
    fn below(&self, name: &ComponentName, place: &Place<'_>) -> String;

    /// How often each choice of a branch was seen, 0 to 1, in their order; `None`: nobody looked.
    fn observed(&self, branch: &Expr) -> Option<Vec<f64>>;

    /// Whether a component calls another; `None` where calls are not known.
    fn calls(&self, from: &ComponentName, to: &ComponentName) -> Option<bool>;
}

/// An SVG document of a compiled journey: below each component the lower end of its availability.
pub(super) fn picture(compiled: &Compiled<'_>) -> String {
    struct Availabilities<'a>(&'a Compiled<'a>, ModelCaptions<'a>);
    impl Captions for Availabilities<'_> {
        fn below(&self, name: &ComponentName, _: &Place<'_>) -> String {
            let leaf = self.0.leaves.get(name);
            leaf.and_then(|leaf| leaf.availability)
                .map_or_else(|| "?".to_owned(), |value| trimmed(value.lo()))
        }

        fn observed(&self, branch: &Expr) -> Option<Vec<f64>> {
            self.1.observed(branch)
        }

        fn calls(&self, from: &ComponentName, to: &ComponentName) -> Option<bool> {
            self.1.calls(from, to)
        }
    }
    draw_journey(&compiled.structure, &Availabilities(compiled, ModelCaptions::new(compiled.model)))
}

fn trimmed(value: f64) -> String {
    let text = exact8(value);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// An SVG document of a journey. O(components · calls of each).
pub fn draw_journey(journey: &Journey, captions: &dyn Captions) -> String {
    let shape = shape(journey.root(), captions);
    let (width, height) = (shape.width + 2 * PAD, shape.height + 2 * PAD);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"monospace\" font-size=\"13\">\n<title>{}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        escaped(&journey.to_string())
    );
    draw(&mut svg, &shape, PAD, PAD);
    svg + "</svg>\n"
}

fn draw(svg: &mut String, shape: &Drawn, x: usize, y: usize) {
    match &shape.kind {
        Kind::Leaf { name, whole, below } => {
            rect(svg, shape, x, y, "#eef4ff", "");
            let tooltip = whole.as_ref().map(|whole| format!("<title>{}</title>", escaped(whole)));
            label(svg, name, &tooltip.unwrap_or_default(), (x + shape.width / 2, y + 14), "middle");
            label(svg, below, "", (x + shape.width / 2, y + 28), "middle");
        }
        Kind::Note(text) => label(svg, text, "", (x + shape.width / 2, y + shape.height / 2 + 5), "middle"),
        Kind::Lines(lines) => draw_lines(svg, lines, shape.width, x, y),
        Kind::Frame { title, columns, dashed } => {
            rect(svg, shape, x, y, "none", if *dashed { " stroke-dasharray=\"5 3\"" } else { "" });
            for (line, text) in title.iter().enumerate() {
                label(svg, text, "", (x + PAD, y + TITLE * (line + 1) - 3), "start");
            }
            let mut left = x + PAD;
            let inside = shape.width - 2 * PAD;
            let widths: usize = columns.iter().map(|column| column.width + PAD).sum::<usize>() - PAD;
            left += (inside - widths) / 2;
            for column in columns {
                let mut at = y + TITLE * title.len() + PAD / 2;
                for item in &column.items {
                    draw(svg, item, left + (column.width - item.width) / 2, at);
                    at += item.height + PAD;
                }
                left += column.width + PAD;
            }
        }
    }
}

/// A series, with a line from each step to the next; from the last of a line it goes below it to the first of the next.
fn draw_lines(svg: &mut String, lines: &[layout::Line], width: usize, x: usize, y: usize) {
    let mut top = y;
    let mut from: Option<(usize, usize, usize)> = None;
    for line in lines {
        let middle = top + line.height / 2;
        let mut at = x;
        for (place, item) in line.items.iter().enumerate() {
            if place > 0 {
                path(svg, &[(at - GAP, middle), (at, middle)]);
            } else if let Some((right, before, below)) = from {
                let turn = below + GAP / 2;
                let (out, back) = ((right + GAP / 2).min(x + width + PAD / 2), x.saturating_sub(PAD / 2));
                path(
                    svg,
                    &[
                        (right, before),
                        (out, before),
                        (out, turn),
                        (back, turn),
                        (back, middle),
                        (at, middle),
                    ],
                );
            }
            draw(svg, item, at, top + (line.height - item.height) / 2);
            at += item.width + GAP;
        }
        from = Some((at - GAP, middle, top + line.height));
        top += line.height + GAP;
    }
}

fn rect(svg: &mut String, shape: &Drawn, x: usize, y: usize, fill: &str, more: &str) {
    let (width, height) = (shape.width, shape.height);
    let _ = writeln!(
        svg,
        "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"4\" fill=\"{fill}\" stroke=\"black\"{more}/>"
    );
}

fn path(svg: &mut String, points: &[(usize, usize)]) {
    if let [(x1, y1), (x2, y2)] = points {
        let _ = writeln!(svg, "<line x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\" stroke=\"black\"/>");
        return;
    }
    let points: Vec<_> = points.iter().map(|(x, y)| format!("{x},{y}")).collect();
    let _ = writeln!(svg, "<polyline points=\"{}\" fill=\"none\" stroke=\"black\"/>", points.join(" "));
}

/// Nothing where there is no text.
fn label(svg: &mut String, text: &str, tooltip: &str, (x, y): (usize, usize), anchor: &str) {
    if text.is_empty() {
        return;
    }
    let _ =
        writeln!(svg, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{tooltip}{}</text>", escaped(text));
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
