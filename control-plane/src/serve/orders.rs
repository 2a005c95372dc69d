//! `POST /api/v1/enforcement`: from the bytes of a request to an order, and its answer.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use emac_core::id::JourneyName;
use emac_document::did_you_mean;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinError;

use super::api;
use super::enforcement::share::told;
use super::enforcement::{Action, Order, Overtaken};
use super::guard::Refused;
use super::http::json as answer;
use super::state::Shared;
use crate::identity::Changer;

/// Names of a few hundred journeys and a reason fit.
const BODY_BYTES_MAX: usize = 64 << 10;
/// How long a body may take to come.
const BODY_WITHIN: Duration = Duration::from_secs(5);
/// Longest `why` and `who`, in characters.
const WORDS_MAX: usize = 500;
/// Most names stopped that no journey has: every replica keeps them.
const STRANGE_MAX: usize = 100;

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    action: Action,
    /// Left out: all.
    journeys: Option<Vec<String>>,
    why: String,
    /// Heard only where nothing proves who it is.
    who: Option<String>,
    /// Refused if another order came since this revision.
    revision: Option<u64>,
}

/// Takes an order.
pub(super) async fn enforce(
    State(shared): State<Arc<Shared>>,
    Extension(changer): Extension<Changer>,
    body: Body,
) -> Response {
    let bytes = match read(body).await {
        Ok(bytes) => bytes,
        Err(refused) => return shared.guard.answer(&refused, shared.clock.now()),
    };
    match understood(&shared, &bytes) {
        Ok(asked) => obey(shared, asked, changer).await,
        Err((status, why)) => (status, format!("{why}\n")).into_response(),
    }
}

async fn read(body: Body) -> Result<Vec<u8>, Refused> {
    match tokio::time::timeout(BODY_WITHIN, Limited::new(body, BODY_BYTES_MAX).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes().to_vec()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let why = format!("the body is longer than {BODY_BYTES_MAX} bytes");
            Err(Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", why))
        }
        Ok(Err(error)) => Err(Refused::new(StatusCode::BAD_REQUEST, "malformed", error.to_string())),
        Err(_) => {
            let why = format!("the body did not come within {} s", BODY_WITHIN.as_secs());
            Err(Refused::new(StatusCode::REQUEST_TIMEOUT, "too_slow", why))
        }
    }
}

fn understood(shared: &Shared, bytes: &[u8]) -> Result<Asked, (StatusCode, String)> {
    let bad = |why: String| (StatusCode::BAD_REQUEST, why);
    let asked: Asked = serde_json::from_slice(bytes).map_err(|error| bad(format!("the body: {error}")))?;
    for (name, text) in [("why", Some(&asked.why)), ("who", asked.who.as_ref())] {
        let Some(text) = text else { continue };
        if text.trim().is_empty() || text.chars().count() > WORDS_MAX || text.chars().any(char::is_control) {
            return Err(bad(format!(
                "{name}: 1 to {WORDS_MAX} characters, none of which controls a terminal"
            )));
        }
    }
    let Some(names) = &asked.journeys else { return Ok(asked) };
    if names.is_empty() {
        return Err(bad("journeys: none is named; leave it out for all".to_owned()));
    }
    checked(shared, asked.action, names)?;
    Ok(asked)
}

/// Whoever stops is not refused because no journey has the name: it is in the answer. Whoever resumes has time to write it right.
fn checked(shared: &Shared, action: Action, names: &[String]) -> Result<(), (StatusCode, String)> {
    let planned = shared.planned();
    let known: HashSet<&str> = planned.iter().map(|intent| intent.name.as_str()).collect();
    let stops = shared.enforcement.stops();
    let stopped = &stops.switch.journeys;
    let strange: Vec<&String> = names.iter().filter(|name| !known.contains(name.as_str())).collect();
    for &name in &strange {
        if let Err(error) = JourneyName::new(name) {
            let why = format!("no journey can be called `{}`: {error}", name.escape_debug());
            return Err((StatusCode::BAD_REQUEST, why));
        }
        // What was stopped can be resumed, though its intent is gone.
        if action == Action::Resume && !stopped.contains_key(name) {
            let near = did_you_mean(name, known.iter().copied());
            let help = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            return Err((StatusCode::NOT_FOUND, format!("no journey `{name}` is planned or stopped{help}")));
        }
    }
    let before = stopped.keys().filter(|name| !known.contains(name.as_str())).count();
    if action == Action::Stop && before + strange.len() > STRANGE_MAX {
        let why = format!(
            "more than {STRANGE_MAX} names would be stopped that no journey has; leave `journeys` out to stop all, or resume some of them"
        );
        return Err((StatusCode::BAD_REQUEST, why));
    }
    Ok(())
}

async fn obey(shared: Arc<Shared>, asked: Asked, changer: Changer) -> Response {
    let (by, proven) = match changer {
        Changer::Operator(name) => (name, true),
        Changer::Loopback => (asked.who.unwrap_or_else(|| "somebody".to_owned()), false),
    };
    let order = Order { by, proven, why: asked.why, at_unix_ms: shared.clock.unix_ms() };
    match ordered(&shared, (asked.action, asked.journeys), order, asked.revision).await {
        Ok(Ok((changed, mut state))) => {
            state["changed"] = json!(changed);
            answer(&state)
        }
        Ok(Err(Overtaken { revision })) => {
            let why =
                format!("another order came between: the revision is {revision}; look again, then repeat\n");
            (StatusCode::CONFLICT, why).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

/// Gives an order: it is in force here before anything else; then the other replicas are told, as far as NATS is there.
async fn ordered(
    shared: &Arc<Shared>,
    (action, journeys): (Action, Option<Vec<String>>),
    order: Order,
    seen: Option<u64>,
) -> Result<Result<(bool, Value), Overtaken>, JoinError> {
    let giving = {
        let (shared, order) = (Arc::clone(shared), order.clone());
        move || {
            if let Some(cluster) = &shared.cluster {
                shared.enforcement.set_apart(!cluster.is_connected());
            }
            let ordered = shared.enforcement.order(action, journeys, order, seen, shared.moment());
            shared.replan.notify_one();
            shared.tell.notify_one();
            ordered
        }
    };
    let changed = match tokio::task::spawn_blocking(giving).await? {
        Ok(changed) => changed,
        Err(overtaken) => return Ok(Err(overtaken)),
    };
    told(shared).await;
    if shared.enforcement.was_overtaken(&order) {
        return Ok(Err(Overtaken { revision: shared.enforcement.stops().switch.revision }));
    }
    let state = {
        let shared = Arc::clone(shared);
        tokio::task::spawn_blocking(move || api::enforcement(&shared)).await?
    };
    Ok(Ok((changed, state)))
}
