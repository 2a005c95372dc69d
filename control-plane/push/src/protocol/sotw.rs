//! State of the world: each request lists everything wanted, each response states a version.
//!
//! A full-state response ([`State::Full`]) carries everything subscribed, so it cannot be split into updates and removals: one
//! that adds and removes goes at its kind's place, one that only removes goes last. Who needs more keeps the old resource in
//! the set until the others have moved.

use super::exchange::{ErrorDetail, Shipment};
use super::kind::{Kind, State};
use super::resource::{Name, Resource, ResourceSet, Version};
use super::stream::{Due, Part, Request, StreamLimits, Watch};
use super::subscription::{Interest, WILDCARD};
use emac_proto::xds::{Any, DiscoveryRequest, DiscoveryResponse, Node};
use std::collections::BTreeMap;

/// One kind on one state-of-the-world stream.
#[derive(Debug, Default)]
pub struct SotwWatch {
    started: bool,
    interest: Interest,
    /// An answer is owed even if it says nothing new.
    asked: bool,
    /// What was sent last, accepted or not: a refused version is not repeated.
    held: BTreeMap<Name, Version>,
}

impl Request for DiscoveryRequest {
    fn type_url(&self) -> &str {
        &self.type_url
    }
    fn nonce(&self) -> &str {
        &self.response_nonce
    }
    fn error_detail(&self) -> Option<ErrorDetail> {
        self.error_detail.as_ref().map(|s| ErrorDetail { code: s.code, message: s.message.clone() })
    }
    fn node(&self) -> Option<&Node> {
        self.node.as_ref()
    }
    fn named(&self) -> Option<&str> {
        self.resource_names.iter().map(String::as_str).find(|name| *name != WILDCARD)
    }
}

impl Watch for SotwWatch {
    type Request = DiscoveryRequest;
    type Response = DiscoveryResponse;
    const STALE_SUBSCRIBES: bool = false;

    fn receive(&mut self, kind: &Kind, request: &DiscoveryRequest) {
        let first = !std::mem::replace(&mut self.started, true);
        let before = self.interest.replace(&request.resource_names, first);
        self.held.retain(|name, _| self.interest.covers(name));
        let news = self.forget_newly_named(&before, &request.resource_names);
        self.asked |= first || (news && kind.state == State::Full);
        self.asked &= !self.interest.is_empty();
    }

    fn names_len(&self) -> usize {
        self.interest.names_len()
    }

    fn asked(&self) -> impl Iterator<Item = &str> {
        self.interest.asked()
    }

    fn due(&mut self, kind: &Kind, set: &ResourceSet) -> Due {
        if kind.state == State::Partial {
            // Removal is silent for these kinds; forgotten, so that a resource created again is sent again.
            self.held.retain(|name, _| set.resources.contains_key(name));
        }
        Due {
            updates: self.asked || self.changed(set).next().is_some(),
            removals: self.held.keys().any(|name| !set.resources.contains_key(name)),
        }
    }

    fn respond(
        &mut self,
        kind: &Kind,
        set: &ResourceSet,
        _part: Part,
        nonce: &str,
        limits: StreamLimits,
    ) -> (DiscoveryResponse, Shipment) {
        self.asked = false;
        let chosen = match kind.state {
            State::Full => self.covered(set).collect(),
            State::Partial => fitting(self.changed(set), limits.response_bytes_max),
        };
        let versions: Vec<_> = chosen.iter().map(|(n, r)| ((*n).clone(), r.version.clone())).collect();
        let resources = chosen.iter().map(|(_, resource)| any(kind, resource)).collect();
        if kind.state == State::Full {
            self.held.clear();
        }
        self.held.extend(versions.iter().cloned());
        let response = DiscoveryResponse {
            version_info: set.version.to_string(),
            resources,
            type_url: kind.type_url.to_string(),
            nonce: nonce.to_string(),
        };
        (response, Shipment { version: set.version.clone(), resources: versions })
    }

    fn refresh(&mut self) {
        self.held.clear();
        self.asked = !self.interest.is_empty();
    }
}

// === impl SotwWatch ===

impl SotwWatch {
    /// A name is new when the subscription before did not cover it. Returns whether anything is.
    fn forget_newly_named(&mut self, before: &Interest, list: &[String]) -> bool {
        let mut news = self.interest.is_wildcard() && !before.is_wildcard();
        for name in list.iter().filter(|name| !before.covers(name)) {
            self.held.remove(name.as_str());
            news = true;
        }
        news
    }

    /// Existing resources the client is subscribed to.
    fn covered<'a>(&'a self, set: &'a ResourceSet) -> impl Iterator<Item = (&'a Name, &'a Resource)> {
        self.interest.pick(set)
    }

    /// Those of them the client was not sent in this version.
    fn changed<'a>(&'a self, set: &'a ResourceSet) -> impl Iterator<Item = (&'a Name, &'a Resource)> {
        self.covered(set).filter(|(name, resource)| self.held.get(*name) != Some(&resource.version))
    }
}

/// As many as fit, at least one.
pub(super) fn fitting<'a>(
    resources: impl Iterator<Item = (&'a Name, &'a Resource)>,
    bytes_max: usize,
) -> Vec<(&'a Name, &'a Resource)> {
    let mut bytes = 0_usize;
    let within = |(name, resource): &(&Name, &Resource)| {
        let first = bytes == 0;
        bytes = bytes.saturating_add(name.len() + resource.body.len() + resource.version.len()).max(1);
        first || bytes <= bytes_max
    };
    resources.take_while(within).collect()
}

/// The resource as it travels, its own type equal to its kind.
pub(super) fn any(kind: &Kind, resource: &Resource) -> Any {
    Any { type_url: kind.type_url.to_string(), value: resource.body.to_vec() }
}
