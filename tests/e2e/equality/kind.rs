//! One kind of traffic: what a client sends, what an upstream answers, and how it is to be counted.

use serde_json::Value;

/// Generous bounds: what a busy machine owes is within them.
pub(super) const DEADLINE_MS: u64 = 20_000;
/// The same of one hop.
pub(super) const HOP_MS: u64 = 10_000;
/// Tight bounds: long enough for the first byte on a machine that is busy with other tests.
pub(super) const TIGHT_MS: u64 = 1_200;
/// Longer than [`TIGHT_MS`].
pub(super) const LONGER_MS: u64 = 1_800;

/// A header by name and value.
pub(super) type Header = (&'static str, &'static str);

/// What one end does next.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// HTTP/1: these bytes, `{case}` being the headers that name the run. HTTP/2: a DATA frame.
    Bytes(Vec<u8>),
    /// So many bytes of a fixed pattern.
    Fill(usize),
    /// Time passes: for kinds that are slow by nature.
    Pause(u64),
    /// Waits until this end has read so much.
    Near(Mark),
    /// Waits until the other end has read so much.
    Far(Mark),
    /// HTTP/2 server: the answer's head; ends the stream when told so.
    Answer(u16, &'static [Header], bool),
    /// HTTP/2 server: an interim answer.
    Interim(u16, &'static [Header]),
    /// HTTP/2: trailers, which end the stream.
    Trailers(&'static [Header]),
    /// HTTP/2: an empty DATA frame that ends the stream.
    End,
    /// HTTP/2: `RST_STREAM` with this code.
    Reset(u32),
    /// HTTP/2 server: an orderly GOAWAY.
    GoAway,
    /// HTTP/2 server: GOAWAY with an error, and the connection ends.
    Abort,
    /// The connection is closed.
    Close,
    /// The connection is reset.
    Rst,
}

/// How far an end has read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mark {
    /// An interim answer.
    Interim,
    /// The head.
    Head,
    /// So many bytes of the body.
    Body(usize),
    /// All of it.
    Whole,
}

/// The client's part.
#[derive(Debug, Clone)]
pub(super) enum Client {
    /// Raw bytes; `answers` messages are read.
    Http1 { steps: Vec<Step>, answers: usize },
    /// `streams` times the same at once.
    Http2 {
        method: &'static str,
        path: &'static str,
        headers: &'static [Header],
        /// `:protocol` of an extended CONNECT.
        protocol: Option<&'static str>,
        steps: Vec<Step>,
        streams: usize,
    },
}

/// The upstream's part.
#[derive(Debug, Clone)]
pub(super) enum Upstream {
    /// Plays its steps for each request once its head is read; `landed` for requests to `/landed`, `again` for the second and later ones.
    Http1 { steps: Vec<Step>, landed: Vec<Step>, again: Vec<Step> },
    /// The same over HTTP/2.
    Http2(Vec<Step>),
    /// Answers over HTTP/2, then breaks the protocol.
    BrokenHttp2,
    /// Sends back every byte; no HTTP.
    Echo,
    /// Takes connections and says nothing.
    Silent,
    /// Nobody listens.
    Refusing,
    /// Nobody is asked: Envoy answers.
    None,
}

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bounds {
    /// [`DEADLINE_MS`] and [`HOP_MS`]: nothing may be cut.
    Generous,
    /// [`TIGHT_MS`] each, and the request takes longer; still nothing may be cut.
    Tight,
}

/// A row of the table.
#[derive(Debug, Clone)]
pub(super) struct Kind {
    /// Names it in routes, clusters and messages.
    pub(super) name: &'static str,
    pub(super) client: Client,
    pub(super) upstream: Upstream,
    /// Laid over the route.
    pub(super) route: fn(&mut Value),
    /// Laid over the cluster.
    pub(super) cluster: fn(&mut Value),
    pub(super) bounds: Bounds,
    /// Outcome of the hop, once per request with a context; `None`: not counted, as the filter does not see it or it is no call.
    pub(super) outcome: Option<&'static str>,
    /// Whether the edge takes it for a journey.
    pub(super) journey: bool,
    /// Requests of one run.
    pub(super) requests: usize,
    /// Requests that reach the upstream in one run.
    pub(super) reached: usize,
    /// Envoy's response flag, where the row is there for it.
    pub(super) flag: Option<&'static str>,
    /// No cluster is chosen.
    unrouted: bool,
    /// One unobserved request first.
    pub(super) primed: bool,
    /// Runs may not overlap, as one breaks what others use.
    pub(super) alone: bool,
    /// Asks for a connection of its own: what goes on over it is no part of an answer, so the inbound side takes the context away.
    pub(super) tunnel: bool,
    /// Run without contexts only: with one it would be cut, rightly.
    pub(super) only_silent: bool,
    /// Sends no baggage but ours.
    pub(super) bare: bool,
    /// Where in the upstream's body an orderly end is not reached, so that byte counts of what was thrown away mean nothing.
    pub(super) torn: bool,
}

impl Kind {
    fn new(name: &'static str, client: Client, upstream: Upstream) -> Self {
        Self {
            name,
            client,
            upstream,
            route: |_| {},
            cluster: |_| {},
            bounds: Bounds::Generous,
            outcome: Some("success"),
            journey: true,
            requests: 1,
            reached: 1,
            flag: None,
            unrouted: false,
            primed: false,
            alone: false,
            tunnel: false,
            only_silent: false,
            bare: false,
            torn: false,
        }
    }

    /// An HTTP/1 client and an HTTP/1 upstream.
    pub(super) fn http1(name: &'static str, client: Vec<Step>, upstream: Vec<Step>) -> Self {
        let upstream = Upstream::Http1 { steps: upstream, landed: Vec::new(), again: Vec::new() };
        Self::new(name, Client::Http1 { steps: client, answers: 1 }, upstream)
    }

    /// An HTTP/2 client and an HTTP/2 upstream.
    pub(super) fn http2(
        name: &'static str,
        (method, path): (&'static str, &'static str),
        headers: &'static [Header],
        client: Vec<Step>,
        upstream: Vec<Step>,
    ) -> Self {
        let client = Client::Http2 { method, path, headers, protocol: None, steps: client, streams: 1 };
        Self::new(name, client, Upstream::Http2(upstream))
    }

    /// With another upstream.
    pub(super) fn to(mut self, upstream: Upstream) -> Self {
        if matches!(upstream, Upstream::None | Upstream::Refusing | Upstream::Silent) {
            self.reached = 0;
        }
        if matches!(upstream, Upstream::Echo | Upstream::BrokenHttp2) {
            self.reached = 0;
        }
        self.upstream = upstream;
        self
    }

    /// With another HTTP/1 upstream.
    pub(super) fn over_http1(self, steps: Vec<Step>) -> Self {
        self.to(Upstream::Http1 { steps, landed: Vec::new(), again: Vec::new() })
    }

    /// What is answered to requests of `/landed`.
    pub(super) fn landing(mut self, answer: Vec<Step>) -> Self {
        if let Upstream::Http1 { landed, .. } = &mut self.upstream {
            *landed = answer;
        }
        self
    }

    /// What is answered to all requests of one run but the first.
    pub(super) fn then(mut self, answer: Vec<Step>) -> Self {
        if let Upstream::Http1 { again, .. } = &mut self.upstream {
            *again = answer;
        }
        self
    }

    pub(super) fn route(mut self, change: fn(&mut Value)) -> Self {
        self.route = change;
        self
    }

    pub(super) fn cluster(mut self, change: fn(&mut Value)) -> Self {
        self.cluster = change;
        self
    }

    pub(super) fn tight(mut self) -> Self {
        self.bounds = Bounds::Tight;
        self
    }

    pub(super) fn outcome(mut self, outcome: &'static str) -> Self {
        self.outcome = Some(outcome);
        self
    }

    /// Neither a hop's call nor a journey's request.
    pub(super) fn uncounted(mut self) -> Self {
        self.outcome = None;
        self.journey = false;
        self
    }

    /// Calls are counted, but at the edge no journey begins.
    pub(super) fn no_journey(mut self) -> Self {
        self.journey = false;
        self
    }

    pub(super) fn reached(mut self, requests: usize) -> Self {
        self.reached = requests;
        self
    }

    /// So many requests in one run, all of which reach the upstream.
    pub(super) fn requests(mut self, requests: usize) -> Self {
        self.requests = requests;
        self.reached = requests;
        if let Client::Http1 { answers, .. } = &mut self.client {
            *answers = requests;
        }
        if let Client::Http2 { streams, .. } = &mut self.client {
            *streams = requests;
        }
        self
    }

    pub(super) fn flag(mut self, flag: &'static str) -> Self {
        self.flag = Some(flag);
        self
    }

    /// No cluster is chosen; the filter has one name for all such calls.
    pub(super) fn unrouted(mut self) -> Self {
        self.unrouted = true;
        self
    }

    /// Whom its calls are counted for.
    pub(super) fn destination(&self) -> &'static str {
        if self.unrouted { "_unrouted" } else { self.name }
    }

    pub(super) fn primed(mut self) -> Self {
        self.primed = true;
        self
    }

    pub(super) fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    pub(super) fn tunnel(mut self) -> Self {
        self.tunnel = true;
        self
    }

    /// On no journey, and so not counted for one.
    pub(super) fn only_silent(mut self) -> Self {
        self.only_silent = true;
        self.uncounted()
    }

    pub(super) fn bare(mut self) -> Self {
        self.bare = true;
        self
    }

    /// The answer is torn on purpose.
    pub(super) fn torn(mut self, outcome: &'static str) -> Self {
        self.torn = true;
        self.outcome(outcome)
    }

    pub(super) fn protocol(mut self, name: &'static str) -> Self {
        if let Client::Http2 { protocol, .. } = &mut self.client {
            *protocol = Some(name);
        }
        self
    }
}
