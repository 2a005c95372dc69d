//! Response headers, body and trailers through the filter; Envoy's own replies; the filter's own replies.

use super::{Exchange, LocalReply, Progress, Response};
use crate::wasm_host::headers::Headers;
use crate::wasm_host::properties::{Flags, Phase};
use crate::wasm_host::state::grpc_status_of_http;

const PAUSE: u32 = 1;

impl Exchange {
    /// Upstream answers, all of it.
    ///
    /// # Panics
    /// When the request did not go upstream, or was answered already.
    pub fn respond(&mut self, status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) {
        self.set(Phase::Response, &["upstream", "address"], "127.0.0.1:8080");
        self.respond_with(status, "via_upstream", headers, body.as_ref(), Headers::default());
    }

    /// Upstream answers a gRPC call: status in the trailers, as a server does that sent a message.
    pub fn respond_grpc(&mut self, grpc_status: u32, body: impl AsRef<[u8]>) {
        self.set(Phase::Response, &["upstream", "address"], "127.0.0.1:8080");
        let trailers = Headers::of([("grpc-status", grpc_status.to_string())]);
        self.respond_with(
            200,
            "via_upstream",
            &[("content-type", "application/grpc")],
            body.as_ref(),
            trailers,
        );
    }

    /// A header that Envoy's router adds to the request on its way, behind the filter; the access log has it.
    pub fn router_adds(&mut self, name: &str, value: &str) {
        self.set(Phase::Log, &["request", "headers", name], value);
    }

    /// Number of tries upstream saw, known with the response.
    pub fn attempts(&mut self, attempts: u64) {
        self.set(Phase::Response, &["upstream", "request_attempt_count"], attempts);
    }

    /// The router's own answer when the route's timeout strikes.
    pub fn upstream_times_out(&mut self) {
        self.flags |= Flags::UPSTREAM_REQUEST_TIMEOUT;
        self.router_reply(504, 14, "response_timeout", "upstream request timeout");
    }

    /// The router's own answer when nobody listens.
    pub fn upstream_refuses(&mut self) {
        self.flags |= Flags::UPSTREAM_CONNECTION_FAILURE;
        let details = "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}";
        self.router_reply(503, 14, details, "upstream connect error or disconnect/reset before headers");
    }

    /// A gRPC call gets its status in headers and HTTP 200, everybody else the text.
    fn router_reply(&mut self, status: u16, grpc_status: u32, details: &str, text: &str) {
        if self.is_grpc() {
            let grpc_status = grpc_status.to_string();
            let headers =
                [("content-type", "application/grpc"), ("grpc-status", &grpc_status), ("grpc-message", text)];
            self.respond_with(200, details, &headers, b"", Headers::default());
        } else {
            let length = text.len().to_string();
            let headers = [("content-length", length.as_str()), ("content-type", "text/plain")];
            self.respond_with(status, details, &headers, text.as_bytes(), Headers::default());
        }
    }

    fn is_grpc(&self) -> bool {
        self.request_header("content-type").is_some_and(|kind| kind.starts_with("application/grpc"))
    }

    fn respond_with(
        &mut self,
        status: u16,
        details: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        trailers: Headers,
    ) {
        assert_eq!(self.response, Progress::Headers, "this request was answered already");
        assert!(self.local_reply.is_none(), "this request never went upstream");
        let mut all = Headers::of([(":status", status.to_string())]);
        headers.iter().for_each(|(name, value)| all.add(name, value.as_bytes()));
        self.set(Phase::Response, &["response", "code"], i64::from(status));
        self.set(Phase::Response, &["response", "code_details"], details);
        let has_attempts =
            self.with(|s| s.properties.get(Phase::Response, b"upstream\0request_attempt_count").is_some());
        if !has_attempts {
            self.attempts(1);
        }
        self.response_in(Response { headers: all, body: body.to_vec(), trailers, local: false });
    }

    fn response_in(&mut self, upstream: Response) {
        let end = upstream.body.is_empty() && upstream.trailers.is_empty();
        let headers = upstream.headers.clone();
        let count = headers.len() as u32;
        self.upstream = Some(upstream);
        self.with(|stream| {
            stream.phase = Phase::Response;
            stream.response_headers.value = headers;
            stream.response_headers.open = true;
        });
        let action = self.call("proxy_on_response_headers", &[count, u32::from(end)]);
        self.response = Progress::HeadersPaused;
        self.after_response_callback(action);
        self.host.settle();
    }

    /// A tick may have answered on behalf of the stream, before upstream did.
    pub(super) fn after_tick(&mut self) {
        if self.response == Progress::Headers && !self.over {
            self.after_request_callback(PAUSE);
        }
    }

