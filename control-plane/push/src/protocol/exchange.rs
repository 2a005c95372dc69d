//! Nonces: which response a request answers, and how.

use super::resource::{Name, Version};

/// Numbers the responses of one stream, over all kinds: unique and growing.
#[derive(Debug, Default)]
pub(super) struct Nonces(u64);

impl Nonces {
    pub(super) fn next(&mut self) -> String {
        self.0 += 1;
        self.0.to_string()
    }
}

/// What one response carried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shipment {
    /// Version of the set it was taken from.
    pub version: Version,
    /// Resources sent, with their versions.
    pub resources: Vec<(Name, Version)>,
}

/// Why a client refused a response, in its own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorDetail {
    /// gRPC status code.
    pub code: i32,
    /// Message, as sent by the client: of any length and content.
    pub message: String,
}

/// What a request said about the responses before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// Nothing: it only subscribes or unsubscribes, or repeats a nonce that has been answered.
    Subscribed,
    /// The newest response was accepted.
    Acked(Shipment),
    /// The newest response was refused; it is not sent again until something in it changes.
    Nacked {
        /// What was refused.
        shipment: Shipment,
        /// Why.
        error: ErrorDetail,
    },
    /// It answers a response that is not the newest of its kind: void.
    Stale {
        /// Set when the void answer was a refusal.
        error: Option<ErrorDetail>,
    },
    /// It asks for a kind this server does not serve; it stays unanswered.
    UnknownKind,
}

/// The responses of one kind on one stream.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    newest: Option<String>,
    /// What the newest response carried, until it is answered.
    unanswered: Option<Shipment>,
    accepted: Option<Version>,
}

impl Exchange {
    pub(super) fn sent(&mut self, nonce: String, shipment: Shipment) {
        self.newest = Some(nonce);
        self.unanswered = Some(shipment);
    }

    /// Version of the newest response the client accepted.
    pub(super) fn accepted(&self) -> Option<&Version> {
        self.accepted.as_ref()
    }

    /// Reads a request's nonce and error detail. Only an error detail makes a refusal, whatever else the request says.
    pub(super) fn answer(&mut self, nonce: &str, error: Option<ErrorDetail>) -> Receipt {
        match &self.newest {
            Some(newest) if !nonce.is_empty() && newest != nonce => Receipt::Stale { error },
            Some(_) if !nonce.is_empty() => self.settle(error),
            _ => Receipt::Subscribed,
        }
    }

    fn settle(&mut self, error: Option<ErrorDetail>) -> Receipt {
        match (self.unanswered.take(), error) {
            (None, _) => Receipt::Subscribed,
            (Some(shipment), Some(error)) => Receipt::Nacked { shipment, error },
            (Some(shipment), None) => {
                self.accepted = Some(shipment.version.clone());
                Receipt::Acked(shipment)
            }
        }
    }
}
