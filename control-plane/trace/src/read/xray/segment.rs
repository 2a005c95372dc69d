//! One segment document.

use std::borrow::Cow;

use crate::SpanKind;
use crate::read::attributes::Attributes;
use crate::read::console;
use crate::read::context::ReadContext;
use crate::read::found::{RawSpan, Reporter};
use crate::read::id::Form;
use crate::read::json::{Json, Stop, Value};
use crate::read::keys::{AttributeKey, Keys};

/// Subsegments within subsegments that are read.
const DEPTH_MAX: usize = 64;

/// A segment or subsegment, and those below it.
#[derive(Default)]
pub(super) struct Segment<'a> {
    found: RawSpan<'a>,
    name: Cow<'a, str>,
    namespace: Cow<'a, str>,
    method: Cow<'a, str>,
    url: Cow<'a, str>,
    aws: Aws<'a>,
    end_ns: Option<i128>,
    inferred: bool,
    /// How many lie too deep.
    deeper: u64,
    below: Vec<Segment<'a>>,
}

/// What is known of an AWS resource.
#[derive(Default)]
struct Aws<'a> {
    operation: Cow<'a, str>,
    table: Cow<'a, str>,
    queue: Cow<'a, str>,
    function: Cow<'a, str>,
    zone: Cow<'a, str>,
    instance: Cow<'a, str>,
    cluster: Cow<'a, str>,
}

impl<'a> Segment<'a> {
    /// Reads an object. Subsegments that lie too deep are counted.
    pub(super) fn read(json: &mut Json<'a>, keys: &Keys, depth: usize) -> Result<Self, Stop> {
        let mut segment = Self::default();
        json.object(|json, key| segment.field(json, key, keys, depth))?;
        let Self { found, end_ns, .. } = &mut segment;
        found.duration_ns = end_ns.zip(found.start_ns).map(|(end, start)| end.saturating_sub(start));
        Ok(segment)
    }

    fn field(&mut self, json: &mut Json<'a>, key: &str, keys: &Keys, depth: usize) -> Result<(), Stop> {
        let found = &mut self.found;
        match key {
            "trace_id" => found.set_trace(&w3c(&json.value()?), Form::Hex),
            "id" => found.set_id(&json.value()?, Form::Hex),
            "parent_id" => found.set_parent(&json.value()?, Form::Hex),
            "name" => self.name = text(json)?,
            "namespace" => self.namespace = text(json)?,
            "start_time" => found.start_ns = found.time("start_time", &json.value()?, nanoseconds),
            "end_time" => self.end_ns = found.time("end_time", &json.value()?, nanoseconds),
            "fault" => found.error = json.value()?.is_true(),
            "inferred" => self.inferred = json.value()?.is_true(),
            "annotations" => console::attributes(json, keys, &mut found.attributes)?,
            "http" => self.http(json)?,
            "sql" => self.sql(json)?,
            "aws" => self.aws.read(json)?,
            "subsegments" => self.subsegments(json, keys, depth + 1)?,
            _ => json.skip()?,
        }
        Ok(())
    }

    fn subsegments(&mut self, json: &mut Json<'a>, keys: &Keys, depth: usize) -> Result<(), Stop> {
        json.array(|json| {
            if depth > DEPTH_MAX {
                self.deeper += 1;
                return json.skip();
            }
            self.below.push(Self::read(json, keys, depth)?);
            Ok(())
        })
        .map(drop)
    }

    fn http(&mut self, json: &mut Json<'a>) -> Result<(), Stop> {
        json.object(|json, key| match key {
            "request" => json
                .object(|json, key| {
                    match key {
                        "method" => self.method = text(json)?,
                        "url" => self.url = text(json)?,
                        _ => json.skip()?,
                    }
                    Ok(())
                })
                .map(drop),
            "response" => json
                .object(|json, key| {
                    if key != "status" {
                        return json.skip();
                    }
                    let status = json.value()?;
                    self.found.attributes.set(AttributeKey::HttpStatus, b"", status);
                    Ok(())
                })
                .map(drop),
            _ => json.skip(),
        })
        .map(drop)
    }

    fn sql(&mut self, json: &mut Json<'a>) -> Result<(), Stop> {
        let attributes = &mut self.found.attributes;
        attributes.db_system = Cow::Borrowed("sql");
        json.object(|json, key| {
            match key {
                "url" => attributes.url = text(json)?,
                "database_type" => attributes.db_system = Cow::Owned(text(json)?.to_lowercase()),
                _ => json.skip()?,
            }
            Ok(())
        })
        .map(drop)
    }

