//! What this control plane has in NATS, made where it is missing and checked where it is there.
//!
//! | name | holds |
//! |---|---|
//! | stream `PREFIX-evidence`, subjects `PREFIX.evidence.<partition>` | reports as they came, until they are judged |
//! | stream `PREFIX-counted`, subjects `PREFIX.counted.<partition>` | the log of what counts, until it is in a snapshot |
//! | bucket `PREFIX-state` | `plan`, `planner`, `snapshot`, `enforcement`; their parts under `part.`; what plans are made from under `model.` |
//! | subjects `PREFIX.replicas`, `PREFIX.proxies` | replicas say that they are there, and who is connected to them; kept nowhere |

use std::collections::HashMap;

use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType, Stream};
use async_nats::jetstream::{Context, ErrorCode, kv};
use std::time::Duration;
use tracing::{info, warn};

use crate::config::Nats;

/// What this program writes; another number is another layout.
const SCHEMA: &str = "1";
/// Partitions of a new control plane: enough shares for a dozen replicas, few enough for a consumer each.
const PARTITIONS: u16 = 16;
/// A report that came twice within this is in the stream once; what comes later is found by its mark.
const DUPLICATES: Duration = Duration::from_secs(10);

/// Everything opened.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) context: Context,
    pub(super) names: Names,
    pub(super) evidence: Stream,
    pub(super) counted: Stream,
    pub(super) state: kv::Store,
    pub(super) partitions: u16,
}

/// Names made from the prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names {
    prefix: String,
}

/// Why a layout cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum LayoutError {
    /// This configuration never fits what is there.
    #[error("{0}")]
    Foreign(String),
    /// It may work later.
    #[error("{0}")]
    Later(String),
}

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    pub(super) fn evidence(&self, partition: u16) -> String {
        format!("{}.evidence.{partition}", self.prefix)
    }

    pub(super) fn counted(&self, partition: u16) -> String {
        format!("{}.counted.{partition}", self.prefix)
    }

    /// The partition at the end of a subject.
    pub(super) fn partition(subject: &str) -> Option<u16> {
        subject.rsplit('.').next()?.parse().ok()
    }

    /// Every entry of the log.
    pub(super) fn all_counted(&self) -> String {
        format!("{}.counted.*", self.prefix)
    }

    pub(super) fn replicas(&self) -> String {
        format!("{}.replicas", self.prefix)
    }

    pub(super) fn proxies(&self) -> String {
        format!("{}.proxies", self.prefix)
    }

    /// Every value of the bucket, but not parts and models, whose names have dots.
    pub(super) fn heads(&self) -> String {
        format!("{}*", self.key(""))
    }

    /// Everything that a plan was made from.
    pub(super) fn models(&self) -> String {
        self.key("model.*.*")
    }

    /// Subject of a key of the bucket.
    pub(super) fn key(&self, key: &str) -> String {
        format!("$KV.{}-state.{key}", self.prefix)
    }
}

impl Layout {
    /// Opens everything, making what is missing.
    pub(super) async fn open(context: Context, config: &Nats) -> Result<Self, LayoutError> {
        let names = Names::new(&config.prefix);
        let evidence = stream(&context, config, "evidence").await?;
        let counted = stream(&context, config, "counted").await?;
        let partitions = partitions(&evidence)?;
        let state = bucket(&context, config).await?;
        Ok(Self { context, names, evidence, counted, state, partitions })
    }

    /// Tries what only a report would try otherwise: an empty message, which nobody takes for one.
    pub(super) async fn probe(&self) -> Result<(), LayoutError> {
        let subject = self.names.evidence(0);
        let sent = self
            .context
            .publish(subject.clone(), "".into())
            .await
            .map_err(|error| later(&subject, &error))?;
        sent.await.map(drop).map_err(|error| later(&subject, &error))
    }
}

