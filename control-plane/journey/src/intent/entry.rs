//! `spec.entry`: how a request of the journey is recognised.

use emac_core::budget::EntryRule;
use emac_core::entry::CompiledEntry;

use super::Intent;
use super::share::texts;
use emac_document::{Document, Fields, Problem, Problems, Reader};

/// Most rules of a journey and headers of a rule that the wire carries.
const RULES_MAX: usize = 16;
const HEADERS_MAX: usize = 8;

/// A list of rules; a request that any of them matches enters the journey.
pub(super) fn read(reader: Reader<'_>) -> Option<Vec<EntryRule>> {
    let rules = reader.list(|rule| {
        let compiled = rule.fields(read_rule)?;
        match CompiledEntry::new(&compiled) {
            Ok(_) => Some(compiled),
            Err(error) => rule.refuse(error.to_string()),
        }
    })?;
    if rules.len() > RULES_MAX { reader.refuse(format!("more than {RULES_MAX} rules")) } else { Some(rules) }
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

fn read_rule(fields: &mut Fields<'_>) -> Option<EntryRule> {
    let host = fields.optional("host", host).unwrap_or_default();
    let method = fields.optional("method", method).unwrap_or_default();
    let path_template = fields.optional("path", text).unwrap_or_default();
    let headers = fields.optional("headers", headers).unwrap_or_default();
    let grpc = fields.optional("grpc", grpc).unwrap_or_default();
    Some(EntryRule { host, method, path_template, headers, grpc })
}

fn text(reader: Reader<'_>) -> Option<String> {
    reader.word().map(str::to_owned)
}

fn host(reader: Reader<'_>) -> Option<String> {
    let host = reader.word()?;
    if host.contains(['/', ':']) {
        return reader.refuse_with("a host has neither scheme, port nor path", "such as shop.example");
    }
    Some(host.to_ascii_lowercase())
}

fn method(reader: Reader<'_>) -> Option<String> {
    let method = reader.word()?;
    if method.bytes().all(|byte| byte.is_ascii_uppercase()) {
        Some(method.to_owned())
    } else {
        reader.refuse_with("methods are upper case", format!("write {}", method.to_ascii_uppercase()))
    }
}

fn grpc(reader: Reader<'_>) -> Option<String> {
    let name = reader.word()?;
    if name.starts_with('/') {
        return reader
            .refuse_with("expected package.Service or package.Service/Method", "leave out the leading /");
    }
    Some(name.to_owned())
}

/// Name to exact value; an empty value means "present".
pub(super) fn headers(reader: Reader<'_>) -> Option<Vec<(String, String)>> {
    let headers = texts(reader)?;
    if headers.len() > HEADERS_MAX {
        return reader.refuse(format!("more than {HEADERS_MAX} headers"));
    }
    match headers.keys().find(|name| !is_header_name(name)) {
        Some(name) => reader.refuse(format!("`{name}` is not the name of a header")),
        None => Some(headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect()),
    }
}

/// A token of RFC 9110, section 5.6.2; pseudo headers are none.
pub(super) fn is_header_name(name: &str) -> bool {
    let special = |byte| b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || special(byte))
}
