//! Shared queues: data survives a new registration, and the last registrant is the one that is told.

use std::collections::{BTreeMap, VecDeque};

/// Who is told that a queue has something: VM and root context.
pub(in crate::wasm_host) type Registrant = (usize, u32);

#[derive(Default)]
pub(in crate::wasm_host) struct Queues {
    tokens: BTreeMap<Vec<u8>, u32>,
    queues: BTreeMap<u32, (Registrant, VecDeque<Vec<u8>>)>,
}

impl Queues {
    pub(in crate::wasm_host) fn register(&mut self, name: &[u8], by: Registrant) -> u32 {
        let next = self.tokens.len() as u32 + 1;
        let token = *self.tokens.entry(name.to_vec()).or_insert(next);
        self.queues.entry(token).or_insert_with(|| (by, VecDeque::new())).0 = by;
        token
    }

    pub(in crate::wasm_host) fn resolve(&self, name: &[u8]) -> Option<u32> {
        self.tokens.get(name).copied()
    }

    /// The one to tell, or `None` for a queue that does not exist.
    pub(in crate::wasm_host) fn enqueue(&mut self, token: u32, value: &[u8]) -> Option<Registrant> {
        let (registrant, queue) = self.queues.get_mut(&token)?;
        queue.push_back(value.to_vec());
        Some(*registrant)
    }

    /// Outer `None`: no such queue. Inner: empty.
    pub(in crate::wasm_host) fn dequeue(&mut self, token: u32) -> Option<Option<Vec<u8>>> {
        Some(self.queues.get_mut(&token)?.1.pop_front())
    }

    pub(in crate::wasm_host) fn len(&self) -> usize {
        self.queues.values().map(|(_, queue)| queue.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_registrant_gets_what_was_left() {
        let mut queues = Queues::default();
        let token = queues.register(b"q", (0, 2));
        assert_eq!(queues.enqueue(token, b"x"), Some((0, 2)));
        assert_eq!(queues.register(b"q", (1, 3)), token);
        assert_eq!(queues.enqueue(token, b"y"), Some((1, 3)));
        assert_eq!(queues.dequeue(token), Some(Some(b"x".to_vec())));
        assert_eq!((queues.resolve(b"q"), queues.resolve(b"r")), (Some(token), None));
        assert_eq!(queues.dequeue(99), None);
    }
}
