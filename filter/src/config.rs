//! The plugin configuration: JSON, checked as a whole, unknown fields refused.
//!
//! Every field has a default, so that `{}` observes. A configuration that cannot be read never breaks traffic: the filter logs why,
//! counts it, and lets everything pass.

mod budgets;
mod fields;

use emac_core::budget::{Mode, WorkloadBudgets};
use emac_core::entry::PathTemplate;
use emac_core::id::WorkloadName;
use emac_core::units::{Micros, Millis, Ppm};

use crate::root::target::GrpcTarget;
use fields::{Field, Object};

pub use fields::InvalidField;

/// Which requests a listener sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A gateway: requests enter the mesh here and are calls of the gateway itself.
    Edge,
    /// Requests to the workload.
    Inbound,
    /// Calls of the workload.
    Outbound,
    /// Inbound or outbound, as the listener says (`xds.listener_direction`).
    Auto,
}

/// How a context gets from the inbound to the outbound side of an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// The application forwards baggage.
    Baggage,
    /// It forwards only `traceparent`: contexts wait under the trace id.
    TraceParent,
}

/// When an answer says what was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecisionHeader {
    /// Never: nothing is looked at.
    Off,
    /// When the request has a header `emac-decision`.
    Asked,
}

/// Which retries are counted. Asking how often a call was tried costs as much as any other question about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountRetries {
    /// Of every call while there are any, else of one call in eight and of every failure.
    Sampled,
    /// Of every call.
    All,
    /// As `Sampled`, but only where a retry budget needs them.
    Budgeted,
}

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which requests this listener sees.
    pub role: Role,
    /// Inbound listener of a workload at the edge: contexts are made here, not believed.
    pub edge: bool,
    /// Who this is; `None`: ask the node's metadata.
    pub workload: Option<WorkloadName>,
    /// Node id in reports; empty: Envoy's own.
    pub node: String,
    /// Where the control plane is; `None`: work from this configuration alone.
    pub control_plane: Option<GrpcTarget>,
    /// No decision goes further.
    pub mode: Mode,
    /// How contexts cross the application.
    pub join: Join,
    /// Period of the filter's clockwork, 10 ..= 60 000 ms.
    pub tick: Millis,
    /// Evidence and metrics are flushed this often.
    pub report: Micros,
    /// Most hops told apart, 1 ..= 256; as the first listener of a VM says.
    pub hops_max: usize,
    /// Destination of every call through this listener; empty: the cluster the route chose.
    pub destination: String,
    /// Tell operations apart even where no budget does.
    pub operations: bool,
    /// Names of paths, asked before guessing.
    pub templates: Vec<PathTemplate>,
    /// Whether answers may say what was decided.
    pub decision_header: DecisionHeader,
    /// Which retries are counted.
    pub count_retries: CountRetries,
    /// What the routes of this listener say of retries (`num_retries`), where all say the same: a call whose budget allows as many needs not be
    /// told so. 0 ..= 100.
    pub route_retries: Option<u32>,
    /// At the edge: a request that is recorded and that nobody gave a `traceparent` gets one.
    pub mint_traceparent: bool,
    /// At the edge: share of the requests on no declared journey that are followed and recorded.
    pub undeclared: Ppm,
    /// Budgets that rule until the control plane's come.
    pub budgets: Option<WorkloadBudgets>,
}

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum InvalidConfig {
    /// Not JSON.
    #[error("{0}")]
    Json(#[source] serde_json::Error),
    /// A field that is unknown, out of range or of the wrong kind.
    #[error("{0}")]
    Field(#[source] InvalidField),
}

impl Config {
    /// Reads a plugin configuration; nothing at all is `{}`.
    ///
    /// # Errors
    /// [`InvalidConfig`] naming the first field that is wrong.
    pub fn parse(json: &[u8]) -> Result<Self, InvalidConfig> {
        let json = if json.trim_ascii().is_empty() { b"{}" } else { json };
        let root = Field::root(serde_json::from_slice(json).map_err(InvalidConfig::Json)?);
        let not_an_object = root.invalid("an object is expected");
        let object = root.object().and_then(|object| object.ok_or(not_an_object));
        object.and_then(|object| object.all(read)).map_err(InvalidConfig::Field)
    }
}

fn read(object: &mut Object) -> Result<Config, InvalidField> {
    let tick = object.take("tick_ms").number(200, 10, 60_000)?;
    // Filled in where not given, so that a longer tick alone is no mistake.
    let report = object.take("report_ms").number(tick.max(500), tick, 600_000)?;
    Ok(Config {
        role: object.take("role").choice(Role::Auto, &ROLES)?,
        edge: object.take("edge").boolean(false)?,
        workload: workload(object.take("workload"))?,
        node: object.take("node").string()?,
        control_plane: control_plane(object.take("control_plane"))?,
        mode: mode(object.take("mode"), Mode::Enforce)?,
        join: object.take("join").choice(Join::Baggage, &JOINS)?,
        tick: Millis(tick),
        report: Millis(report).to_micros(),
        hops_max: object.take("max_hops").number(256, 1, 256)? as usize,
        destination: object.take("destination").string()?,
        operations: object.take("operations").boolean(false)?,
        templates: templates(object.take("templates"))?,
        decision_header: object.take("decision_header").choice(DecisionHeader::Off, &DECISION_HEADERS)?,
        count_retries: match object.take("count_retries").boolean_or_absent()? {
            None => CountRetries::Sampled,
            Some(true) => CountRetries::All,
            Some(false) => CountRetries::Budgeted,
        },
        route_retries: object.take("route_retries").small(100)?,
        mint_traceparent: object.take("mint_traceparent").boolean(true)?,
        undeclared: share(object.take("undeclared_ppm"))?,
        budgets: budgets::read(object.take("budgets"))?,
    })
}

const ROLES: [(&str, Role); 4] =
    [("auto", Role::Auto), ("edge", Role::Edge), ("inbound", Role::Inbound), ("outbound", Role::Outbound)];
const JOINS: [(&str, Join); 2] = [("baggage", Join::Baggage), ("traceparent", Join::TraceParent)];
const DECISION_HEADERS: [(&str, DecisionHeader); 2] =
    [("off", DecisionHeader::Off), ("asked", DecisionHeader::Asked)];
const MODES: [(&str, Mode); 3] =
    [("observe", Mode::Observe), ("dry-run", Mode::DryRun), ("enforce", Mode::Enforce)];

fn mode(field: Field, default: Mode) -> Result<Mode, InvalidField> {
    field.choice(default, &MODES)
}

fn workload(field: Field) -> Result<Option<WorkloadName>, InvalidField> {
    let refuse = field.invalid("");
    match field.string()?.as_str() {
        "" => Ok(None),
        name => WorkloadName::new(name)
            .map(Some)
            .map_err(|invalid| InvalidField { problem: invalid.to_string(), ..refuse }),
    }
}

fn control_plane(field: Field) -> Result<Option<GrpcTarget>, InvalidField> {
    let refuse = field.invalid("");
    let Some(object) = field.object()? else { return Ok(None) };
    let [cluster, authority, token] = object.all(|object| {
        Ok([
            object.take("cluster").string()?,
            object.take("authority").string()?,
            object.take("token").string()?,
        ])
    })?;
    GrpcTarget::new(&cluster, &authority)
        .and_then(|target| target.with_token(&token))
        .map(Some)
        .map_err(|invalid| InvalidField { problem: invalid.to_string(), ..refuse })
}

fn share(field: Field) -> Result<Ppm, InvalidField> {
    let ppm = field.number(0, 0, Ppm::ONE.get().into())?;
    Ok(u32::try_from(ppm).ok().and_then(|ppm| Ppm::new(ppm).ok()).unwrap_or(Ppm::ZERO))
}

fn templates(field: Field) -> Result<Vec<PathTemplate>, InvalidField> {
    let mut templates = Vec::new();
    for element in field.elements()? {
        let refuse = element.invalid("");
        let template = PathTemplate::new(&element.string()?);
        templates.push(template.map_err(|invalid| InvalidField { problem: invalid.to_string(), ..refuse })?);
    }
    Ok(templates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_at_all_observes() {
        for json in ["", " ", "{}"] {
            let config = Config::parse(json.as_bytes()).unwrap();
            assert_eq!((config.role, config.mode, config.tick), (Role::Auto, Mode::Enforce, Millis(200)));
            assert!(config.budgets.is_none() && config.control_plane.is_none());
        }
    }

    #[test]
    fn everything_can_be_said() {
        let json = r#"{
            "role": "outbound", "edge": false, "workload": "shop/front", "node": "front-1",
            "control_plane": {"cluster": "emac", "authority": "emac.example", "token": "emac1~shop/front~100~x_-"},
            "mode": "dry-run", "join": "traceparent", "tick_ms": 100, "report_ms": 1000, "max_hops": 16,
            "destination": "pricing", "operations": true, "templates": ["/carts/{id}"],
            "decision_header": "asked", "count_retries": false, "route_retries": 2,
            "budgets": {
                "journeys": [{"journey": "checkout", "deadline_ms": 400, "mode": "enforce", "priority": 3, "record_ppm": 1000,
                    "entry": [{"host": "shop", "method": "GET", "path_template": "/checkout", "headers": [{"name": "x", "value": "1"}]},
                              {"grpc": "shop.Checkout/Buy"}]}],
                "hops": [
                    {"journey": "checkout", "destination": "pricing", "operation": "GET /price", "mode": "enforce",
                     "timeout_ms": 100, "per_try_timeout_ms": 50, "reserve_ms": 10, "useful_min_ms": 5,
                     "retry": {"ratio_ppm": 200000, "floor_milli_per_s": 1000, "burst": 10, "max_retries": 1},
                     "fallback": {"static_response": {"status": 200, "headers": [{"name": "a", "value": "b"}], "body": "{}"},
                                  "weight_ppm": 500000, "budget_ppm": 200000, "burst": 10},
                     "success": {"http": [{"first": 200, "last": 299}], "grpc": [5]}},
                    {"journey": "checkout", "destination": "paya", "mode": "enforce",
                     "fallback": {"alternate": {"cluster": "payb", "authority": "b", "path": "/pay",
                         "route_header": {"name": "x-provider", "value": "b"}, "allow_non_idempotent": true,
                         "body_bytes_max": 1024, "timeout_ms": 100}, "weight_ppm": 1000000}}]
            }
        }"#;
        let config = Config::parse(json.as_bytes()).unwrap();
        let budgets = config.budgets.unwrap();
        assert_eq!((budgets.journeys.len(), budgets.hops.len()), (1, 2));
        assert_eq!(budgets.journeys[0].mode, Mode::Enforce);
        assert!(budgets.hops[1].fallback.as_ref().is_some_and(|fallback| !fallback.is_degraded()));
        assert_eq!((config.hops_max, config.route_retries), (16, Some(2)));
        let target = config.control_plane.unwrap();
        let token = target.authorization();
        assert_eq!(token, "Bearer emac1~shop/front~100~x_-");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (json, field) in [
            (r#"{"rolle": "edge"}"#, "rolle"),
            (r#"{"role": "middle"}"#, "role: one of these is expected: auto edge inbound outbound"),
            (r#"{"tick_ms": 1}"#, "tick_ms"),
            (r#"{"report_ms": 100}"#, "report_ms"),
            (r#"{"max_hops": 0}"#, "max_hops"),
            (r#"{"route_retries": 101}"#, "route_retries"),
            (r#"{"workload": "front"}"#, "workload"),
            (r#"{"templates": ["/a", "b"]}"#, "templates[1]"),
            (r#"{"control_plane": {"cluster": ""}}"#, "control_plane"),
            (r#"{"control_plane": {"cluster": "emac", "token": "a b"}}"#, "control_plane"),
            (
                r#"{"budgets": {"journeys": [{"journey": "Checkout", "deadline_ms": 1}]}}"#,
                "budgets.journeys[0].journey",
            ),
            ("[1", "line 1"),
        ] {
            let error = Config::parse(json.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(field), "{json}: {error}");
        }
    }
}
