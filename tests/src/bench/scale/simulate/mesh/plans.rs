//! A plan's way: steps, publishing, renewals.

use super::super::planning::Next;
use super::super::queue::Nanos;
use super::{Job, Mesh, PLAN, RENEW, RENEWED_AFTER, SERVE, WORKLOADS};

impl Mesh {
    pub(super) fn step(&mut self, tick: bool) {
        let pieces = self.planning.begin(self.events.now(), tick);
        self.pieces(pieces);
    }

    pub(super) fn pieces(&mut self, pieces: Option<(usize, Nanos)>) {
        let Some((pieces, length)) = pieces else { return };
        (0..pieces).for_each(|_| self.cores.offer(PLAN, length, Job::Piece));
    }

    pub(super) fn piece(&mut self) {
        let (next, pieces) = self.planning.end(self.events.now());
        self.pieces(pieces);
        match next {
            Next::Piece(length) => self.cores.offer(PLAN, length, Job::Piece),
            Next::Nothing => {}
            Next::Publish { changed } => {
                let all = self.setting.sidecars as Nanos;
                let encoded = changed * WORKLOADS;
                let put =
                    if encoded > 0 { self.costs.put * all + self.costs.encode * encoded as Nanos } else { 0 };
                self.cores.offer(PLAN, self.costs.publish * all + put, Job::Publish(changed as u32));
            }
        }
    }

    pub(super) fn published(&mut self, changed: usize) {
        self.planning.published(self.events.now());
        // Whoever connects later is told then, and not of a change.
        let there = if self.sidecars.is_empty() { 1 } else { self.setting.sidecars };
        let told = (changed * WORKLOADS).min(there);
        (0..told).for_each(|_| self.cores.offer(SERVE, self.costs.send, Job::Send(true)));
        if !self.sidecars.is_empty() {
            self.step(false);
        }
    }

    /// A look at every lease; those that are due are issued.
    pub(super) fn renew(&mut self) {
        let (now, all) = (self.events.now(), self.setting.sidecars as Nanos);
        self.due += all as f64 * (now - self.renewed) as f64 / RENEWED_AFTER;
        self.renewed = now;
        // No lease is due twice.
        let due = self.due.floor().min(all as f64);
        self.due -= due;
        let issued = if due > 0.0 { self.costs.put * all + self.costs.encode * due as Nanos } else { 0 };
        self.cores.offer(RENEW, self.costs.publish * all + issued, Job::Renew(due as u32));
    }
}