    /// Hands on the segment and all below it, in the name of its service.
    pub(super) fn hand_on(mut self, context: &mut ReadContext<'_>) {
        if self.inferred {
            return;
        }
        let mut process = Attributes::of_service(self.name.clone());
        self.aws.place(&mut process);
        let reporter = Reporter::new(&process, context);
        self.found.kind = SpanKind::Server;
        let trace = self.found.trace;
        let mut open = vec![self];
        while let Some(mut segment) = open.pop() {
            for mut below in segment.below.drain(..) {
                below.found.trace = trace;
                below.found.parent =
                    segment.found.id.map_or(below.found.parent, crate::read::found::Parent::Is);
                below.say_whom();
                open.push(below);
            }
            (0..segment.deeper).for_each(|_| context.malformed("a subsegment 64 levels deep"));
            segment.say_what();
            segment.found.hand_on(reporter, context);
        }
    }

    /// Whom a subsegment calls, if anybody.
    fn say_whom(&mut self) {
        let Self { found: RawSpan { kind, attributes, .. }, name, namespace, url, aws, .. } = self;
        if namespace.is_empty() && attributes.db_system.is_empty() {
            return;
        }
        *kind = SpanKind::Client;
        if !attributes.db_system.is_empty() {
            // `shop@db.example.com`
            let (database, host) = name.split_once('@').unwrap_or((name, ""));
            attributes.db_name = Cow::Owned(database.to_owned());
            attributes.address = Cow::Owned(host.to_owned());
        } else if namespace != "aws" {
            attributes.address = name.clone();
            attributes.url = url.clone();
        } else if !aws.table.is_empty() {
            attributes.db_system = Cow::Owned(name.to_lowercase());
            attributes.db_name = aws.table.clone();
        } else if !aws.queue.is_empty() {
            attributes.messaging_system = Cow::Owned(name.to_lowercase());
            let queue = aws.queue.rsplit('/').next().unwrap_or_default();
            attributes.destination = Cow::Owned(queue.to_owned());
            let sends = aws.operation.starts_with("Send") || aws.operation.starts_with("Publish");
            *kind = if sends { SpanKind::Producer } else { SpanKind::Client };
        } else {
            attributes.peer_service =
                if aws.function.is_empty() { name.clone() } else { aws.function.clone() };
        }
    }

    /// What is done: the request, or else the operation of AWS, or else the name.
    fn say_what(&mut self) {
        self.found.name = match (&*self.method, &*self.url, &*self.aws.operation) {
            (method, url, _) if !url.is_empty() => Cow::Owned(format!("{method} {url}").trim().to_owned()),
            (_, _, operation) if !operation.is_empty() => self.aws.operation.clone(),
            _ => self.name.clone(),
        };
    }
}

impl<'a> Aws<'a> {
    fn read(&mut self, json: &mut Json<'a>) -> Result<(), Stop> {
        json.object(|json, key| {
            match key {
                "operation" => self.operation = text(json)?,
                "table_name" => self.table = text(json)?,
                "queue_url" => self.queue = text(json)?,
                "function_name" => self.function = text(json)?,
                "ec2" | "ecs" | "eks" => self.host(json)?,
                _ => json.skip()?,
            }
            Ok(())
        })
        .map(drop)
    }

    fn host(&mut self, json: &mut Json<'a>) -> Result<(), Stop> {
        json.object(|json, key| {
            match key {
                "availability_zone" => self.zone = text(json)?,
                "instance_id" | "container" | "pod" => self.instance = text(json)?,
                "cluster_name" => self.cluster = text(json)?,
                _ => json.skip()?,
            }
            Ok(())
        })
        .map(drop)
    }

    /// Where a segment's process runs.
    fn place(&self, process: &mut Attributes<'a>) {
        process.instance_id = self.instance.clone();
        let labels = [("cloud.availability_zone", &self.zone), ("k8s.cluster.name", &self.cluster)];
        let said = labels.into_iter().filter(|(_, value)| !value.is_empty());
        process.labels.extend(said.map(|(key, value)| (Cow::Borrowed(key), value.clone())));
    }
}

fn text<'a>(json: &mut Json<'a>) -> Result<Cow<'a, str>, Stop> {
    Ok(json.value()?.text().unwrap_or_default())
}

/// `1-5759e988-bd862e3fe1be46a994272793`: version, time and number; the last two are the id of W3C Trace Context.
fn w3c<'v>(value: &Value<'v>) -> Value<'v> {
    match value {
        Value::Text(text) => match text.strip_prefix("1-").and_then(|rest| rest.split_once('-')) {
            Some((time, number)) => Value::Text(Cow::Owned(format!("{time}{number}"))),
            None => value.clone(),
        },
        value => value.clone(),
    }
}

/// Nanoseconds of seconds with a fraction, which a double holds to a microsecond.
fn nanoseconds(value: &Value<'_>) -> Option<i128> {
    match value {
        Value::Int(seconds) => seconds.checked_mul(1_000_000_000),
        Value::Double(seconds) if seconds.is_finite() => Some((seconds * 1e6).round() as i128 * 1_000),
        _ => None,
    }
}
