//! `spec.entry`: how a request of the journey is recognised.

use std::collections::BTreeMap;
use std::convert::Infallible;

use emac_core::budget::EntryRule;
use emac_core::entry::CompiledEntry;

use super::Intent;
use emac_document::shape::{Form, Rule};
use emac_document::types::{Type, checked, list, map, mapping, owned, scalar, text};
use emac_document::{Document, Fields, Problem, Problems, Reader};

/// Most rules of a journey and headers of a rule that the wire carries.
const RULES_MAX: usize = 16;
const HEADERS_MAX: usize = 8;

/// A list of rules; a request that any of them matches enters the journey.
pub(super) fn rules<'a>() -> impl Type<'a, Value = Vec<EntryRule>> {
    let compiled = |it: Reader<'a>, rule| match CompiledEntry::new(&rule) {
        Ok(_) => Some(rule),
        Err(error) => it.refuse(error.to_string()),
    };
    checked(list(checked(mapping(rule), compiled)), |it, rules: Vec<_>| {
        if rules.len() > RULES_MAX { it.refuse(format!("more than {RULES_MAX} rules")) } else { Some(rules) }
    })
}

/// Rules that no request ever reaches, because a journey that is asked before takes them all: journeys of one edge are asked in the order
/// of their names, which is that of `intents`. Of a journey that cannot be entered at all it is an error.
pub(super) fn never_asked(intents: &[(&Intent, &Document)], problems: &Problems) {
    let compiled: Vec<Vec<CompiledEntry>> = intents
        .iter()
        .map(|(intent, _)| intent.entry.iter().filter_map(|rule| CompiledEntry::new(rule).ok()).collect())
        .collect();
    for (at, ((intent, document), rules)) in intents.iter().zip(&compiled).enumerate() {
        let covering = |rule: &CompiledEntry| {
            let before =
                intents.iter().zip(&compiled).take(at).filter(|((other, _), _)| share_edge(intent, other));
            before
                .flat_map(|((other, document), rules)| {
                    rules.iter().enumerate().map(move |(at, rule)| (*other, *document, at, rule))
                })
                .find(|(_, _, _, theirs)| theirs.covers(rule))
                .map(|(other, document, at, theirs)| (other, document, at, rule.covers(theirs)))
        };
        let found: Vec<_> = rules.iter().map(covering).collect();
        let whole = found.iter().all(Option::is_some);
        for (rule, (other, theirs, their_rule, same)) in
            found.into_iter().enumerate().filter_map(|(at, found)| Some((at, found?)))
        {
            let name = &other.name;
            let message = if same {
                format!(
                    "`{name}` has the same entry, and is asked first: no request of it reaches `{}`",
                    intent.name
                )
            } else {
                format!(
                    "`{name}` takes every request of this entry, and is asked first: none reaches `{}`",
                    intent.name
                )
            };
            let problem = if whole { Problem::error(message) } else { Problem::warning(message) };
            let reader = rule_of(theirs, their_rule, problems);
            let (line, _) = reader.source().position(reader.span().start);
            let help = format!(
                "narrow the entry of `{name}` ({}:{line}) by host, method, path or header, or enter one of them at another edge; journeys are asked in the order of their names",
                reader.source().name()
            );
            let here = rule_of(document, rule, problems);
            problems.push(problem.at(here.source(), here.span()).help(help));
        }
    }
}

/// Whether some workload recognises both.
fn share_edge(one: &Intent, other: &Intent) -> bool {
    let edges = &other.runtime.policy.edges;
    one.runtime.policy.edges.iter().any(|edge| edges.contains(edge))
}

/// Where a rule stands.
fn rule_of<'a>(document: &'a Document, rule: usize, problems: &'a Problems) -> Reader<'a> {
    let root = document.reader(problems);
    let spec = root.find(&["spec", "entry"], "");
    spec.items().and_then(|mut items| items.nth(rule)).unwrap_or(spec)
}

fn rule(fields: &mut Fields<'_>) -> Option<EntryRule> {
    let says = "exact host, without port; case and a final dot are ignored";
    let host = fields.field("host", host(), says).optional().unwrap_or_default();
    let says = "HTTP method in upper case; GET also matches HEAD";
    let method = fields.field("method", method(), says).optional().unwrap_or_default();
    let says = "path template: `{name}` matches one segment, a final `**` any rest; empty segments are ignored, so `/a//b/` equals `/a/b`";
    let path_template = fields.field("path", owned(), says).optional().unwrap_or_default();
    let says =
        "header names with exact values, at most 8; an empty value matches any value of a present header";
    let headers = fields.field("headers", headers(), says).optional().unwrap_or_default();
    let says = "`package.Service` or `package.Service/Method`";
    let grpc = fields.field("grpc", grpc(), says).optional().unwrap_or_default();
    fields.rule(Rule::Something);
    Some(EntryRule { host, method, path_template, headers, grpc })
}

fn host<'a>() -> impl Type<'a, Value = String> {
    scalar("host", &[Form::Text(r"^[^/:]*[^/:\s][^/:]*$")], "shop.example", |it: Reader<'a>| {
        let host = it.word()?;
        if host.contains(['/', ':']) {
            return it.refuse_with("a host has neither scheme, port nor path", "such as shop.example");
        }
        Some(host.to_ascii_lowercase())
    })
}

fn method<'a>() -> impl Type<'a, Value = String> {
    scalar("method", &[Form::Text("^[A-Z]+$")], "POST", |it: Reader<'a>| {
        let method = it.word()?;
        if method.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Some(method.to_owned());
        }
        it.refuse_with("methods are upper case", format!("write {}", method.to_ascii_uppercase()))
    })
}

fn grpc<'a>() -> impl Type<'a, Value = String> {
    scalar("text", &[Form::Text(r"^[^/\s]")], "shop.v1.Checkout/Place", |it: Reader<'a>| {
        let name = it.word()?;
        if name.starts_with('/') {
            let help = "leave out the leading /";
            return it.refuse_with("expected package.Service or package.Service/Method", help);
        }
        Some(name.to_owned())
    })
}

/// Name to exact value; an empty value means "present".
pub(super) fn headers<'a>() -> impl Type<'a, Value = Vec<(String, String)>> {
    let any = |name: &'a str| Ok::<_, Infallible>(name);
    checked(map(HEADER_PATTERN, any, text()), |it, headers: Vec<_>| {
        if headers.len() > HEADERS_MAX {
            return it.refuse(format!("more than {HEADERS_MAX} headers"));
        }
        match headers.iter().find(|(name, _)| !is_header_name(name)) {
            Some((name, _)) => it.refuse(format!("`{name}` is not the name of a header")),
            None => {
                let headers: BTreeMap<_, _> = headers.into_iter().collect();
                Some(
                    headers
                        .into_iter()
                        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                        .collect(),
                )
            }
        }
    })
}

/// As [`is_header_name`] has it, for schemas.
pub(super) const HEADER_PATTERN: &str = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$";

/// A token of RFC 9110, section 5.6.2; pseudo headers are none.
pub(super) fn is_header_name(name: &str) -> bool {
    let special = |byte| b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || special(byte))
}
