//! How streams end when a server does: not all in one instant, so that their clients come to other servers one after the other.

use std::hash::{BuildHasher as _, Hasher as _};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Comes at a random time within `over` of the cancellation; at once when `over` is zero. One for each stream.
pub async fn drained(shutdown: CancellationToken, over: Duration) {
    shutdown.cancelled().await;
    if !over.is_zero() {
        tokio::time::sleep(over.mul_f64(draw())).await;
    }
}

/// From 0 to 1, seeded anew for every hasher: a draw that needs no generator to be shared.
fn draw() -> f64 {
    let drawn = std::collections::hash_map::RandomState::new().build_hasher().finish();
    (drawn >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_lie_everywhere() {
        let mut quarters = [0; 4];
        (0..4_000).for_each(|_| quarters[(draw() * 4.0) as usize] += 1);
        assert!(quarters.iter().all(|count| (700..1_300).contains(count)), "{quarters:?}");
    }
}
