//! The journey as a picture: series from left to right, everything else stacked in a frame with its operator's name.

use std::fmt::Write as _;

use emac_core::journey::{ComponentName, Expr, Join, Journey};

use crate::compile::{Compiled, exact8};

const BOX_HEIGHT: usize = 34;
const GAP: usize = 22;
const PAD: usize = 12;
const TITLE: usize = 18;
/// Width of a letter in the fixed font, near enough.
const LETTER: usize = 8;

/// What is drawn, with its size.
struct Shape {
    width: usize,
    height: usize,
    kind: Kind,
}

enum Kind {
    Leaf { name: String, below: String },
    Row(Vec<Shape>),
    Frame { title: String, items: Vec<Shape>, dashed: bool },
}

/// An SVG document of a compiled journey: below each component the lower end of its availability.
pub(super) fn picture(compiled: &Compiled<'_>) -> String {
    draw_journey(&compiled.structure, &|name| {
        let leaf = compiled.leaves.get(name);
        leaf.and_then(|leaf| leaf.availability).map_or_else(|| "?".to_owned(), |value| trimmed(value.lo()))
    })
}

/// An SVG document of a journey, with a few letters below each component.
pub fn draw_journey(journey: &Journey, below: &dyn Fn(&ComponentName) -> String) -> String {
    let shape = shape(journey.root(), below);
    let (width, height) = (shape.width + 2 * PAD, shape.height + 2 * PAD);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"monospace\" font-size=\"13\">\n<title>{}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        escaped(&journey.to_string())
    );
    draw(&mut svg, &shape, PAD, PAD);
    svg + "</svg>\n"
}

fn shape(expr: &Expr, below: &dyn Fn(&ComponentName) -> String) -> Shape {
    match expr {
        Expr::Leaf(name) => leaf(name, below(name)),
        Expr::Series(steps) => row(steps.iter().map(|step| shape(step, below)).collect()),
        other => {
            let items: Vec<_> = other.children().into_iter().map(|child| shape(child, below)).collect();
            frame(title(other), items, matches!(other, Expr::Async(_) | Expr::Fallback { .. }))
        }
    }
}

fn leaf(name: &ComponentName, below: String) -> Shape {
    let name: String = name.to_string().chars().take(40).collect();
    let width = name.chars().count().max(below.chars().count()) * LETTER + 2 * PAD;
    Shape { width, height: BOX_HEIGHT, kind: Kind::Leaf { name, below } }
}

fn trimmed(value: f64) -> String {
    let text = exact8(value);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn row(items: Vec<Shape>) -> Shape {
    let width = items.iter().map(|item| item.width + GAP).sum::<usize>().saturating_sub(GAP);
    let height = items.iter().map(|item| item.height).max().unwrap_or(0);
    Shape { width, height, kind: Kind::Row(items) }
}

fn frame(title: String, items: Vec<Shape>, dashed: bool) -> Shape {
    let widest = items.iter().map(|item| item.width).max().unwrap_or(0);
    let width = widest.max(title.chars().count() * LETTER) + 2 * PAD;
    let height = items.iter().map(|item| item.height + PAD).sum::<usize>() + TITLE + PAD;
    Shape { width, height, kind: Kind::Frame { title, items, dashed } }
}

fn title(expr: &Expr) -> String {
    match expr {
        Expr::Parallel { join: Join::All, .. } => "all of".to_owned(),
        Expr::Parallel { join: Join::AtLeast(k), branches } => format!("{k} of {}", branches.len()),
        Expr::Race { .. } => "race".to_owned(),
        Expr::Fallback { alternates, .. } => {
            let weights: Vec<_> =
                alternates.iter().map(|alternate| alternate.weight.get().to_string()).collect();
            format!("else ({})", weights.join(", "))
        }
        Expr::Branch(choices) => {
            let shares: Vec<_> = choices.iter().map(|choice| choice.probability.lo().to_string()).collect();
            format!("one of ({})", shares.join(", "))
        }
        Expr::Retry { attempts, .. } => format!("up to {attempts} tries"),
        Expr::Timeout { after, .. } => format!("within {after}"),
        Expr::Repeat { count, .. } => format!("{count} times"),
        Expr::Async(_) => "not waited for".to_owned(),
        Expr::Leaf(_) | Expr::Series(_) => String::new(),
    }
}

fn draw(svg: &mut String, shape: &Shape, x: usize, y: usize) {
    match &shape.kind {
        Kind::Leaf { name, below } => {
            rect(svg, shape, x, y, "#eef4ff", "");
            label(svg, name, x + shape.width / 2, y + 14, "middle");
            label(svg, below, x + shape.width / 2, y + 28, "middle");
        }
        Kind::Row(items) => {
            let middle = y + shape.height / 2;
            let mut at = x;
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    let _ = writeln!(
                        svg,
                        "<line x1=\"{}\" y1=\"{middle}\" x2=\"{at}\" y2=\"{middle}\" stroke=\"black\"/>",
                        at - GAP
                    );
                }
                draw(svg, item, at, y + (shape.height - item.height) / 2);
                at += item.width + GAP;
            }
        }
        Kind::Frame { title, items, dashed } => {
            rect(svg, shape, x, y, "none", if *dashed { " stroke-dasharray=\"5 3\"" } else { "" });
            label(svg, title, x + PAD, y + TITLE - 3, "start");
            let mut at = y + TITLE + PAD / 2;
            for item in items {
                draw(svg, item, x + (shape.width - item.width) / 2, at);
                at += item.height + PAD;
            }
        }
    }
}

fn rect(svg: &mut String, shape: &Shape, x: usize, y: usize, fill: &str, more: &str) {
    let (width, height) = (shape.width, shape.height);
    let _ = writeln!(
        svg,
        "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"4\" fill=\"{fill}\" stroke=\"black\"{more}/>"
    );
}

fn label(svg: &mut String, text: &str, x: usize, y: usize, anchor: &str) {
    let _ = writeln!(svg, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{}</text>", escaped(text));
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
