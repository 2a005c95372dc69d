//! What a caller does not wait for: cut off at the moment it goes on.

use super::super::step::Losers;
use super::{Ended, Engine, Side};

impl Engine<'_> {
    /// The caller goes on at `at`; of the acts from number `first` on, those that still run have lost.
    pub(super) fn abandon(&mut self, first: usize, caller: u32, at: i64, losers: Losers, how: Ended) {
        if losers == Losers::LeftRunning {
            return;
        }
        // When the process that makes this act's calls gives them up; by act, from `first` on.
        let mut gives_up: Vec<Option<i64>> = vec![None; self.run.acts.len() - first];
        for index in first..self.run.acts.len() {
            let (way, parent) = (self.network(), self.run.acts[index].parent);
            let within = parent.and_then(|p| (p as usize).checked_sub(first)).and_then(|p| gives_up.get(p));
            let cut = if parent == Some(caller) { Some(at) } else { within.copied().flatten() };
            let dead = parent.is_some_and(|p| !self.run.acts[p as usize].happened);
            let act = &mut self.run.acts[index];
            if dead || cut.is_some_and(|cut| act.client.start_ns >= cut) {
                act.happened = false;
                continue;
            }
            let Some(cut) = cut.filter(|cut| act.client.end_ns > *cut && !act.message) else { continue };
            let how = if parent == Some(caller) { how } else { Ended::Cancelled };
            act.client = Side { end_ns: cut, ended: how, ..act.client };
            act.server = act.server.filter(|server| server.start_ns < cut);
            let Some(server) = &mut act.server else {
                gives_up[index - first] = Some(i64::MIN);
                continue;
            };
            if losers == Losers::Cancelled && server.end_ns > cut + way {
                *server = Side { end_ns: cut + way, ended: Ended::Cancelled, ..*server };
                gives_up[index - first] = Some(cut + way);
            }
        }
    }
}
