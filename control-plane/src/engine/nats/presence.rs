//! Who is connected to the other replicas: each tells now and then, so that every one can say of a proxy whether it is there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use emac_push::proxies::{Proxies, Proxy};
use tokio_stream::StreamExt as _;

use super::layout::Layout;
use super::members::{DEAD, Members};
use super::message::{Presence, Present, pack, unpack};
use crate::clock::Clock;

/// How often a replica tells.
const EVERY: Duration = Duration::from_secs(1);

/// What others told last.
#[derive(Debug, Default)]
pub(super) struct Elsewhere {
    told: Mutex<BTreeMap<String, (Instant, Vec<Present>)>>,
}

impl Elsewhere {
    /// Proxies of every replica that tells, by the replica's name.
    pub(super) fn all(&self) -> Vec<(String, Present)> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|_, (at, _)| at.elapsed() <= EVERY + DEAD);
        let of = |(replica, (_, proxies)): (&String, &(Instant, Vec<Present>))| {
            proxies.iter().map(|proxy| (replica.clone(), proxy.clone())).collect::<Vec<_>>()
        };
        told.iter().flat_map(of).collect()
    }

    /// Listens for ever.
    pub(super) async fn listen(self: Arc<Self>, layout: Layout, members: Arc<Members>) {
        let client = layout.context.client();
        loop {
            if let Ok(mut news) = client.subscribe(layout.names.proxies()).await {
                while let Some(message) = news.next().await {
                    if let Ok(Presence { replica, proxies }) = unpack(&message.payload)
                        && replica != members.me()
                    {
                        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
                        told.insert(replica, (Instant::now(), proxies));
                    }
                }
            }
            tokio::time::sleep(super::PAUSE).await;
        }
    }
}

/// Tells for ever.
pub(super) async fn tell(layout: Layout, members: Arc<Members>, proxies: Arc<Proxies>, clock: Clock) {
    let (client, mut ticks) = (layout.context.client(), tokio::time::interval(EVERY));
    loop {
        ticks.tick().await;
        let now = clock.now();
        let present = |proxy: Proxy| Present {
            owed_ms: proxy.owed_since.map(|since| now.since(since).to_millis_floor().0),
            refused: proxy.refused_last,
            accepted: proxy.accepted.and_then(|accepted| accepted.generation).unwrap_or(0),
            node: proxy.node,
            workload: proxy.workload,
        };
        let named = proxies.list().into_iter().filter(|proxy| !proxy.node.is_empty());
        let told = Presence { replica: members.me().to_owned(), proxies: named.map(present).collect() };
        // What cannot be sent is told the next time.
        let _ = client.publish(layout.names.proxies(), pack(&told)).await;
    }
}
