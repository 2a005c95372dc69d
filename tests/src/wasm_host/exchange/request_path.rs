//! Request headers, body and trailers through the filter.

use super::{Exchange, Progress};
use crate::wasm_host::driver::Host;
use crate::wasm_host::headers::Headers;
use crate::wasm_host::properties::Phase;
use crate::wasm_host::request::Route;

/// `Action::Pause`.
const PAUSE: u32 = 1;

impl Exchange {
    pub(in crate::wasm_host) fn begin(
        host: Host,
        vm: usize,
        id: u32,
        (chunks, trailers, open): (Vec<Vec<u8>>, Option<Headers>, bool),
        (cluster, routes): (String, Vec<Route>),
    ) -> Self {
        let started_ns = host.world().clock_ns;
        let mut exchange = Self {
            host,
            vm,
            id,
            started_ns,
            chunks,
            trailers,
            open,
            cluster,
            routes,
            request: Progress::Headers,
            response: Progress::Headers,
            forwarded_body: Vec::new(),
            upstream: None,
            answer: None,
            local_reply: None,
            flags: 0,
            reset: false,
            over: false,
        };
        exchange.request_headers_in();
        exchange.host.settle();
        exchange
    }

    fn request_headers_in(&mut self) {
        let end = self.chunks.is_empty() && self.trailers.is_none() && !self.open;
        let count = self.with(|stream| {
            stream.request_headers.open = true;
            stream.request_headers.value.len() as u32
        });
        let action = self.call("proxy_on_request_headers", &[count, u32::from(end)]);
        self.request = Progress::HeadersPaused;
        self.after_request_callback(action);
    }

    /// Does what the callback asked for, then lets the request move on if it may.
    pub(super) fn after_request_callback(&mut self, action: u32) {
        let (reply, go_on, reset) = self.take_requests();
        self.reset |= reset;
        if let Some(reply) = reply {
            return self.answer_locally(reply);
        }
        if (action != PAUSE || go_on) && !self.reset {
            self.request_goes_on();
        }
    }

    /// Whatever a callback left to be done: answer, continue the request, reset.
    fn take_requests(&mut self) -> (Option<super::LocalReply>, bool, bool) {
        self.with(|stream| {
            (stream.local_reply.take(), std::mem::take(&mut stream.continue_request), stream.reset)
        })
    }

    fn request_goes_on(&mut self) {
        match self.request {
            Progress::HeadersPaused => {
                self.with(|stream| stream.request_headers.open = false);
                self.choose_route_again();
                self.request = Progress::Body;
                self.request_body_in();
            }
            Progress::TrailersPaused => {
                self.with(|stream| stream.request_trailers.open = false);
                self.request = Progress::Complete;
            }
            _ => {}
        }
    }

    fn request_body_in(&mut self) {
        let chunks = std::mem::take(&mut self.chunks);
        let count = chunks.len();
        for (index, chunk) in chunks.into_iter().enumerate() {
            let end = index + 1 == count && self.trailers.is_none() && !self.open;
            if !self.request_chunk_in(&chunk, end) {
                return;
            }
        }
        if !self.open {
            self.request_trailers_in();
        }
    }

    /// The last piece of a body that was left open.
    ///
    /// # Panics
    /// When it was not.
    pub fn ends(&mut self, chunk: impl AsRef<[u8]>) {
        assert!(std::mem::take(&mut self.open), "this request has ended already");
        if self.request_chunk_in(chunk.as_ref(), true) {
            self.request = Progress::Complete;
        }
        self.host.settle();
    }

    /// Whether the stream still goes on.
    fn request_chunk_in(&mut self, chunk: &[u8], end: bool) -> bool {
        let len = self.with(|stream| {
            stream.request_body.open = true;
            stream.request_body.value.extend(chunk);
            stream.request_body.value.len() as u32
        });
        let action = self.call("proxy_on_request_body", &[len, u32::from(end)]);
        let (reply, go_on, reset) = self.take_requests();
        self.reset |= reset;
        if let Some(reply) = reply {
            self.answer_locally(reply);
            return false;
        }
        if action != PAUSE || go_on {
            let body = self.with(|stream| {
                stream.request_body.open = false;
                std::mem::take(&mut stream.request_body.value)
            });
            self.forwarded_body.extend(body);
        }
        !self.reset
    }

    fn request_trailers_in(&mut self) {
        let Some(trailers) = self.trailers.take() else {
            self.request = Progress::Complete;
            return;
        };
        let count = trailers.len() as u32;
        self.with(|stream| {
            stream.request_trailers.value = trailers;
            stream.request_trailers.open = true;
        });
        self.request = Progress::TrailersPaused;
        let action = self.call("proxy_on_request_trailers", &[count]);
        self.after_request_callback(action);
    }

    /// Envoy chooses the route when the request leaves the filter with its route cache cleared.
    fn choose_route_again(&mut self) {
        if self.with(|stream| stream.routes_cleared) == 0 {
            return;
        }
        let headers = self.request_headers();
        let matching = |(name, value, _): &&Route| headers.get(name) == Some(value.as_str());
        if let Some((_, _, cluster)) = self.routes.iter().find(matching) {
            self.cluster.clone_from(cluster);
        }
        let cluster = self.cluster.clone();
        self.set(Phase::Request, &["xds", "cluster_name"], cluster.as_str());
    }
}
