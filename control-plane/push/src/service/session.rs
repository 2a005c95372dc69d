//! The task of one stream.

use super::{Client, Fault, Shared, said_below};
use crate::drain::drained;
use crate::protocol::{Receipt, Received, Request, Scope, Stream, StreamError, Watch};
use crate::proxies::Connection;
use crate::snapshot::Follower;
use crate::standing::End;
use emac_core::units::Micros;
use emac_document::shown;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::Sender;
use tokio::time::Instant;
use tonic::{Code, Status, Streaming};

/// Most characters of a client's own words in a line of log.
const WORDS_MAX: usize = 256;

/// How long a status may wait for a client that does not read before the stream is dropped without one.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long the request's half of a stream may take to say why the response's half is gone.
const LAST_WORD: Duration = Duration::from_millis(100);

/// One stream: its machine, its entry in the registry, and what all streams share.
pub(super) struct Session<W: Watch> {
    shared: Arc<Shared>,
    connection: Connection,
    client: Arc<dyn Client>,
    machine: Stream<W>,
    /// How the stream ended, as far as the client has said.
    end: End,
    /// Wakes it for what the client asked for.
    follower: Follower,
    /// A snapshot was published that the client has been told nothing of.
    news: bool,
    /// Since when the client has taken nothing, with something to take.
    stalled: Option<Instant>,
}

/// What ended a wait.
enum Event<R> {
    Request(Option<R>),
    Changed,
    Sent { more: bool },
    Due,
    Gone,
}

impl<W: Watch> Session<W> {
    pub(super) fn new(shared: Arc<Shared>, connection: Connection, client: Arc<dyn Client>) -> Self {
        let machine = Stream::new(Arc::clone(&shared.kinds), Scope::Aggregated, shared.limits.stream);
        let follower = shared.feed.follow();
        Self {
            shared,
            connection,
            client,
            machine,
            end: End::Dismissed,
            follower,
            news: false,
            stalled: None,
        }
    }

    /// Serves the stream to its end; whatever the end, the registry's entry goes with it.
    pub(super) async fn run(
        mut self,
        mut requests: Streaming<W::Request>,
        out: Sender<Box<Result<W::Response, Status>>>,
    ) {
        let drained = drained(self.shared.shutdown.clone(), self.shared.limits.drain);
        let client = Arc::clone(&self.client);
        let ended = tokio::select! {
            ended = self.serve(&mut requests, &out) => ended,
            status = client.expired() => Err(status),
            () = drained => Err(Status::unavailable("the control plane is shutting down")),
        };
        self.connection.ended(self.end, (self.shared.now)().at);
        drop(self);
        client.leave();
        drop(client);
        if let Err(status) = ended {
            let message = shown(status.message(), WORDS_MAX);
            tracing::debug!(code = ?status.code(), %message, "stream ended");
            // A client that does not take it in time, or has gone, is told nothing.
            let _ = tokio::time::timeout(FAREWELL, out.send(Box::new(Err(status)))).await;
        }
    }

    async fn serve(
        &mut self,
        requests: &mut Streaming<W::Request>,
        out: &Sender<Box<Result<W::Response, Status>>>,
    ) -> Result<(), Status> {
        if !self.greet(requests).await? {
            return Ok(());
        }
        let mut ready = true;
        loop {
            match self.next(requests, out, ready).await? {
                Event::Request(None) => return Ok(()),
                Event::Gone => {
                    // Both halves go at once and either may be seen first; only this one knows why.
                    self.end = End::Broken;
                    let _ = tokio::time::timeout(LAST_WORD, self.hear(requests)).await;
                    return Ok(());
                }
                Event::Request(Some(request)) => self.on_request(&request)?,
                Event::Sent { more: false } => {
                    ready = false;
                    continue;
                }
                Event::Changed | Event::Due | Event::Sent { more: true } => {}
            }
            ready = true;
        }
    }

    /// The first request says who the client is. Returns whether there was one.
    async fn greet(&mut self, requests: &mut Streaming<W::Request>) -> Result<bool, Status> {
        let wait = self.shared.limits.first_request_within;
        let first = tokio::time::timeout(wait, self.hear(requests)).await;
        let late = || Status::deadline_exceeded("no request came on this stream");
        let first = first.map_err(|_| self.client.refused(Fault::Silent, late()))?;
        let Some(request) = first? else { return Ok(false) };
        self.on_request(&request)?;
        Ok(true)
    }

    async fn hear(&mut self, requests: &mut Streaming<W::Request>) -> Result<Option<W::Request>, Status> {
        let request = requests.message().await;
        self.note_end(&request);
        request.map_err(|status| self.unheard(status))
    }