async fn stream(context: &Context, config: &Nats, part: &str) -> Result<Stream, LayoutError> {
    let name = format!("{}-{part}", config.prefix);
    let subject = format!("{}.{part}.*", config.prefix);
    let found = match context.get_stream(&name).await {
        Ok(found) => found,
        Err(error) if is_missing(&error.kind()) => {
            info!(stream = name, replicas = config.replicas, "made");
            let wanted = wanted(config, name.clone(), subject);
            context.create_stream(wanted).await.map_err(|error| later(&name, &error))?
        }
        Err(error) => return Err(later(&name, &error)),
    };
    check(&found, config, &name)?;
    copies(context, config, &found, &name).await;
    Ok(found)
}

fn is_missing(kind: &GetStreamErrorKind) -> bool {
    matches!(kind, GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

fn wanted(config: &Nats, name: String, subject: String) -> Config {
    let metadata = [
        ("emac.cluster", config.cluster.clone()),
        ("emac.schema", SCHEMA.to_owned()),
        ("emac.partitions", PARTITIONS.to_string()),
    ];
    Config {
        name,
        description: Some(format!("EmaC control plane {}", config.cluster)),
        subjects: vec![subject],
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        // Full, it refuses what is new: what is not acknowledged stays with the sidecar.
        discard: DiscardPolicy::New,
        max_bytes: i64::try_from(config.stream_bytes).unwrap_or(i64::MAX),
        num_replicas: config.replicas,
        duplicate_window: DUPLICATES,
        metadata: metadata.map(|(key, value)| (key.to_owned(), value)).into(),
        allow_direct: true,
        ..Config::default()
    }
}

/// Whether the stream is of this control plane and of this program.
fn check(stream: &Stream, config: &Nats, name: &str) -> Result<(), LayoutError> {
    let metadata = &stream.cached_info().config.metadata;
    let of = |key: &str| metadata.get(key).map_or("", String::as_str);
    if of("emac.cluster") != config.cluster {
        return Err(LayoutError::Foreign(format!(
            "stream {name} belongs to the control plane `{}`, this one is `{}` (engine.nats.cluster): two control planes must not share \
             subjects. Give this one another `prefix`, or the name of that one if it is to be a replica of it",
            of("emac.cluster"),
            config.cluster
        )));
    }
    if of("emac.schema") != SCHEMA {
        return Err(LayoutError::Foreign(format!(
            "stream {name} has schema {}, this program writes schema {SCHEMA}; use the version that made it",
            of("emac.schema")
        )));
    }
    Ok(())
}

/// From one server to three: the number of copies follows the configuration.
async fn copies(context: &Context, config: &Nats, stream: &Stream, name: &str) {
    let known = &stream.cached_info().config;
    if known.num_replicas == config.replicas {
        return;
    }
    let (was, is) = (known.num_replicas, config.replicas);
    match context.update_stream(Config { num_replicas: is, ..known.clone() }).await {
        Ok(_) => info!(stream = name, was, is, "copies"),
        Err(error) => warn!(stream = name, was, wanted = is, %error, "the number of copies stays as it was"),
    }
}

fn partitions(evidence: &Stream) -> Result<u16, LayoutError> {
    let metadata: &HashMap<String, String> = &evidence.cached_info().config.metadata;
    let said = metadata.get("emac.partitions").and_then(|text| text.parse().ok()).filter(|count| *count > 0);
    said.ok_or_else(|| {
        LayoutError::Foreign("the evidence stream does not say how many partitions it has".to_owned())
    })
}

async fn bucket(context: &Context, config: &Nats) -> Result<kv::Store, LayoutError> {
    let name = format!("{}-state", config.prefix);
    if let Ok(found) = context.get_key_value(&name).await {
        return Ok(found);
    }
    let wanted = kv::Config {
        bucket: name.clone(),
        description: format!("EmaC control plane {}", config.cluster),
        history: 1,
        storage: StorageType::File,
        num_replicas: config.replicas,
        ..kv::Config::default()
    };
    context.create_key_value(wanted).await.map_err(|error| later(&name, &error))
}

fn later(name: &str, error: &dyn std::error::Error) -> LayoutError {
    LayoutError::Later(format!("{name}: {}", whole(error)))
}

/// An error with its causes.
pub(super) fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let said = inner.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        source = inner.source();
    }
    text
}
