//! Line charts as inline SVG. A plotting library would bring fonts and rasterisers for what is a few polylines; colours are the
//! page's, by class, so that dark and light need no second picture.

use std::fmt::Write as _;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 10.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 26.0;
/// Horizontal grid lines, the axis among them.
const STEPS: u32 = 4;

/// A stretch of the time axis with a name.
#[derive(Debug)]
pub(super) struct Band {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) label: &'static str,
}

/// Points in order of time.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) label: &'static str,
    /// CSS classes.
    pub(super) class: &'static str,
    /// Seconds and value.
    pub(super) points: Vec<(f64, f64)>,
}

/// One chart from 0 to `top`.
#[derive(Debug)]
pub(super) struct Chart {
    pub(super) title: &'static str,
    pub(super) unit: &'static str,
    pub(super) top: f64,
    /// A horizontal rule: where, and what it means.
    pub(super) rule: (f64, &'static str),
    pub(super) bands: Vec<Band>,
    pub(super) lines: Vec<Line>,
}

impl Chart {
    /// A figure with its caption.
    pub(super) fn to_svg(&self) -> String {
        let parts = [self.background(), self.grid(), self.rule_line(), self.lines(), self.legend()].concat();
        format!(
            "<figure><figcaption>{title}</figcaption>\n<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
             aria-label=\"{title}\">\n{parts}</svg></figure>\n",
            title = self.title,
        )
    }

    fn end(&self) -> f64 {
        self.bands.last().map_or(1.0, |b| b.to)
    }

    fn x(&self, seconds: f64) -> f64 {
        LEFT + seconds / self.end() * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - (value / self.top).clamp(0.0, 1.0) * (HEIGHT - TOP - BOTTOM)
    }

    fn background(&self) -> String {
        self.bands.iter().enumerate().fold(String::new(), |mut svg, (i, band)| {
            let (from, to) = (self.x(band.from), self.x(band.to));
            if i % 2 == 1 {
                let (width, height) = (to - from, HEIGHT - TOP - BOTTOM);
                let _ = writeln!(
                    svg,
                    "<rect class=\"band\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{height}\"/>"
                );
            }
            let (middle, below) = (f64::midpoint(from, to), HEIGHT - 8.0);
            let label = band.label;
            let _ = writeln!(
                svg,
                "<text x=\"{middle:.1}\" y=\"{below}\" text-anchor=\"middle\">{label}</text>"
            );
            svg
        })
    }

    fn grid(&self) -> String {
        (0..=STEPS).fold(String::new(), |mut svg, step| {
            let value = self.top * f64::from(step) / f64::from(STEPS);
            let (y, end, before) = (self.y(value), WIDTH - RIGHT, LEFT - 6.0);
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{end}\" y2=\"{y:.1}\"/>\
                 <text x=\"{before}\" y=\"{:.1}\" text-anchor=\"end\">{value:.0}</text>",
                y + 4.0
            );
            svg
        })
    }

    fn rule_line(&self) -> String {
        let (value, label) = self.rule;
        let (y, end) = (self.y(value), WIDTH - RIGHT);
        let unit = self.unit;
        format!(
            "<line class=\"rule\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{end}\" y2=\"{y:.1}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label} {value:.0} {unit}</text>\n",
            end - 4.0,
            y + 14.0
        )
    }

    fn lines(&self) -> String {
        self.lines.iter().fold(String::new(), |mut svg, line| {
            let points: Vec<String> =
                line.points.iter().map(|&(t, v)| format!("{:.1},{:.1}", self.x(t), self.y(v))).collect();
            let _ = writeln!(svg, "<polyline class=\"{}\" points=\"{}\"/>", line.class, points.join(" "));
            svg
        })
    }

    fn legend(&self) -> String {
        let mut x = LEFT;
        let mut svg = format!("<text x=\"4\" y=\"14\">{}</text>", self.unit);
        for line in &self.lines {
            let (class, label, end, text) = (line.class, line.label, x + 18.0, x + 24.0);
            let _ = writeln!(
                svg,
                "<line class=\"{class}\" x1=\"{x}\" y1=\"10\" x2=\"{end}\" y2=\"10\" stroke-width=\"2\"/>\
                 <text x=\"{text}\" y=\"14\" class=\"{class}\">{label}</text>"
            );
            x += 50.0 + 7.0 * label.len() as f64;
        }
        svg
    }
}
