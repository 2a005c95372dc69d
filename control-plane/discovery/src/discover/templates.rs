//! Ids in the names of operations that only many names show.
//!
//! Reading replaces what is an id by itself (`/carts/7`). What is one only beside others (`/users/jane`, `/users/joe`, ...) shows when all names of a
//! service are there. Operations are put into a tree by verb and segments of their path. At each place of it, from the left,
//!
//! - an e-mail address is an id;
//! - tokens (letters and digits as no word has them) are ids if there are [`TOKENS_MIN`] of them;
//! - if there are [`MANY_MIN`] different segments that are on average asked for less than [`OFTEN_MIN`] times, or [`TOO_MANY`] whatever their number, all of
//!   them are ids but those that are frequent (`/users/me`).
//!
//! Names without a path that differ in numbers only (`job-17`) are one if there are [`NUMBERED_MIN`] of them. What stays apart although it looks
//! alike is told as [`Crowd`].
//!
//! Where names come window by window, a window may hold too few of them; [`KnownTemplates`] says what those before it showed.

mod known;

use std::collections::{BTreeMap, BTreeSet};

use emac_journey::intent::{Intent, Reach};

pub use known::KnownTemplates;

/// What stands for an id.
const ID: &str = "{id}";
/// Tokens at one place from which on they are ids: one or two may be versions or names of products.
const TOKENS_MIN: usize = 3;
/// Shortest token.
const TOKEN_BYTES_MIN: usize = 6;
/// Segments at one place: an API has tens of resources at most.
const MANY_MIN: usize = 64;
/// Requests of a segment on average, from which on it is rather a resource than an id.
const OFTEN_MIN: u64 = 20;
/// Segments that no API has at one place.
const TOO_MANY: usize = 512;
/// One in so many of the requests of a place: a name of its own among ids.
const FREQUENT_PART: u64 = 50;
/// Names without a path that differ in their numbers.
const NUMBERED_MIN: usize = 16;
/// Segments at one place from which on it is told that they were not taken for ids.
const CROWD_MIN: usize = 20;
/// Names told as examples.
const EXAMPLES_MAX: usize = 3;

/// Operations of one service, with how often each was asked for.
pub(super) type Operations = BTreeMap<String, u64>;

/// What became of the operations of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Templates {
    /// The new name of each that has one.
    pub(super) renamed: BTreeMap<String, String>,
    pub(super) crowds: Vec<Crowd>,
}

/// Operations that became one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generalized {
    /// Whose.
    pub service: String,
    /// What they are called now.
    pub template: String,
    /// How many they were.
    pub operations: u64,
    /// A few of them.
    pub examples: Vec<String>,
}

/// Operations that differ in one place and stay apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crowd {
    /// Whose.
    pub service: String,
    /// The place, as a template.
    pub template: String,
    /// How many there are.
    pub operations: u64,
    /// A few of them.
    pub examples: Vec<String>,
}

/// Operations that intents name: what they say is no id.
pub fn named_operations<'a>(intents: impl IntoIterator<Item = &'a Intent>) -> BTreeSet<String> {
    let components = intents.into_iter().flat_map(|intent| intent.components.values());
    let named = components.flat_map(|component| {
        let hop = match &component.reach {
            Reach::Hop(hop) => Some(hop.operation.clone()),
            _ => None,
        };
        [component.telemetry.span.as_ref().and_then(|span| span.operation.clone()), hop]
    });
    named.flatten().filter(|operation| !operation.is_empty()).collect()
}

/// Finds templates among the operations of a service; those that are `kept` are named by somebody and stay. O(names · segments · log names).
pub(super) fn templates(service: &str, operations: &Operations, kept: &BTreeSet<String>) -> Templates {
    let mut found = Templates::default();
    let mut by_verb: BTreeMap<(&str, usize), Vec<Path<'_>>> = BTreeMap::new();
    let mut pathless = Vec::new();
    for (name, requests) in operations.iter().filter(|(name, _)| !kept.contains(*name)) {
        match Path::of(name, *requests) {
            Some(path) => by_verb.entry((path.verb, path.segments.len())).or_default().push(path),
            None => pathless.push(name.as_str()),
        }
    }
    for paths in by_verb.into_values() {
        place(service, paths, 0, &mut Vec::new(), &mut found);
    }
    numbered(&pathless, &mut found);
    found
}

/// What became one, for people.
pub(super) fn generalized(service: &str, templates: &Templates) -> Vec<Generalized> {
    let mut by_template: BTreeMap<&String, Vec<&String>> = BTreeMap::new();
    templates.renamed.iter().for_each(|(name, template)| by_template.entry(template).or_default().push(name));
    let told = by_template.into_iter().map(|(template, names)| Generalized {
        service: service.to_owned(),
        template: template.clone(),
        operations: names.len() as u64,
        examples: names.into_iter().take(EXAMPLES_MAX).cloned().collect(),
    });
    told.collect()
}

