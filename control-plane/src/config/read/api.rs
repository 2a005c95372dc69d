//! `api` and `enforcement` from their text.

use std::path::Path;

use emac_core::id::{JourneyName, WorkloadName};

use super::path;
use crate::config::{Api, Changers, Readers, Stopped};
use emac_document::types::{Type, checked, choice, either, list, mapping, owned, text_like};
use emac_document::{Fields, Reader};

const CHANGERS: [(&str, Changers); 3] =
    [("proven", Changers::Proven), ("loopback", Changers::Loopback), ("nobody", Changers::Nobody)];
const READERS: [(&str, Readers); 2] = [("anyone", Readers::Anyone), ("proven", Readers::Proven)];
/// Longest text of `by` and `why`, in characters; as in the API.
const WORDS_MAX: usize = 500;

pub(super) fn api(fields: &mut Fields<'_>, folder: &Path) -> Option<Api> {
    let says = "who may change something: proven (a token of an operator, or the certificate of one of `operators`), loopback (this machine), nobody; \
                default: proven where there are token keys or operators, else loopback with `identity: none`, else nobody";
    let change = fields.field("change", choice(CHANGERS), says).optional();
    let read = fields.field("read", choice(READERS), "who may read `/api/v1`").or(Readers::Anyone);
    let metrics = fields.field("metrics", choice(READERS), "who may scrape `/metrics`").or(Readers::Anyone);
    let says = "file of the keys of operators' tokens, as `identity.tokenKeys`, which is used without it; read again when it changes";
    let token_keys = fields.field("tokenKeys", path(folder), says).optional();
    let says = "service accounts `<namespace>/<account>` whose certificate may change something and read";
    let operators = fields.field("operators", list(account()), says).optional();
    let says = "names, without a port, by which clients call this control plane; IP addresses and `localhost` need none";
    let hosts = fields.field("hosts", list(host()), says).optional();
    Some(Api {
        change,
        read,
        metrics,
        token_keys,
        operators: operators.unwrap_or_default(),
        hosts: hosts.unwrap_or_default(),
    })
}

fn account<'a>() -> impl Type<'a, Value = WorkloadName> {
    text_like("account", "^[a-z0-9.-]+/[a-z0-9.-]+$", "ops/oncall", |it, text| {
        WorkloadName::new(text)
            .map_or_else(|error| it.refuse_with(error.to_string(), "expected `<namespace>/<account>`"), Some)
    })
}

fn host<'a>() -> impl Type<'a, Value = String> {
    text_like("host name", "^[A-Za-z0-9._-]+$", "emac.emac-system.svc", |it, text| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if !text.is_empty() && text.chars().all(plain) {
            return Some(text.to_ascii_lowercase());
        }
        it.refuse("a host name is of letters, digits, `.`, `_` and `-`, without scheme and port")
    })
}

/// `None` inside: nothing is stopped.
pub(super) fn enforcement<'a>() -> impl Type<'a, Value = Option<Stopped>> {
    let word = choice([("stopped", true), ("running", false)]);
    let word = checked(word, |_, stopped: bool| Some(stopped.then(Stopped::default)));
    let some = checked(mapping(stopped), |_, stopped: Stopped| Some(Some(stopped)));
    either(|it: Reader<'a>| it.node().text().is_some(), word, some)
}

fn stopped(fields: &mut Fields<'_>) -> Option<Stopped> {
    let all = checked(choice([("all", ())]), |_, ()| Some(None));
    let names = checked(list(journey()), |it, names: Vec<JourneyName>| match names.is_empty() {
        true => it.refuse_with("no journey is named", "name some, or write `stopped: all`"),
        false => Some(Some(names)),
    });
    let of = either(|it: Reader<'_>| it.node().text().is_some(), all, names);
    let journeys = fields.field("stopped", of, "journeys whose enforcement is stopped, or `all`").required();
    let by = fields.field("by", words(), "who stopped it").optional();
    let why = fields.field("why", words(), "why").optional();
    Some(Stopped { journeys: journeys?, by, why })
}

fn journey<'a>() -> impl Type<'a, Value = JourneyName> {
    text_like("journey", "^[a-z0-9-]{1,63}$", "checkout", |it, text| {
        JourneyName::new(text).map_or_else(|error| it.refuse(error.to_string()), Some)
    })
}

fn words<'a>() -> impl Type<'a, Value = String> {
    checked(owned(), |it, text: String| {
        if text.chars().count() > WORDS_MAX || text.chars().any(char::is_control) {
            return it.refuse(format!("at most {WORDS_MAX} characters, and none that controls a terminal"));
        }
        Some(text)
    })
}
