//! Zipkin's version 1, which has no kinds: what a span is stands in its annotations.
//!
//! | annotations | half of a call |
//! |---|---|
//! | `cs`, `cr` | the client's: sent, received |
//! | `sr`, `ss` | the server's: received, sent |
//! | `ms`, `mr` | the producer's, the consumer's |
//!
//! One object may hold both halves of a call, which are two spans of one id here; its own times are then the client's. Each annotation names the
//! endpoint that made it. Binary annotations are tags; `sa`, `ca` and `ma` name the other end. A server that leaves the times to the client
//! shares the client's id. As `zipkin.internal.V1SpanConverter` has it.

use std::borrow::Cow;

use super::{Endpoint, endpoint};
use crate::SpanKind;
use crate::read::found::RawSpan;
use crate::read::jaeger::microseconds;
use crate::read::json::{Json, Stop, Value};
use crate::read::keys::Keys;

/// What annotations say.
#[derive(Debug, Default)]
pub(super) struct Old<'a> {
    /// Client, server, producer, consumer.
    halves: [Half<'a>; 4],
    tags: Vec<Tag<'a>>,
    /// Who made an annotation that tells no half.
    local: Endpoint<'a>,
    /// The other end.
    remote: Endpoint<'a>,
}

const CLIENT: usize = 0;
const SERVER: usize = 1;
const KINDS: [SpanKind; 4] = [SpanKind::Client, SpanKind::Server, SpanKind::Producer, SpanKind::Consumer];

#[derive(Clone, Debug, Default)]
struct Half<'a> {
    start_ns: Option<i128>,
    end_ns: Option<i128>,
    endpoint: Endpoint<'a>,
    is_there: bool,
}

#[derive(Debug)]
struct Tag<'a> {
    name: Cow<'a, str>,
    value: Value<'a>,
    endpoint: Endpoint<'a>,
}

/// Which half an annotation is of, and whether it is its start.
fn half_of(annotation: &str) -> Option<(usize, bool)> {
    Some(match annotation {
        "cs" => (CLIENT, true),
        "cr" => (CLIENT, false),
        "sr" => (SERVER, true),
        "ss" => (SERVER, false),
        "ms" => (2, true),
        "mr" => (3, true),
        _ => return None,
    })
}

impl<'a> Old<'a> {
    /// Reads `[{"timestamp", "value": "cs", "endpoint"}]`.
    pub(super) fn annotations(&mut self, json: &mut Json<'a>) -> Result<(), Stop> {
        json.array(|json| {
            let (mut at, mut value, mut maker) = (None, None, Endpoint::default());
            json.object(|json, key| {
                match key {
                    "timestamp" => at = microseconds(&json.value()?),
                    "value" => value = json.value()?.text(),
                    "endpoint" => maker = endpoint(json)?,
                    _ => json.skip()?,
                }
                Ok(())
            })?;
            self.annotate(at, value.as_deref().unwrap_or_default(), maker);
            Ok(())
        })
        .map(drop)
    }

    fn annotate(&mut self, at: Option<i128>, value: &str, maker: Endpoint<'a>) {
        let half = half_of(value).and_then(|(half, begins)| Some((self.halves.get_mut(half)?, begins)));
        let Some((half, begins)) = half else {
            if self.local.is_empty() {
                self.local = maker;
            }
            return;
        };
        half.is_there = true;
        if begins {
            half.start_ns = at;
        } else {
            half.end_ns = at;
        }
        if half.endpoint.is_empty() {
            half.endpoint = maker;
        }
    }

    /// Reads `[{"key", "value", "endpoint"}]`.
    pub(super) fn binary_annotations(&mut self, json: &mut Json<'a>) -> Result<(), Stop> {
        json.array(|json| {
            let (mut name, mut value, mut maker) = (Cow::Borrowed(""), Value::Null, Endpoint::default());
            json.object(|json, key| {
                match key {
                    "key" => name = json.value()?.text().unwrap_or_default(),
                    "value" => value = json.value()?,
                    "endpoint" => maker = endpoint(json)?,
                    _ => json.skip()?,
                }
                Ok(())
            })?;
            if matches!(name.as_ref(), "sa" | "ca" | "ma") {
                self.address(&name, maker);
            } else {
                self.tags.push(Tag { name, value, endpoint: maker });
            }
            Ok(())
        })
        .map(drop)
    }

    /// The other end, which tells on which end the span was recorded.
    fn address(&mut self, name: &str, maker: Endpoint<'a>) {
        if name == "sa" && !self.halves.iter().any(|half| half.is_there) {
            self.halves.iter_mut().take(1).for_each(|half| half.is_there = true);
        }
        if name != "ca" {
            self.remote = maker;
        }
    }

    pub(super) fn says_anything(&self) -> bool {
        self.halves.iter().any(|half| half.is_there) || !self.tags.is_empty() || !self.local.is_empty()
    }

    /// The halves of `whole`, each with who made it.
    pub(super) fn halves(&self, whole: &RawSpan<'a>, keys: &Keys) -> Vec<(RawSpan<'a>, Endpoint<'a>)> {
        let there = |half: usize| self.halves.get(half).is_some_and(|half| half.is_there);
        let two = there(CLIENT) && there(SERVER);
        let mut found: Vec<(RawSpan<'a>, Endpoint<'a>)> = Vec::new();
        for (number, (half, kind)) in self.halves.iter().zip(KINDS).enumerate() {
            if half.is_there {
                let whole = RawSpan { kind, ..whole.clone() };
                let half = self.half(whole, half, two && number == SERVER, found.is_empty(), keys);
                found.push(half);
            }
        }
        if found.is_empty() {
            found.push(self.half(whole.clone(), &Half::default(), false, true, keys));
        }
        found
    }

    fn half(
        &self,
        whole: RawSpan<'a>,
        half: &Half<'a>,
        joined: bool,
        first: bool,
        keys: &Keys,
    ) -> (RawSpan<'a>, Endpoint<'a>) {
        let endpoint = if half.endpoint.is_empty() { self.maker() } else { half.endpoint.clone() };
        let said = whole.start_ns.filter(|_| !joined);
        let lasted = half.end_ns.zip(half.start_ns).map(|(end, start)| end.saturating_sub(start));
        let mut found = RawSpan {
            start_ns: said.or(half.start_ns),
            duration_ns: whole.duration_ns.filter(|_| !joined).or(lasted),
            shared: whole.kind == SpanKind::Server && said.is_none(),
            ..whole
        };
        for tag in &self.tags {
            let mine = if tag.endpoint.service.is_empty() {
                first
            } else {
                tag.endpoint.service == endpoint.service
            };
            if let Some(key) = keys.of(tag.name.as_bytes()).filter(|_| mine) {
                found.attributes.set(key, tag.name.as_bytes(), super::telling(tag.value.clone()));
            }
        }
        found.error = found.attributes.error != Value::Null;
        if found.kind != SpanKind::Server {
            self.remote.clone().name_peer(&mut found.attributes);
        }
        (found, endpoint)
    }

    /// Who made any annotation.
    fn maker(&self) -> Endpoint<'a> {
        let tagged = self.tags.iter().map(|tag| &tag.endpoint);
        let found = tagged.chain([&self.local]).find(|endpoint| !endpoint.is_empty());
        found.cloned().unwrap_or_default()
    }
}