    pub(super) fn after_response_callback(&mut self, action: u32) {
        let (reply, go_on, reset) = self.with(|stream| {
            (stream.local_reply.take(), std::mem::take(&mut stream.continue_response), stream.reset)
        });
        self.reset |= reset;
        if let Some(reply) = reply {
            return self.answer_locally(reply);
        }
        if (action != PAUSE || go_on) && !self.reset {
            self.response_goes_on();
        }
    }

    fn response_goes_on(&mut self) {
        match self.response {
            Progress::HeadersPaused => {
                let headers = self.with(|stream| {
                    stream.response_headers.open = false;
                    stream.response_headers.value.clone()
                });
                let local = self.upstream.as_ref().is_some_and(|upstream| upstream.local);
                self.answer = Some(Response { headers, local, ..Response::default() });
                self.response = Progress::Body;
                self.response_body_in();
            }
            Progress::Body => self.release_body(),
            Progress::TrailersPaused => self.release_trailers(),
            _ => {}
        }
    }

    fn response_body_in(&mut self) {
        let Some(upstream) = self.upstream.clone() else { return };
        if upstream.body.is_empty() {
            return self.response_trailers_in(upstream.trailers);
        }
        let len = upstream.body.len() as u32;
        self.with(|stream| {
            stream.response_body.open = true;
            stream.response_body.value = upstream.body;
        });
        let end = upstream.trailers.is_empty();
        let action = self.call("proxy_on_response_body", &[len, u32::from(end)]);
        self.after_response_callback(action);
    }

    fn release_body(&mut self) {
        let body = self.with(|stream| {
            stream.response_body.open = false;
            std::mem::take(&mut stream.response_body.value)
        });
        if let Some(answer) = &mut self.answer {
            answer.body.extend(body);
        }
        let trailers = self.upstream.as_ref().map(|upstream| upstream.trailers.clone()).unwrap_or_default();
        self.response_trailers_in(trailers);
    }

    fn response_trailers_in(&mut self, trailers: Headers) {
        if trailers.is_empty() {
            self.response = Progress::Complete;
            return;
        }
        let count = trailers.len() as u32;
        self.with(|stream| {
            stream.response_trailers.value = trailers;
            stream.response_trailers.open = true;
        });
        self.response = Progress::TrailersPaused;
        let action = self.call("proxy_on_response_trailers", &[count]);
        self.after_response_callback(action);
    }

    fn release_trailers(&mut self) {
        let trailers = self.with(|stream| {
            stream.response_trailers.open = false;
            stream.response_trailers.value.clone()
        });
        if let Some(answer) = &mut self.answer {
            answer.trailers = trailers;
        }
        self.response = Progress::Complete;
    }

    /// Before a response has begun, a local reply passes through the filter itself; afterwards it goes straight to the client; once headers
    /// went out only a reset is left.
    pub(super) fn answer_locally(&mut self, reply: LocalReply) {
        let response = self.response_of(&reply);
        let status = response.status();
        self.set(Phase::Response, &["response", "code"], i64::from(status));
        self.local_reply = Some(reply);
        self.request = Progress::Complete;
        match self.response {
            Progress::Headers => {
                self.set(Phase::Response, &["response", "code_details"], "");
                self.response_in(response);
            }
            Progress::HeadersPaused => {
                self.close_parts();
                self.answer = Some(response);
                self.response = Progress::Complete;
            }
            _ => self.reset = true,
        }
    }

    fn close_parts(&self) {
        self.with(|stream| {
            stream.response_headers.open = false;
            stream.response_body.open = false;
        });
    }

    /// What Envoy makes of the filter's answer; a gRPC caller gets HTTP 200 and a status in the headers.
    fn response_of(&self, reply: &LocalReply) -> Response {
        let (mut headers, mut body) = (Headers::default(), reply.body.clone());
        if self.is_grpc() {
            let status = reply.grpc_status.unwrap_or_else(|| grpc_status_of_http(reply.status)).to_string();
            headers = Headers::of([
                (":status", "200"),
                ("content-type", "application/grpc"),
                ("grpc-status", &status),
            ]);
            headers.add("grpc-message", &std::mem::take(&mut body));
        } else {
            headers.add(":status", reply.status.to_string().as_bytes());
            if !body.is_empty() {
                headers.add("content-length", body.len().to_string().as_bytes());
                headers.add("content-type", b"text/plain");
            }
        }
        reply.headers.iter().for_each(|(name, value)| headers.set(name, value));
        Response { headers, body, trailers: Headers::default(), local: true }
    }
}
