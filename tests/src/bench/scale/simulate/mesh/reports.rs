//! A report's way: the sidecar's ticks, the queue, the committer, the acknowledgement.

use super::super::queue::Nanos;
use super::super::sidecar::Deed;
use super::{BATCH_MAX, CLIENT, COMMIT, Committer, Event, Job, Mesh, Note, SERVE};

impl Mesh {
    pub(super) fn tick(&mut self, place: u32) {
        let (now, every) = (self.events.now(), self.setting.report_every);
        let sidecar = &mut self.sidecars[place as usize];
        if !sidecar.is_due(now) {
            return;
        }
        let deed = sidecar.turn(now, every, self.random.u64(..));
        let note = Note {
            sidecar: place,
            stream: sidecar.stream,
            sequence: sidecar.sequence,
            intervals: sidecar.sealed,
        };
        let next = sidecar.foresee(now);
        self.events.at(next, Event::Tick(place));
        match deed {
            Deed::Waits => {}
            Deed::Sends if self.setting.shared => {
                self.cores.offer(CLIENT, self.costs.client_report / 2, Job::Write(note))
            }
            Deed::Sends => self.arrive(note),
        }
    }

    /// A report is there to be read; of a stream one after the other.
    pub(super) fn arrive(&mut self, note: Note) {
        let sidecar = &mut self.sidecars[note.sidecar as usize];
        if sidecar.stream != note.stream {
            return;
        }
        if sidecar.at_work {
            sidecar.unread += 1;
            return;
        }
        sidecar.at_work = true;
        self.cores.offer(SERVE, self.costs.receive, Job::Receive(note));
    }

    pub(super) fn received(&mut self, note: Note) {
        if self.sidecars[note.sidecar as usize].stream != note.stream {
            return;
        }
        self.counted.came += 1;
        if self.queue.len() >= self.setting.queue {
            self.counted.refused += 1;
            return self.cores.offer(SERVE, self.costs.answer, Job::Refuse(note));
        }
        self.queue.push_back(note);
        match self.committer {
            Committer::Idle => self.gather(),
            Committer::Gathers(_) => self.fill(),
            Committer::Works => {}
        }
    }

    pub(super) fn refused(&mut self, note: Note) {
        let (now, random) = (self.events.now(), self.random.u64(..));
        let sidecar = &mut self.sidecars[note.sidecar as usize];
        if sidecar.stream == note.stream {
            sidecar.close(now, random);
            self.foresee(note.sidecar);
        }
    }

    /// The committer takes the first and waits for company.
    pub(super) fn gather(&mut self) {
        self.began = self.events.now();
        let number = self.events.foreseen() + 1;
        self.committer = Committer::Gathers(number);
        self.events.after(self.setting.delay, Event::Gathered(number));
        self.fill();
    }

    pub(super) fn fill(&mut self) {
        let taken = (BATCH_MAX - self.batch.len()).min(self.queue.len());
        self.batch.extend(self.queue.drain(..taken));
        if self.batch.len() == BATCH_MAX {
            self.commit();
        }
    }

    pub(super) fn commit(&mut self) {
        self.committer = Committer::Works;
        self.began = self.events.now();
        let length = self.costs.commit + self.costs.commit_report * self.batch.len() as Nanos;
        self.cores.offer(COMMIT, length, Job::Commit);
    }

    pub(super) fn flushed(&mut self) {
        self.counted.commits += 1;
        self.counted.committing += self.events.now() - self.began;
        for note in std::mem::take(&mut self.batch) {
            let counted = &mut self.sidecars[note.sidecar as usize].counted;
            match note.sequence > counted.0 {
                true => *counted = (note.sequence, counted.1 + note.intervals),
                false => self.counted.again += 1,
            }
            self.cores.offer(SERVE, self.costs.answer, Job::Answer(note));
        }
        self.committer = Committer::Idle;
        if !self.queue.is_empty() {
            self.gather();
        }
    }

    pub(super) fn answered(&mut self, note: Note) {
        let now = self.events.now();
        let sidecar = &mut self.sidecars[note.sidecar as usize];
        if sidecar.stream != note.stream {
            return;
        }
        if let Some(took) = sidecar.hear(now, note.sequence) {
            self.counted.durable.push(took);
        }
        sidecar.at_work = sidecar.unread > 0;
        if sidecar.at_work {
            // What waits is the report that was offered again.
            sidecar.unread -= 1;
            self.cores.offer(SERVE, self.costs.receive, Job::Receive(note));
        }
        self.foresee(note.sidecar);
    }

    pub(super) fn foresee(&mut self, place: u32) {
        let next = self.sidecars[place as usize].foresee(self.events.now());
        self.events.at(next, Event::Tick(place));
    }
}