/// An operation that ends in a path.
struct Path<'a> {
    name: &'a str,
    /// What stands before the path, with its space.
    verb: &'a str,
    segments: Vec<&'a str>,
    requests: u64,
}

impl<'a> Path<'a> {
    fn of(name: &'a str, requests: u64) -> Option<Self> {
        let start = name.rfind(' ').map_or(0, |space| space + 1);
        let (verb, path) = name.split_at_checked(start)?;
        let segments: Vec<_> = path.strip_prefix('/')?.split('/').collect();
        Some(Self { name, verb, segments, requests })
    }
}

/// Looks at the segments at a depth, below the same (generalized) segments before.
fn place(service: &str, paths: Vec<Path<'_>>, depth: usize, before: &mut Vec<String>, found: &mut Templates) {
    let Some(first) = paths.first() else { return };
    if depth >= first.segments.len() {
        let template = format!("{}/{}", first.verb, before.join("/"));
        let renamed = paths.iter().filter(|path| path.name != template);
        found.renamed.extend(renamed.map(|path| (path.name.to_owned(), template.clone())));
        return;
    }
    let mut requests: BTreeMap<&str, u64> = BTreeMap::new();
    for path in &paths {
        *requests.entry(path.segments.get(depth).copied().unwrap_or_default()).or_default() += path.requests;
    }
    let is_id = ids(&requests);
    if requests.len() >= CROWD_MIN && requests.keys().all(|segment| !is_id(segment)) {
        found.crowds.push(crowd(service, &paths, depth, before));
    }
    let mut below: BTreeMap<String, Vec<Path<'_>>> = BTreeMap::new();
    for path in paths {
        let segment = path.segments.get(depth).copied().unwrap_or_default();
        let segment = if is_id(segment) { ID } else { segment };
        below.entry(segment.to_owned()).or_default().push(path);
    }
    for (segment, paths) in below {
        before.push(segment);
        place(service, paths, depth + 1, before, found);
        before.pop();
    }
}

fn crowd(service: &str, paths: &[Path<'_>], depth: usize, before: &[String]) -> Crowd {
    let verb = paths.first().map_or("", |path| path.verb);
    let rest = paths.first().map_or(0, |path| path.segments.len() - depth - 1);
    let parts: Vec<&str> =
        before.iter().map(String::as_str).chain(std::iter::once("*")).chain((0..rest).map(|_| "*")).collect();
    Crowd {
        service: service.to_owned(),
        template: format!("{verb}/{}", parts.join("/")),
        operations: paths.len() as u64,
        examples: paths.iter().take(EXAMPLES_MAX).map(|path| path.name.to_owned()).collect(),
    }
}

/// Which segments of a place are ids, by how often each is asked for.
fn ids<'a>(requests: &BTreeMap<&'a str, u64>) -> impl Fn(&str) -> bool + use<'a> {
    let own = |segment: &&str| !segment.is_empty() && **segment != *ID;
    let count = requests.keys().filter(|segment| own(segment)).count();
    let all: u64 = requests.values().sum();
    let many = count >= TOO_MANY || (count >= MANY_MIN && all < OFTEN_MIN * count as u64);
    let tokens = requests.keys().filter(|segment| is_token(segment)).count() >= TOKENS_MIN;
    let frequent: BTreeSet<&'a str> = requests
        .iter()
        .filter(|(segment, count)| {
            **count >= OFTEN_MIN && **count * FREQUENT_PART >= all && !is_token(segment)
        })
        .map(|(segment, _)| *segment)
        .collect();
    move |segment| {
        !segment.is_empty()
            && (segment == ID
                || is_mail(segment)
                || (tokens && is_token(segment))
                || (many && !frequent.contains(segment)))
    }
}

/// `jane@example.org`, also with `%40`.
fn is_mail(segment: &str) -> bool {
    let parts = segment.split_once('@').or_else(|| segment.split_once("%40"));
    parts.is_some_and(|(name, host)| !name.is_empty() && host.contains('.') && !host.ends_with('.'))
}

/// With three digits at least or two apart, or padded as base64 is: `user-4711`, `a1b2c3`, `dQw4w9WgXcQ`, `SGVsbG8=`; not `service10`, `v2beta1`.
fn is_token(segment: &str) -> bool {
    let allowed =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'=' | b'.' | b'~' | b'%' | b'+');
    if segment.len() < TOKEN_BYTES_MIN || !segment.bytes().all(allowed) || is_version(segment) {
        return false;
    }
    let runs: Vec<usize> =
        segment.split(|c: char| !c.is_ascii_digit()).map(str::len).filter(|digits| *digits > 0).collect();
    runs.iter().sum::<usize>() >= 3 || runs.len() >= 2 || segment.ends_with('=')
}

