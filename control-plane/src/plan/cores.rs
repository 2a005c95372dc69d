//! The same work on many items, on all cores.

use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

/// Fewer items a thread than these are not worth one: starting it costs some ten microseconds.
const FEW: usize = 4;

/// The items worked on with their results, in the order of `items`. `may_go_on` is asked before each, on any thread; after the first no,
/// no further item is begun. A panic of any is passed on.
pub(super) fn on_all_cores<'i, T: Sync, R: Send>(
    items: &'i [T],
    may_go_on: impl Fn(&T) -> bool + Sync,
    work: impl Fn(&'i T) -> R + Sync,
) -> Vec<(&'i T, R)> {
    let next = AtomicUsize::new(0);
    let run = || {
        let mut done = Vec::new();
        loop {
            let place = next.fetch_add(1, Relaxed);
            let Some(item) = items.get(place) else { return done };
            if !may_go_on(item) {
                next.store(items.len(), Relaxed);
                return done;
            }
            done.push((place, item, work(item)));
        }
    };
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = cores.min(items.len() / FEW).max(1);
    let mut done = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        let mut done = run();
        for other in others {
            done.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        done
    });
    done.sort_by_key(|(place, ..)| *place);
    done.into_iter().map(|(_, item, result)| (item, result)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_worked_on_once_and_in_order() {
        let items: Vec<u32> = (0..1_000).collect();
        let done = on_all_cores(&items, |_| true, |item| item * 2);
        assert!(done.iter().zip(&items).all(|((item, twice), n)| *item == n && *twice == 2 * n));
        assert_eq!(done.len(), items.len());
    }

    #[test]
    fn nothing_is_begun_after_a_no() {
        let items: Vec<u32> = (0..1_000).collect();
        let done = on_all_cores(&items, |item| *item < 500, |item| *item);
        assert!(done.len() >= 499 && done.iter().all(|(item, _)| **item < 500 + 64), "{}", done.len());
        assert!(on_all_cores(&items, |_| false, |item| *item).is_empty());
    }
}
