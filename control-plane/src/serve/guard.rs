//! What stands before every route of the HTTP port: is the request meant for us, did somebody else's page send it, who is it from.
//!
//! - A `Host` that is none of our names is answered 421: a browser that a foreign name was made to lead here (DNS rebinding) sends that
//!   name. IP addresses are no such names, and over TLS the certificate tells; probes (`/healthz`, `/readyz`) are asked by whatever name.
//! - Whatever may change something (every method but GET, HEAD and OPTIONS) comes from no page of another origin and is JSON, which no form can
//!   send, and from somebody who may ([`Operators`]).
//! - `/api/v1` and `/metrics` may be asked by anyone, or by who proves to be an operator, as configured.
//!
//! Every refusal is an answer with a reason, counted, and logged once in ten seconds for each reason.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use emac_core::units::Micros;
use emac_document::shown;

use super::state::Shared;
use crate::config::{Changers, Config};
use crate::identity::{Operators, SEVERAL_PROOFS, Shown, Transport};
use crate::refusal::{Refusal, Tally, WORDS_MAX};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FORWARDED_CERTIFICATE: HeaderName = HeaderName::from_static("x-forwarded-client-cert");
/// By which a proxy says that it is one.
const PASSED_ON: [HeaderName; 3] =
    [header::FORWARDED, HeaderName::from_static("x-forwarded-for"), FORWARDED_CERTIFICATE];

/// Why a request was refused before anybody looked at what it wants.
#[derive(Debug)]
pub(super) struct Refused {
    status: StatusCode,
    reason: &'static str,
    why: String,
}

/// All reasons there are.
const REASONS: [&str; 11] = [
    "host",
    "origin",
    "content_type",
    "no_identity",
    "malformed",
    "trust_domain",
    "signature",
    "expired",
    "scope",
    "too_large",
    "too_slow",
];

/// The guard of the HTTP port.
#[derive(Debug)]
pub(super) struct Guard {
    operators: Operators,
    /// Our names, in lower case, without a port.
    hosts: Vec<String>,
    refused: [Tally; REASONS.len()],
}

impl Refused {
    pub(super) fn new(status: StatusCode, reason: &'static str, why: impl Into<String>) -> Self {
        Self { status, reason, why: why.into() }
    }
}

impl Guard {
    pub(super) fn new(config: &Config, operators: Operators) -> Self {
        // Which no foreign page can be led here under: browsers resolve it themselves.
        let hosts = config.api.hosts.iter().cloned().chain(["localhost".to_owned()]).collect();
        Self { operators, hosts, refused: REASONS.map(|_| Tally::default()) }
    }

    /// Who may change something.
    pub(super) fn changers(&self) -> Changers {
        self.operators.changers()
    }

    /// Refusals by reason since the start.
    pub(super) fn refusals(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        REASONS.into_iter().zip(self.refused.iter().map(Tally::count))
    }

    /// Counts a refusal, logs it if it is time to, and makes the answer.
    pub(super) fn answer(&self, refused: &Refused, now: Micros) -> Response {
        let Refused { status, reason, why } = refused;
        let why = shown(why, WORDS_MAX);
        if let Some(place) = REASONS.iter().position(|known| known == reason) {
            self.refused[place].add("request", reason, &why, now);
        }
        let mut answer = (*status, format!("{why}\n")).into_response();
        if *status == StatusCode::UNAUTHORIZED {
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
        }
        answer
    }