    /// The status that ends a stream on which something came that is no request.
    fn unheard(&self, status: Status) -> Status {
        if let Some(said) = said_below(&status) {
            return said;
        }
        // A stream that broke has the transport's error as its cause; nobody is there to be told.
        if std::error::Error::source(&status).is_some() || status.code() == Code::Cancelled {
            return status;
        }
        let most = self.shared.limits.request_bytes_max;
        match status.code() {
            Code::OutOfRange => self.client.refused(
                Fault::TooLarge,
                Status::invalid_argument(format!("a request has at most {most} bytes; {}", status.message())),
            ),
            _ => self.client.refused(
                Fault::Garbage,
                Status::invalid_argument(format!("not a request: {}", status.message())),
            ),
        }
    }

    /// A filter that leaves resets its streams with CANCEL: nothing else sends that, least of all a host that fails.
    fn note_end(&mut self, heard: &Result<Option<W::Request>, Status>) {
        self.end = match heard {
            Ok(Some(_)) => return,
            Ok(None) => End::Closed,
            Err(status) if status.code() == tonic::Code::Cancelled => End::Closed,
            Err(_) => End::Broken,
        };
    }

    async fn next(
        &mut self,
        requests: &mut Streaming<W::Request>,
        out: &Sender<Box<Result<W::Response, Status>>>,
        ready: bool,
    ) -> Result<Event<W::Request>, Status> {
        let due = sleep_until(self.machine.wake_at(), (self.shared.now)().at);
        self.stalled = ready.then(|| self.stalled.unwrap_or_else(Instant::now));
        let read_by = self.stalled.unwrap_or_else(Instant::now) + self.shared.limits.read_within;
        tokio::select! {
            () = out.closed() => Ok(Event::Gone),
            request = requests.message() => {
                self.note_end(&request);
                request.map(Event::Request).map_err(|status| self.unheard(status))
            }
            changed = self.follower.changed() => {
                changed.map_err(|_| StreamError::SourceClosed)?;
                self.news = true;
                Ok(Event::Changed)
            }
            // Only with room in hand is the machine asked, so what goes out is the latest.
            permit = out.reserve(), if ready => {
                let Ok(permit) = permit else { return Ok(Event::Gone) };
                self.stalled = None;
                let snapshot = self.follower.latest();
                let response = self.machine.poll(&snapshot, (self.shared.now)().at);
                let more = response.is_some();
                if let Some(response) = response {
                    let now = (self.shared.now)().at;
                    let since = std::mem::take(&mut self.news).then(|| now.since(snapshot.published()));
                    self.connection.pushed(now, since);
                    permit.send(Box::new(Ok(response)));
                }
                Ok(Event::Sent { more })
            }
            () = tokio::time::sleep_until(read_by), if ready => {
                let slow = Status::deadline_exceeded("what was sent on this stream is not read");
                Err(self.client.refused(Fault::SlowReader, slow))
            }
            () = due => Ok(Event::Due),
        }
    }

    fn on_request(&mut self, request: &W::Request) -> Result<(), Status> {
        let heard = self.machine.on_request(request).map_err(Status::from);
        let Received { type_url, receipt } =
            heard.map_err(|status| self.client.refused(Fault::Request, status))?;
        let asked: Vec<_> = self.machine.asked().collect();
        self.client.may_ask(&asked)?;
        self.follower.ask(asked.into_iter());
        self.connection.introduce(self.machine.node_id(), request.named());
        self.connection.received(&receipt, (self.shared.now)());
        self.log(&type_url, &receipt);
        Ok(())
    }

    fn log(&self, type_url: &str, receipt: &Receipt) {
        let shown = |words| shown(words, WORDS_MAX);
        let (log, now) = (&self.shared.log, (self.shared.now)().at);
        let (node, type_url) = (shown(self.machine.node_id().unwrap_or_default()), shown(type_url));
        match receipt {
            Receipt::Nacked { shipment, error } => {
                let Some(not_logged) = log.refused.due(now) else { return };
                let first = shipment.resources.first().map(|(name, _)| shown(name)).unwrap_or_default();
                let (resources, message) = (shipment.resources.len(), shown(&error.message));
                tracing::warn!(%node, %type_url, resources, %first, code = error.code, %message, not_logged, "refused");
            }
            Receipt::Acked(shipment) => {
                tracing::debug!(%node, %type_url, version = &*shipment.version, "accepted")
            }
            Receipt::Subscribed | Receipt::Stale { .. } => tracing::debug!(%node, %type_url, "request"),
            Receipt::UnknownKind => {
                let Some(not_logged) = log.unknown_kind.due(now) else { return };
                tracing::warn!(%node, %type_url, not_logged, "asked for a kind that is not served; it is not answered");
            }
        }
    }
}

/// Waits for ever when nothing is due.
async fn sleep_until(due: Option<Micros>, now: Micros) {
    match due {
        Some(due) => tokio::time::sleep(Duration::from_micros(due.since(now).0)).await,
        None => std::future::pending().await,
    }
}
