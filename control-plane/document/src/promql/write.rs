//! A tree as PromQL again. Written anew: the parser's own form of a tree drops empty `by ()`, writes times before 1970 as 1970 and puts matchers
//! into another order.
//!
//! What is written is read by every Prometheus since 2.33 unless the query itself needs more: names that need quotes become matchers of
//! `__name__`, ranges have units, and two opening braces in quoted text are kept apart, because templates (of Argo Rollouts, Flagger, Helm) look for them.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use promql_parser::label::{Labels, Matcher, Matchers};
use promql_parser::parser::{
    AggregateExpr, AtModifier, BinModifier, BinaryExpr, Expr, LabelModifier, Offset, VectorMatchCardinality,
    VectorSelector,
};
use promql_parser::util::display_duration;

/// An expression as PromQL; read again it gives the same tree.
pub fn write_promql(expr: &Expr) -> String {
    let mut out = String::new();
    write(&mut out, expr);
    out
}

fn write(out: &mut String, expr: &Expr) {
    match expr {
        Expr::Aggregate(of) => aggregate(out, of),
        Expr::Unary(of) => {
            out.push('-');
            write(out, &of.expr);
        }
        Expr::Binary(of) => binary(out, of),
        Expr::Paren(of) => {
            out.push('(');
            write(out, &of.expr);
            out.push(')');
        }
        Expr::Subquery(of) => {
            write(out, &of.expr);
            let step = of.step.as_ref().map(display_duration).unwrap_or_default();
            let _ = write!(out, "[{}:{step}]", display_duration(&of.range));
            shifted(out, of.at.as_ref(), of.offset.as_ref());
        }
        Expr::NumberLiteral(of) => out.push_str(&number(of.val)),
        Expr::StringLiteral(of) => out.push_str(&quoted(&of.val)),
        Expr::VectorSelector(of) => {
            series(out, of);
            shifted(out, of.at.as_ref(), of.offset.as_ref());
        }
        Expr::MatrixSelector(of) => {
            series(out, &of.vs);
            let _ = write!(out, "[{}]", display_duration(&of.range));
            shifted(out, of.vs.at.as_ref(), of.vs.offset.as_ref());
        }
        Expr::Call(call) => {
            let _ = write!(out, "{}(", call.func.name);
            list(out, call.args.args.iter().map(|arg| &**arg));
            out.push(')');
        }
        // Made by nobody here.
        Expr::Extension(_) => {}
    }
}

fn list<'a>(out: &mut String, exprs: impl Iterator<Item = &'a Expr>) {
    for (place, expr) in exprs.enumerate() {
        out.push_str(if place == 0 { "" } else { ", " });
        write(out, expr);
    }
}

fn aggregate(out: &mut String, of: &AggregateExpr) {
    let _ = write!(out, "{}", of.op);
    match &of.modifier {
        None => {}
        Some(LabelModifier::Include(labels)) => {
            let _ = write!(out, " by ({}) ", names(labels));
        }
        Some(LabelModifier::Exclude(labels)) => {
            let _ = write!(out, " without ({}) ", names(labels));
        }
    }
    out.push('(');
    list(out, of.param.iter().map(|param| &**param).chain([&*of.expr]));
    out.push(')');
}

fn binary(out: &mut String, of: &BinaryExpr) {
    write(out, &of.lhs);
    let _ = write!(out, " {} ", of.op);
    if let Some(modifier) = &of.modifier {
        out.push_str(&matching(modifier));
    }
    write(out, &of.rhs);
}

fn matching(of: &BinModifier) -> String {
    let mut out = String::from(if of.return_bool { "bool " } else { "" });
    match &of.matching {
        Some(LabelModifier::Include(labels)) => {
            let _ = write!(out, "on ({}) ", names(labels));
        }
        Some(LabelModifier::Exclude(labels)) => {
            let _ = write!(out, "ignoring ({}) ", names(labels));
        }
        None => {}
    }
    match &of.card {
        VectorMatchCardinality::ManyToOne(labels) => {
            let _ = write!(out, "group_left ({}) ", names(labels));
        }
        VectorMatchCardinality::OneToMany(labels) => {
            let _ = write!(out, "group_right ({}) ", names(labels));
        }
        VectorMatchCardinality::OneToOne | VectorMatchCardinality::ManyToMany => {}
    }
    out
}

fn names(labels: &Labels) -> String {
    labels.labels.iter().map(|label| name(label)).collect::<Vec<_>>().join(", ")
}

/// A label's name, quoted where Prometheus asks for that.
fn name(label: &str) -> String {
    let plain = |c: char| c == '_' || c.is_ascii_alphanumeric();
    let is_plain = label.chars().all(plain) && label.starts_with(|c: char| !c.is_ascii_digit());
    if is_plain { label.to_owned() } else { quoted(label) }
}

fn series(out: &mut String, of: &VectorSelector) {
    out.push_str(of.name.as_deref().unwrap_or_default());
    if of.name.is_none() || of.matchers != Matchers::empty() {
        let alternatives = of.matchers.or_matchers.iter().chain([&of.matchers.matchers]);
        let all: Vec<_> =
            alternatives.filter(|group| !group.is_empty()).map(|group| matchers(group)).collect();
        let _ = write!(out, "{{{}}}", all.join(" or "));
    }
}

fn matchers(of: &[Matcher]) -> String {
    of.iter().map(write_label).collect::<Vec<_>>().join(",")
}

/// `label="value"`.
pub fn write_label(of: &Matcher) -> String {
    format!("{}{}{}", name(&of.name), of.op, quoted(&of.value))
}

fn shifted(out: &mut String, at: Option<&AtModifier>, offset: Option<&Offset>) {
    match at {
        None => {}
        Some(AtModifier::Start) => out.push_str(" @ start()"),
        Some(AtModifier::End) => out.push_str(" @ end()"),
        Some(AtModifier::At(time)) => {
            let since = time.duration_since(SystemTime::UNIX_EPOCH);
            let sign = if since.is_ok() { "" } else { "-" };
            let apart = since.unwrap_or_else(|before| before.duration());
            let _ = write!(out, " @ {sign}{}.{:03}", apart.as_secs(), apart.subsec_millis());
        }
    }
    match offset {
        None => {}
        Some(Offset::Pos(by)) => out.push_str(&offset_by("", *by)),
        Some(Offset::Neg(by)) => out.push_str(&offset_by("-", *by)),
    }
}

fn offset_by(sign: &str, by: Duration) -> String {
    format!(" offset {sign}{}", display_duration(&by))
}

fn number(value: f64) -> String {
    match value {
        _ if value.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        // Hundreds of zeros say less than an exponent.
        _ if value != 0.0 && !(1e-5..1e16).contains(&value.abs()) => format!("{value:e}"),
        _ => value.to_string(),
    }
}

/// Text in double quotes.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '{' if out.ends_with('{') => out.push_str("\\x7b"),
            c if c.is_ascii_control() => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
