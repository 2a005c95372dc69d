//! The connection: made until it stands, and made again by the client whenever it breaks.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, ServerAddr, ServerError};
use tracing::warn;

use super::random;
use super::status::{Part, Status};
use crate::config::Nats;

/// Longest wait between two attempts.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// An answer later than this is none.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pings that go unanswered tell of a dead peer within three of these.
const PING: Duration = Duration::from_secs(2);
/// A report has 4 MiB at most.
const PAYLOAD_MIN: usize = 4 << 20;

/// Connects, however long it takes. Drop the future to give up.
pub(super) async fn connect(config: &Nats, name: &str, status: &Arc<Status>) -> Client {
    let mut attempt = 0;
    loop {
        // The configuration was refused had one of them been none.
        let servers: Vec<ServerAddr> = config.url.iter().filter_map(|url| url.parse().ok()).collect();
        let connected = match options(config, name, Arc::clone(status)).await {
            Ok(options) => options.connect(servers).await.map_err(|error| error.to_string()),
            Err(problem) => Err(problem),
        };
        match connected {
            Ok(client) => {
                warn_of_small_messages(&client);
                return client;
            }
            Err(problem) => status.trouble(Part::Connection, format!("{}: {problem}", config.url.join(", "))),
        }
        tokio::time::sleep(wait(attempt)).await;
        attempt += 1;
    }
}

async fn options(config: &Nats, name: &str, status: Arc<Status>) -> Result<ConnectOptions, String> {
    let mut options = ConnectOptions::new()
        .name(format!("emac {name}"))
        .connection_timeout(PATIENCE)
        .request_timeout(Some(PATIENCE))
        .ping_interval(PING)
        .reconnect_delay_callback(wait)
        .event_callback(move |event| {
            heard(&status, event);
            std::future::ready(())
        });
    if let Some((user, file)) = &config.user {
        let read = tokio::fs::read_to_string(file).await;
        let password = read.map_err(|error| format!("passwordFile {}: {error}", file.display()))?;
        options = options.user_and_password(user.clone(), password.trim_end().to_owned());
    }
    if let Some(path) = &config.credentials {
        let read = options.credentials_file(path).await;
        options = read.map_err(|error| format!("credentials {}: {error}", path.display()))?;
    }
    if let Some(tls) = &config.tls {
        options = options.require_tls(true).add_root_certificates(tls.authorities.clone());
        if let Some((certificate, key)) = tls.client.clone() {
            options = options.add_client_certificate(certificate, key);
        }
    }
    Ok(options)
}

fn heard(status: &Status, event: Event) {
    match event {
        Event::Connected => status.connected(),
        Event::Disconnected | Event::Closed => status.disconnected(),
        Event::ServerError(ServerError::Other(problem)) => status.refused(problem),
        Event::ServerError(problem) => status.refused(problem.to_string()),
        Event::ClientError(problem) => status.trouble(Part::Connection, problem.to_string()),
        Event::LameDuckMode | Event::Draining | Event::SlowConsumer(_) => warn!(%event, "NATS"),
    }
}

/// Doubles, and differs from replica to replica.
fn wait(attempt: usize) -> Duration {
    let base = Duration::from_millis(100).saturating_mul(1 << attempt.min(5)).min(WAIT_MAX);
    base.mul_f64(0.75 + 0.5 * random())
}

fn warn_of_small_messages(client: &Client) {
    let payload = client.max_payload();
    if payload < PAYLOAD_MIN {
        warn!(
            max_payload = payload,
            "NATS takes no messages as long as a report may be; longer ones are refused. Set `max_payload: 8MB` in its configuration"
        );
    }
}
