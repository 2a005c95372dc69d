//! The HTTP call a filter makes while it holds a stream back.

use super::Exchange;
use crate::wasm_host::headers::Headers;
use crate::wasm_host::world::HttpCall;

/// A call that waits for its answer.
pub type Callout = HttpCall;

impl Exchange {
    /// The oldest unanswered HTTP call of this stream.
    pub fn callout(&self) -> Option<Callout> {
        let ours = |call: &&Callout| (call.vm, call.context) == (self.vm, self.id);
        self.host.world().http_calls.iter().find(ours).cloned()
    }

    /// Answers it; the filter then goes on with this stream.
    ///
    /// # Panics
    /// When there is none.
    pub fn answer_callout(&mut self, status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) {
        let mut all = Headers::of([(":status", status.to_string())]);
        headers.iter().for_each(|(name, value)| all.add(name, value.as_bytes()));
        self.end_callout(Some((all, body.as_ref().to_vec())));
    }

    /// It breaks without an answer: no headers, no body.
    pub fn break_callout(&mut self) {
        self.end_callout(None);
    }

    fn end_callout(&mut self, answer: Option<(Headers, Vec<u8>)>) {
        let call = self.callout().expect("no HTTP call is waiting");
        self.host.end_http_call(&call, answer);
        if !self.over {
            self.after_callout();
        }
        self.host.settle();
    }

    /// The callback paused nothing by itself: only what it asked for moves the stream.
    fn after_callout(&mut self) {
        const PAUSE: u32 = 1;
        if self.with(|stream| stream.continue_request) {
            self.after_request_callback(PAUSE);
        }
        self.after_response_callback(PAUSE);
    }
}
