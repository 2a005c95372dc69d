//! Values of the bucket that may be longer than a message: written whole or not at all, by compare-and-swap.
//!
//! The parts are written first, under a name of their own; the value itself is a head that names them. Whoever reads a head finds its parts until the next
//! head has taken its place, and then reads that one.

use async_nats::jetstream::kv::Operation;
use prost::Message;
use prost::bytes::Bytes;
use sha2::{Digest, Sha256};
use tracing::debug;

use super::layout::Layout;
use super::message::Head;
use super::random;

/// Longer values are split.
const INLINE_MAX: usize = 256 << 10;
/// Well below the shortest `max_payload` that anybody sets.
const PART: usize = 512 << 10;

/// A head as it was found, and its revision; revision 0: there is none.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub(super) revision: u64,
    pub(super) head: Head,
}

/// Writes a value in place of the one found, if nobody was faster. Returns what is there now.
///
/// # Errors
/// Why the value is not written.
pub(super) async fn write(
    layout: &Layout,
    key: &str,
    found: &Found,
    order: u64,
    bytes: Bytes,
) -> Result<Found, String> {
    if found.revision > 0 && order < found.head.order {
        return Err(format!("{key} {order} is older than {}, which is there", found.head.order));
    }
    let digest = Sha256::digest(&bytes).to_vec();
    let head = if bytes.len() <= INLINE_MAX {
        Head { body: bytes, digest, order, ..Head::default() }
    } else {
        let name = format!("{key}.{order}-{:08x}", (random() * f64::from(u32::MAX)) as u32);
        let parts = write_parts(layout, &name, &bytes).await?;
        Head { parts_of: name, parts, digest, order, body: Bytes::new() }
    };
    match layout.state.update(key, head.encode_to_vec().into(), found.revision).await {
        Ok(revision) => {
            remove_parts(layout, &found.head).await;
            Ok(Found { revision, head })
        }
        Err(error) => {
            remove_parts(layout, &head).await;
            Err(format!("{key}: {error}"))
        }
    }
}

async fn write_parts(layout: &Layout, name: &str, bytes: &Bytes) -> Result<u32, String> {
    let mut parts = 0;
    let mut rest = bytes.clone();
    while !rest.is_empty() {
        let part = rest.split_to(PART.min(rest.len()));
        let put = layout.state.put(part_key(name, parts), part).await;
        put.map_err(|error| format!("{name}, part {parts}: {error}"))?;
        parts += 1;
    }
    Ok(parts)
}

fn part_key(name: &str, part: u32) -> String {
    format!("part.{name}.{part}")
}

/// Without the markers that deleting keys one by one would leave.
async fn remove_parts(layout: &Layout, head: &Head) {
    if head.parts == 0 {
        return;
    }
    let subject = layout.names.key(&format!("part.{}.*", head.parts_of));
    if let Err(error) = layout.state.stream.purge().filter(subject).await {
        debug!(%error, name = head.parts_of, "parts of a value nobody needs stay");
    }
}

/// A value by its head.
///
/// # Errors
/// What is missing or damaged; a later head may be there by now.
pub(super) async fn read(layout: &Layout, head: &Head) -> Result<Bytes, String> {
    let bytes = if head.parts == 0 { head.body.clone() } else { read_parts(layout, head).await? };
    if Sha256::digest(&bytes)[..] != head.digest[..] {
        return Err("it does not have the digest it was written with".to_owned());
    }
    Ok(bytes)
}

async fn read_parts(layout: &Layout, head: &Head) -> Result<Bytes, String> {
    let mut bytes = Vec::new();
    for part in 0..head.parts {
        let key = part_key(&head.parts_of, part);
        let found = layout.state.get(&key).await.map_err(|error| format!("{key}: {error}"))?;
        bytes.extend_from_slice(&found.ok_or_else(|| format!("{key} is gone"))?);
    }
    Ok(bytes.into())
}

/// The head as it is now; the default when there never was one. Of one that was deleted only the revision is left.
///
/// # Errors
/// What cannot be read.
pub(super) async fn find(layout: &Layout, key: &str) -> Result<Found, String> {
    let entry = layout.state.entry(key).await.map_err(|error| format!("{key}: {error}"))?;
    let Some(entry) = entry else { return Ok(Found::default()) };
    if entry.operation != Operation::Put {
        return Ok(Found { revision: entry.revision, head: Head::default() });
    }
    let head = Head::decode(&entry.value[..]).map_err(|error| format!("{key}: {error}"))?;
    Ok(Found { revision: entry.revision, head })
}

/// The value of a head; `None` when there is none.
///
/// # Errors
/// What cannot be read.
pub(super) async fn value(layout: &Layout, key: &str, found: &Found) -> Result<Option<Bytes>, String> {
    if found.head.digest.is_empty() {
        return Ok(None);
    }
    read(layout, &found.head).await.map(Some).map_err(|problem| format!("{key}: {problem}"))
}

/// The value as it is now; `None` when there never was one.
///
/// # Errors
/// What cannot be read.
pub(super) async fn read_now(layout: &Layout, key: &str) -> Result<Option<Bytes>, String> {
    let found = find(layout, key).await?;
    value(layout, key, &found).await
}