/// `v2`, `v2beta1`, `v1.2.3-rc1`.
fn is_version(segment: &str) -> bool {
    let words = ["alpha", "beta", "rc"];
    let Some(rest) = segment.strip_prefix('v').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    else {
        return false;
    };
    let letters = rest.split(|c: char| !c.is_ascii_alphabetic()).filter(|part| !part.is_empty());
    letters.into_iter().all(|part| words.contains(&part)) && rest.len() <= 16
}

/// Names without a path that differ in numbers only.
fn numbered(names: &[&str], found: &mut Templates) {
    let mut by_template: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for name in names.iter().filter(|name| name.bytes().any(|b| b.is_ascii_digit())) {
        by_template.entry(without_numbers(name)).or_default().push(name);
    }
    for (template, names) in by_template.into_iter().filter(|(_, names)| names.len() >= NUMBERED_MIN) {
        found.renamed.extend(names.into_iter().map(|name| (name.to_owned(), template.clone())));
    }
}

fn without_numbers(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for character in name.chars() {
        if !character.is_ascii_digit() {
            text.push(character);
        } else if !text.ends_with(ID) {
            text.push_str(ID);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(names: &[String], requests: u64) -> BTreeSet<String> {
        let operations: Operations = names.iter().map(|name| (name.clone(), requests)).collect();
        let found = templates("front", &operations, &BTreeSet::new());
        names.iter().map(|name| found.renamed.get(name).unwrap_or(name).clone()).collect()
    }

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn set(names: &[&str]) -> BTreeSet<String> {
        list(names).into_iter().collect()
    }

    #[test]
    fn an_address_is_an_id() {
        let found = renamed(&list(&["GET /users/jane@example.org", "GET /users/joe%40example.org/cart"]), 1);
        assert_eq!(found, set(&["GET /users/{id}", "GET /users/{id}/cart"]));
    }

    #[test]
    fn tokens_are_ids_where_there_are_several() {
        let found =
            renamed(&list(&["/v/dQw4w9WgXcQ/play", "/v/SGVsbG8gd29ybGQ=/play", "/v/user-4711/play"]), 9);
        assert_eq!(found, set(&["/v/{id}/play"]));
        let versions = ["/api/v2024-01/cart", "/api/v2024-02/cart"];
        assert_eq!(renamed(&list(&versions), 9), set(&versions));
    }

    #[test]
    fn many_names_are_ids_but_those_that_are_frequent() {
        let name = |n: u32| {
            format!("GET /users/{}/orders", ["ann", "bob", "cy"][n as usize % 3].repeat(1 + n as usize / 3))
        };
        let names: Vec<_> = (0..300).map(name).collect();
        let mut operations: Operations = names.iter().map(|name| (name.clone(), 2)).collect();
        operations.insert("GET /users/me/orders".to_owned(), 400);
        let found = templates("front", &operations, &BTreeSet::new());
        assert_eq!(found.renamed.values().collect::<BTreeSet<_>>().len(), 1);
        assert_eq!((found.renamed.len(), found.renamed.contains_key("GET /users/me/orders")), (300, false));
        let told = generalized("front", &found);
        assert_eq!((told[0].template.as_str(), told[0].operations), ("GET /users/{id}/orders", 300));
    }

    #[test]
    fn an_api_stays_and_is_told() {
        let word =
            |n: usize| ["alpha", "beta", "gamma", "delta", "eps"][n % 5].to_owned() + &"x".repeat(n / 5);
        let names: Vec<_> = (0..40).map(|n| format!("GET /api/{}", word(n))).collect();
        assert_eq!(renamed(&names, 100).len(), 40);
        let operations: Operations = names.iter().map(|name| (name.clone(), 100)).collect();
        let [crowd] = &templates("front", &operations, &BTreeSet::new()).crowds[..] else { panic!("one") };
        assert_eq!((crowd.template.as_str(), crowd.operations), ("GET /api/*", 40));
    }

    #[test]
    fn words_are_no_tokens() {
        for word in [
            "getUserById",
            "checkout",
            "ListRecommendations",
            "hipstershop.CartService",
            "wrk2-api",
            "service10",
            "v1.2.3-rc1",
            "v2beta1",
        ] {
            assert!(!is_token(word), "{word}");
        }
    }

    #[test]
    fn numbers_outside_of_paths_are_ids_where_there_are_many() {
        let jobs: Vec<_> = (0..20).map(|n| format!("job-{n} of 7")).collect();
        assert_eq!(renamed(&jobs, 1), set(&["job-{id} of {id}"]));
        let steps = ["step1", "step2"];
        assert_eq!(renamed(&list(&steps), 1), set(&steps));
    }

    #[test]
    fn names_that_are_kept_stay() {
        let operations = Operations::from([("/u/a@b.c".to_owned(), 1), ("/u/d@e.f".to_owned(), 1)]);
        let kept = BTreeSet::from(["/u/a@b.c".to_owned()]);
        let found = templates("front", &operations, &kept);
        assert_eq!(
            found.renamed.into_iter().collect::<Vec<_>>(),
            [("/u/d@e.f".to_owned(), "/u/{id}".to_owned())]
        );
    }
}
