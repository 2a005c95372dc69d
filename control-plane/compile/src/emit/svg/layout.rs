//! Which box goes where, and how large it is.

use emac_core::journey::{Choice, ComponentName, Expr, Join};

use super::Captions;
use super::says::{Place, percent};

const BOX_HEIGHT: usize = 34;
pub(super) const GAP: usize = 22;
pub(super) const PAD: usize = 12;
pub(super) const TITLE: usize = 18;
/// Width of a letter in the fixed font, near enough: 7.8 of 13 pixels.
const LETTER: usize = 8;
/// Letters of a name that are shown.
const NAME_MAX: usize = 40;
/// Widest a series or the columns of a frame get while their parts are narrower: a page, or half a screen.
const WIDTH_MAX: usize = 1_000;
/// Parts of a frame that stand one above the other; more go into columns.
const STACKED_MAX: usize = 8;

/// What is drawn, with its size.
pub(super) struct Drawn {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    /// A component; `whole`: its name where not all of it is shown.
    Leaf {
        name: String,
        whole: Option<String>,
        below: String,
    },
    /// Words without a box.
    Note(String),
    /// A series.
    Lines(Vec<Line>),
    Frame {
        title: Vec<String>,
        columns: Vec<Column>,
        dashed: bool,
    },
}

pub(super) struct Line {
    pub(super) items: Vec<Drawn>,
    pub(super) height: usize,
}

pub(super) struct Column {
    pub(super) items: Vec<Drawn>,
    pub(super) width: usize,
}

pub(super) fn shape(expr: &Expr, captions: &dyn Captions) -> Drawn {
    Drawer { captions }.shape(expr, &Place::default(), WIDTH_MAX)
}

struct Drawer<'a> {
    captions: &'a dyn Captions,
}

impl Drawer<'_> {
    /// An expression behind what `place` says, no wider than `width` if that can be.
    fn shape<'e>(&self, expr: &'e Expr, place: &Place<'e>, width: usize) -> Drawn {
        let inside = width.saturating_sub(2 * PAD);
        match expr {
            Expr::Leaf(name) => leaf(name, self.captions.below(name, place)),
            Expr::Series(steps) => {
                let mut place = place.clone();
                let mut shapes = Vec::new();
                for step in steps {
                    shapes.push(self.shape(step, &place, width));
                    place.passed(step);
                }
                lines(shapes, width)
            }
            Expr::Branch(choices) => self.branch(expr, choices, place, inside),
            other => {
                let sure = matches!(other, Expr::Parallel { .. } | Expr::Timeout { .. } | Expr::Async(_));
                let place = if sure { place.clone() } else { place.unsure() };
                let items = other.children().into_iter().map(|child| self.shape(child, &place, inside));
                let dashed = matches!(other, Expr::Async(_) | Expr::Fallback { .. });
                frame(&title(other), items.collect(), dashed, inside)
            }
        }
    }

    /// A branch says how often each choice was seen; where nobody looked, what is declared or the interval.
    fn branch<'e>(&self, expr: &'e Expr, choices: &'e [Choice], place: &Place<'e>, width: usize) -> Drawn {
        let observed = self.captions.observed(expr).filter(|shares| shares.len() == choices.len());
        let says = |(at, choice): (usize, &Choice)| match observed.as_ref().and_then(|shares| shares.get(at))
        {
            Some(share) => percent(*share),
            None if choice.probability.is_exact() => percent(choice.probability.lo()),
            None => format!("{} to {}", percent(choice.probability.lo()), percent(choice.probability.hi())),
        };
        let shares: Vec<_> = choices.iter().enumerate().map(says).collect();
        let seen = if observed.is_some() { "; seen" } else { "" };
        let items = choices.iter().enumerate().map(|(at, choice)| {
            let others =
                choices.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, other)| &other.expr);
            match &choice.expr {
                Expr::Leaf(name) if self.is_nothing(name, others, place) => {
                    note(&format!("{}: nothing more", shares.get(at).map_or("", String::as_str)))
                }
                expr => self.shape(expr, &place.chosen(choice.probability), width),
            }
        });
        frame(&format!("one of ({}{seen})", shares.join(", ")), items.collect(), false, width)
    }

    /// The language has no word for nothing: a component that was passed already, and that calls what stands beside it, does nothing more.
    fn is_nothing<'e>(
        &self,
        name: &ComponentName,
        others: impl Iterator<Item = &'e Expr>,
        place: &Place<'_>,
    ) -> bool {
        let mut beside = others.flat_map(Expr::leaves);
        place.has_passed(name) && beside.any(|other| self.captions.calls(name, other).unwrap_or(true))
    }
}

