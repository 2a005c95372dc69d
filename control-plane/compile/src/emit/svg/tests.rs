//! A picture is read as what it is: boxes, texts and lines with places.

use std::collections::BTreeMap;

use emac_core::journey::{ComponentName, Expr, Journey, parse};
use emac_core::mix::mix;

use super::{Captions, Place, draw_journey};

/// Shares of calls by caller and callee, shares of branches by their text.
#[derive(Default)]
struct Said {
    below: &'static str,
    observed: Vec<f64>,
    calls: Option<Vec<(&'static str, &'static str)>>,
}

impl Captions for Said {
    fn below(&self, _: &ComponentName, _: &Place<'_>) -> String {
        self.below.to_owned()
    }

    fn observed(&self, _: &Expr) -> Option<Vec<f64>> {
        (!self.observed.is_empty()).then(|| self.observed.clone())
    }

    fn calls(&self, from: &ComponentName, to: &ComponentName) -> Option<bool> {
        self.calls.as_ref().map(|calls| calls.contains(&(from.as_str(), to.as_str())))
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Area {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

impl Area {
    fn meets(&self, other: &Self) -> bool {
        self.left < other.right
            && other.left < self.right
            && self.top < other.bottom
            && other.top < self.bottom
    }

    fn holds(&self, other: &Self) -> bool {
        self.left <= other.left
            && other.right <= self.right
            && self.top <= other.top
            && other.bottom <= self.bottom
    }
}

#[derive(Debug, Default)]
struct Read {
    width: f64,
    boxes: Vec<Area>,
    frames: Vec<Area>,
    texts: Vec<(Area, String)>,
    lines: Vec<Area>,
}

fn attributes(line: &str) -> BTreeMap<&str, &str> {
    let parts: Vec<_> = line.split('"').collect();
    let name = |text: &'static str| text;
    let _ = name;
    parts
        .chunks_exact(2)
        .map(|pair| (pair[0].rsplit(' ').next().unwrap().trim_end_matches('='), pair[1]))
        .collect()
}

fn read(svg: &str) -> Read {
    let mut read = Read::default();
    for line in svg.lines() {
        let attributes = attributes(line);
        let number = |key: &str| attributes.get(key).and_then(|text| text.parse::<f64>().ok());
        if line.starts_with("<svg") {
            read.width = number("width").unwrap();
        } else if let (true, Some(left), Some(top)) = (line.starts_with("<rect"), number("x"), number("y")) {
            let area = Area {
                left,
                top,
                right: left + number("width").unwrap(),
                bottom: top + number("height").unwrap(),
            };
            if attributes["fill"] == "none" { read.frames.push(area) } else { read.boxes.push(area) }
        } else if line.starts_with("<text") {
            let text = line.rsplit_once("</text>").unwrap().0.rsplit_once('>').unwrap().1;
            let text =
                text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
            // A letter of 13 pixels in a font of one width is 7.8 wide.
            let (x, y, width) =
                (number("x").unwrap(), number("y").unwrap(), text.chars().count() as f64 * 7.8);
            let left = if attributes["text-anchor"] == "middle" { x - width / 2.0 } else { x };
            read.texts.push((Area { left, top: y - 10.0, right: left + width, bottom: y + 3.0 }, text));
        } else if line.starts_with("<line") {
            let [x1, y1, x2, y2] = ["x1", "y1", "x2", "y2"].map(|key| number(key).unwrap());
            read.lines.push(Area { left: x1, top: y1, right: x2, bottom: y2 });
        } else if line.starts_with("<polyline") {
            let points: Vec<(f64, f64)> = attributes["points"]
                .split(' ')
                .map(|point| point.split_once(',').unwrap())
                .map(|(x, y)| (x.parse().unwrap(), y.parse().unwrap()))
                .collect();
            read.lines.extend(points.windows(2).map(|pair| {
                let [(a, b), (c, d)] = [pair[0], pair[1]];
                Area { left: a.min(c), top: b.min(d), right: a.max(c), bottom: b.max(d) }
            }));
        }
    }
    read
}

/// No box overlaps another, every text fits its box, no line goes through a box or a text.
fn is_readable(svg: &str) -> Read {
    let read = read(svg);
    let whole = Area { left: 0.0, top: 0.0, right: read.width, bottom: f64::INFINITY };
    for (at, one) in read.boxes.iter().enumerate() {
        assert!(whole.holds(one), "outside: {one:?}");
        read.boxes[at + 1..]
            .iter()
            .for_each(|other| assert!(!one.meets(other), "{one:?} and {other:?} overlap"));
        read.frames
            .iter()
            .for_each(|frame| assert!(frame.holds(one) || !frame.meets(one), "{frame:?} cuts {one:?}"));
    }
    for (at, one) in read.frames.iter().enumerate() {
        assert!(whole.holds(one), "outside: {one:?}");
        for other in &read.frames[at + 1..] {
            assert!(one.holds(other) || other.holds(one) || !one.meets(other), "{one:?} cuts {other:?}");
        }
    }
    for (at, (one, text)) in read.texts.iter().enumerate() {
        assert!(whole.holds(one), "outside: {text}");
        read.texts[at + 1..].iter().for_each(|(other, more)| assert!(!one.meets(other), "{text} on {more}"));
        for area in read.boxes.iter().chain(&read.frames) {
            assert!(area.holds(one) || !area.meets(one), "{text} does not fit {area:?}");
        }
    }
    for line in &read.lines {
        // A line ends at the edge of what it leads to.
        let inner = Area {
            left: line.left + 0.5,
            top: line.top - 0.1,
            right: line.right - 0.5,
            bottom: line.bottom + 0.1,
        };
        for area in &read.boxes {
            assert!(!inner.meets(area), "{line:?} goes through {area:?}");
        }
        for (area, text) in &read.texts {
            assert!(!inner.meets(area), "{line:?} goes through {text}");
        }
    }
    read
}

fn journey(text: &str) -> Journey {
    Journey::new(parse(text).unwrap()).unwrap()
}

fn names(from: usize, count: usize) -> String {
    (from..from + count).map(|n| format!("service-number-{n}")).collect::<Vec<_>>().join(", ")
}

#[test]
fn a_hundred_components_are_readable() {
    let parts = [
        names(0, 20),
        format!("Parallel({})", names(20, 30)),
        format!("Race(Series({}), Series({}))", names(50, 10), names(60, 10)),
        format!("Fallback({}, {})", names(70, 1), names(71, 1)),
        format!("Parallel(Series({}), Parallel({}))", names(72, 12), names(84, 16)),
    ];
    let svg = draw_journey(
        &journey(&format!("Series({})", parts.join(", "))),
        &Said { below: "99.9 %", ..Said::default() },
    );
    let read = is_readable(&svg);
    assert_eq!(read.boxes.len(), 100);
    assert!(read.width <= 1_200.0, "{}", read.width);
}

#[test]
fn choices_of_any_number_are_readable() {
    for count in [2, 9, 60] {
        let share = 1.0 / f64::from(count);
        let choices: Vec<_> = (0..count).map(|n| format!("{share}*page-{n}")).collect();
        let observed = vec![share; count as usize];
        let text = format!("Series(front, Branch({}))", choices.join(", "));
        let Ok(expr) = parse(&text) else { panic!("{text}") };
        let Ok(journey) = Journey::new(expr) else { continue };
        is_readable(&draw_journey(&journey, &Said { observed, ..Said::default() }));
    }
}

#[test]
fn long_names_are_cut_and_told_as_a_tooltip() {
    let name = "n".repeat(60);
    let svg = draw_journey(&journey(&format!("Series({name}, b)")), &Said::default());
    is_readable(&svg);
    assert!(svg.contains(&format!("<title>{name}</title>{}…</text>", "n".repeat(39))), "{svg}");
}

/// Any structure, drawn by a hash: operators of every kind, deep and wide.
fn drawn(seed: &mut u64, depth: u32) -> String {
    *seed = mix(seed.wrapping_add(0x9e37_79b9_7f4a_7c15));
    let (kind, many) = (*seed % 9, 2 + (*seed >> 8) % 5);
    let mut each = || (0..many).map(|_| drawn(seed, depth - 1)).collect::<Vec<_>>();
    if depth == 0 || kind == 0 {
        let letters = "abcdefghijklmnopqrstuvwxyz".repeat(2);
        return format!("{}{}", &letters[..1 + (*seed >> 16) as usize % 40], *seed >> 48);
    }
    match kind {
        1 | 2 => format!("Series({})", each().join(", ")),
        3 | 4 => format!("Parallel({})", each().join(", ")),
        5 => format!("Race({})", each().join(", ")),
        6 => format!("Retry({}, attempts=3)", drawn(seed, depth - 1)),
        7 => format!("Timeout({}, after=250ms)", drawn(seed, depth - 1)),
        _ => {
            let parts = each();
            let share = |at: usize| if at == 0 { 1.0 - (parts.len() - 1) as f64 * 0.125 } else { 0.125 };
            let parts: Vec<_> =
                parts.iter().enumerate().map(|(at, part)| format!("{}*{part}", share(at))).collect();
            format!("Branch({})", parts.join(", "))
        }
    }
}

#[test]
fn any_structure_is_readable() {
    let mut pictures = 0;
    for start in 0..200_u64 {
        let mut seed = start;
        let text = drawn(&mut seed, 3);
        let Some(journey) = parse(&text).ok().and_then(|expr| Journey::new(expr).ok()) else { continue };
        let read = is_readable(&draw_journey(&journey, &Said { below: "0.99999999", ..Said::default() }));
        pictures += usize::from(read.boxes.len() > 5);
    }
    assert!(pictures > 100, "{pictures}");
}

#[test]
fn nothing_is_drawn_as_nothing() {
    let text = "Series(gate, left, Branch([0.12,0.3]*audit, [0.7,0.88]*left))";
    let observed = vec![0.2, 0.8];
    let svg = draw_journey(
        &journey(text),
        &Said { observed: observed.clone(), calls: Some(vec![("left", "audit")]), ..Said::default() },
    );
    let read = is_readable(&svg);
    assert_eq!(read.boxes.len(), 3, "{svg}");
    assert!(
        svg.contains(">80.0 %: nothing more</text>") && svg.contains(">one of (20.0 %, 80.0 %; seen)</text>"),
        "{svg}"
    );
    // Whoever does not call the other choice is called again.
    let svg = draw_journey(
        &journey(text),
        &Said { observed, calls: Some(vec![("gate", "left")]), ..Said::default() },
    );
    assert_eq!(is_readable(&svg).boxes.len(), 4, "{svg}");
}

#[test]
fn shares_that_nobody_saw_are_what_is_declared() {
    let branch = |shares: [&str; 2]| {
        draw_journey(&journey(&format!("Branch({}*a, {}*b)", shares[0], shares[1])), &Said::default())
    };
    assert!(branch(["0.25", "0.75"]).contains(">one of (25.0 %, 75.0 %)</text>"));
    let svg = branch(["[0.1,0.3]", "[0.7,0.9]"]);
    assert!(svg.contains(">one of (10.0 % to 30.0 %, 70.0 % to 90.0 %)</text>"), "{svg}");
}