    /// Lets a request in, with who changes something, if it may.
    fn admit(&self, request: &mut Request, from: &Transport) -> Result<(), Refused> {
        let path = request.uri().path();
        if matches!(path, "/healthz" | "/readyz") {
            return Ok(());
        }
        let host = self.is_for_us(request, from)?;
        let headers = request.headers();
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        if headers.get_all(header::AUTHORIZATION).iter().nth(1).is_some() {
            return Err(unproven((Refusal::Malformed, SEVERAL_PROOFS.to_owned())));
        }
        let last = headers.get_all(FORWARDED_CERTIFICATE).iter().next_back();
        let shown = Shown {
            authorization: text(&header::AUTHORIZATION),
            forwarded: last.and_then(|value| value.to_str().ok()),
            passed_on: PASSED_ON.iter().any(|name| headers.contains_key(name)),
        };
        if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
            let readers = if path == "/metrics" { self.operators.scrapers } else { self.operators.readers };
            return self.operators.may_read(readers, from, shown).map_err(unproven);
        }
        comes_from_no_other_page(headers, &host)?;
        let changer = self.operators.may_change(from, shown).map_err(unproven)?;
        request.extensions_mut().insert(changer);
        Ok(())
    }

    /// The `Host` that was asked for, as it was written, if it is ours.
    fn is_for_us(&self, request: &Request, from: &Transport) -> Result<String, Refused> {
        let mut named = request.headers().get_all(header::HOST).iter();
        let host = match (named.next(), named.next()) {
            (Some(host), None) => host.to_str().ok(),
            // Of HTTP/2.
            (None, _) => request.uri().authority().map(|authority| authority.as_str()),
            // Two that may differ.
            _ => None,
        };
        let Some(host) = host else {
            return Err(Refused::new(
                StatusCode::BAD_REQUEST,
                "host",
                "the request names no host, or several",
            ));
        };
        let name = without_port(host).to_ascii_lowercase();
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        if address.is_ok() || from.is_secured() || self.hosts.contains(&name) {
            return Ok(host.to_owned());
        }
        let why =
            format!("`{name}` is no name of this control plane; if it should be one, add it to `api.hosts`");
        Err(Refused::new(StatusCode::MISDIRECTED_REQUEST, "host", why))
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

/// A browser says whose page sends a request; what is no browser says nothing. Of a header that is there several times every value must do: which of
/// them a proxy or a browser looked at nobody knows.
fn comes_from_no_other_page(headers: &HeaderMap, host: &str) -> Result<(), Refused> {
    let refuse = |why: &str| Err(Refused::new(StatusCode::FORBIDDEN, "origin", why));
    let own = |site: &HeaderValue| matches!(site.as_bytes(), b"same-origin" | b"none");
    if !headers.get_all(SEC_FETCH_SITE).iter().all(own) {
        return refuse("a page of another site may change nothing (sec-fetch-site)");
    }
    let ours = |origin: &[u8]| {
        [format!("http://{host}"), format!("https://{host}")].iter().any(|own| own.as_bytes() == origin)
    };
    if headers.get_all(header::ORIGIN).iter().any(|origin| !ours(origin.as_bytes())) {
        return refuse("a page of another origin may change nothing (origin)");
    }
    let json = |kind: &HeaderValue| {
        let kind = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
        kind.trim().eq_ignore_ascii_case("application/json")
    };
    let kinds = headers.get_all(header::CONTENT_TYPE);
    if kinds.iter().next().is_none() || !kinds.iter().all(json) {
        let why = "content-type: expected application/json";
        return Err(Refused::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type", why));
    }
    Ok(())
}

/// 401 for who it is, 403 for what it wants.
fn unproven((refusal, why): (Refusal, String)) -> Refused {
    let status = if refusal == Refusal::Scope { StatusCode::FORBIDDEN } else { StatusCode::UNAUTHORIZED };
    Refused::new(status, refusal.label(), why)
}

/// The layer.
pub(super) async fn stand_before(
    State(shared): State<Arc<Shared>>,
    Extension(from): Extension<Transport>,
    mut request: Request,
    next: Next,
) -> Response {
    match shared.guard.admit(&mut request, &from) {
        Ok(()) => next.run(request).await,
        Err(refused) => shared.guard.answer(&refused, shared.clock.now()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_no_part_of_a_name() {
        for (host, name) in [
            ("emac:8080", "emac"),
            ("emac", "emac"),
            ("[::1]:8080", "[::1]"),
            ("[::1]", "[::1]"),
            ("127.0.0.1:1", "127.0.0.1"),
            ("emac:", "emac"),
            ("emac:x", "emac:x"),
        ] {
            assert_eq!(without_port(host), name);
        }
    }
}