fn leaf(name: &ComponentName, below: String) -> Drawn {
    let whole = name.to_string();
    let name = shortened(&whole);
    let width = name.chars().count().max(below.chars().count()) * LETTER + 2 * PAD;
    let whole = (name != whole).then_some(whole);
    Drawn { width, height: BOX_HEIGHT, kind: Kind::Leaf { name, whole, below } }
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= NAME_MAX {
        return name.to_owned();
    }
    name.chars().take(NAME_MAX - 1).chain(['…']).collect()
}

fn note(text: &str) -> Drawn {
    Drawn { width: text.chars().count() * LETTER, height: TITLE, kind: Kind::Note(text.to_owned()) }
}

fn lines(items: Vec<Drawn>, width: usize) -> Drawn {
    let mut lines: Vec<Line> = Vec::new();
    let mut used = 0;
    for item in items {
        match lines.last_mut().filter(|_| used + GAP + item.width <= width) {
            Some(line) => {
                used += GAP + item.width;
                line.height = line.height.max(item.height);
                line.items.push(item);
            }
            None => {
                used = item.width;
                lines.push(Line { height: item.height, items: vec![item] });
            }
        }
    }
    let width_of =
        |line: &Line| line.items.iter().map(|item| item.width + GAP).sum::<usize>().saturating_sub(GAP);
    let width = lines.iter().map(width_of).max().unwrap_or(0);
    let height = lines.iter().map(|line| line.height + GAP).sum::<usize>().saturating_sub(GAP);
    Drawn { width, height, kind: Kind::Lines(lines) }
}

fn frame(title: &str, items: Vec<Drawn>, dashed: bool, width: usize) -> Drawn {
    let widest = items.iter().map(|item| item.width).max().unwrap_or(0);
    let fit = (width + PAD) / (widest + PAD).max(1);
    let count = if items.len() > STACKED_MAX { items.len().div_ceil(STACKED_MAX).min(fit).max(1) } else { 1 };
    let each = items.len().div_ceil(count).max(1);
    let mut columns: Vec<Column> = Vec::new();
    for (place, item) in items.into_iter().enumerate() {
        if place % each == 0 {
            columns.push(Column { items: Vec::new(), width: 0 });
        }
        if let Some(column) = columns.last_mut() {
            column.width = column.width.max(item.width);
            column.items.push(item);
        }
    }
    let inside = columns.iter().map(|column| column.width + PAD).sum::<usize>().saturating_sub(PAD);
    let title = wrapped(title, inside.max(width.min(WIDTH_MAX / 2)) / LETTER);
    let letters = title.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    let height_of = |column: &Column| column.items.iter().map(|item| item.height + PAD).sum::<usize>();
    let height = columns.iter().map(height_of).max().unwrap_or(0) + TITLE * title.len() + PAD;
    let width = inside.max(letters * LETTER) + 2 * PAD;
    Drawn { width, height, kind: Kind::Frame { title, columns, dashed } }
}

/// Lines of at most so many letters, if words allow.
fn wrapped(text: &str, letters: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut().filter(|line| line.chars().count() + 1 + word.chars().count() <= letters) {
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    lines
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
        Expr::Retry { attempts, .. } => format!("up to {attempts} tries"),
        Expr::Timeout { after, .. } => format!("within {after}"),
        Expr::Repeat { count, .. } => format!("{count} times"),
        Expr::Async(_) => "not waited for".to_owned(),
        Expr::Leaf(_) | Expr::Series(_) | Expr::Branch(_) => String::new(),
    }
}
