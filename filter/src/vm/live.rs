//! Which journeys are still under way in this pod, and when they are due: asked by the outbound side, told by the inbound side.
//!
//! A context can outlive its request: in a queue, an outbox, a task that nobody waits for. A deadline binds only until the request is
//! answered, so the outbound side believes what stands here, not what the application carries. The two sides may run on different
//! threads, so it stands in shared data, in one of a fixed number of places by the request's id; a place taken by another request
//! answers "over", which lets the call pass.

use emac_core::context::{Absolute, Context, REMAINING_MAX, Remaining};
use emac_core::units::{Micros, Millis};

use super::slots;
use crate::host::Host;

const TABLE: &str = "emac.live";
/// Requests under way at once are far fewer; a place costs about 100 bytes once used.
const PLACES: u64 = 8_192;

/// How long the deadline of a request whose client has left goes on to bind: long enough for the calls it had made, which are due by
/// then, and no longer, since a context may lie in a queue.
const ABANDONED: Micros = Micros(1_000_000);

/// What is known of a journey's deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// The client has sent its request.
    At(Absolute),
    /// It is still sending: its time has not begun.
    After(Remaining),
    /// It has left without an answer: what is done on its behalf is for nobody.
    Abandoned(Absolute),
}

impl Due {
    /// The deadline of a call made now.
    pub(crate) const fn as_of(self, now: Micros) -> Absolute {
        match self {
            Self::At(deadline) | Self::Abandoned(deadline) => deadline,
            Self::After(remaining) => remaining.at(now),
        }
    }
}

/// The request `id` is under way.
pub(crate) fn put(host: &dyn Host, id: u64, due: Due) {
    let (kind, millis) = match due {
        Due::At(deadline) => (0, deadline.0),
        Due::After(remaining) => (1, remaining.0),
        Due::Abandoned(deadline) => (2, deadline.0),
    };
    let mut value = [0; 17];
    let parts = id.to_le_bytes().into_iter().chain(millis.0.to_le_bytes()).chain([kind]);
    value.iter_mut().zip(parts).for_each(|(byte, part)| *byte = part);
    slots::put(host, TABLE, PLACES, id.into(), &value);
}

/// The request `id` was answered. Leaves the place alone when it is another's.
pub(crate) fn end(host: &dyn Host, id: u64) {
    if get(host, id).is_some() {
        slots::put(host, TABLE, PLACES, id.into(), &[]);
    }
}

/// The client of the request `id` left without an answer.
pub(crate) fn abandon(host: &dyn Host, id: u64) {
    match get(host, id) {
        Some(Due::At(deadline)) => put(host, id, Due::Abandoned(deadline)),
        Some(Due::After(_)) => end(host, id),
        Some(Due::Abandoned(_)) | None => {}
    }
}

/// Whether the request `id` was answered, was left long ago, or its place was taken.
pub(crate) fn is_over(host: &dyn Host, id: u64, now: Micros) -> bool {
    known(host, id, now).is_none()
}

/// What is known of the request of a context that came from the application; `None`: it is over, or was never one of this pod's.
pub(crate) fn due(host: &dyn Host, context: &Context<'_, Absolute>, now: Micros) -> Option<Due> {
    if context.id != 0 {
        return known(host, context.id, now);
    }
    // An application may know journeys without numbers; a deadline in reach is believed.
    (context.deadline.left(now).0 > Millis(0) && context.deadline <= Remaining(REMAINING_MAX).at(now))
        .then_some(Due::At(context.deadline))
}

fn known(host: &dyn Host, id: u64, now: Micros) -> Option<Due> {
    get(host, id).filter(|due| match due {
        Due::Abandoned(deadline) => now <= deadline.0.to_micros().after(ABANDONED),
        Due::At(_) | Due::After(_) => true,
    })
}

fn get(host: &dyn Host, id: u64) -> Option<Due> {
    let value = slots::get(host, TABLE, PLACES, id.into())?;
    let (known, rest) = value.split_first_chunk()?;
    let (millis, kind) = rest.split_first_chunk()?;
    let millis = Millis(u64::from_le_bytes(*millis));
    match (u64::from_le_bytes(*known) == id, kind) {
        (true, [0]) => Some(Due::At(Absolute(millis))),
        (true, [1]) => Some(Due::After(Remaining(millis))),
        (true, [2]) => Some(Due::Abandoned(Absolute(millis))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fake;
    use emac_core::context::Flags;

    fn context(id: u64, ms: u64) -> Context<'static, Absolute> {
        Context { journey: "checkout", deadline: Absolute(Millis(ms)), flags: Flags::default(), id }
    }

    #[test]
    fn what_stands_here_rules_not_what_the_application_carries() {
        let host = Fake::default();
        let now = Millis(1_790_000_000_000).to_micros();
        let at = Due::At(Absolute(Millis(1_790_000_000_400)));
        put(&host, 7, at);
        assert_eq!(due(&host, &context(7, 1), now), Some(at));
        put(&host, 7, Due::After(Remaining(Millis(400))));
        let later = now.after(Micros(5_000_000));
        let waiting = due(&host, &context(7, 1), later).map(|due| due.as_of(later));
        assert_eq!(waiting, Some(Absolute(Millis(1_790_000_005_400))));
        assert_eq!(due(&host, &context(7 + PLACES, 1_790_000_000_400), now), None, "another request");
        end(&host, 7 + PLACES);
        assert!(due(&host, &context(7, 1), now).is_some(), "only its own place is cleared");
        end(&host, 7);
        assert_eq!(due(&host, &context(7, 1_790_000_000_400), now), None);
    }

    #[test]
    fn who_left_without_an_answer_wants_nothing_more_and_is_forgotten() {
        let host = Fake::default();
        let now = Millis(1_790_000_000_000).to_micros();
        put(&host, 7, Due::At(Absolute(Millis(1_790_000_000_400))));
        abandon(&host, 7);
        let is_due = |after| due(&host, &context(7, 1), now.after(Millis(after).to_micros())).is_some();
        assert!(is_due(0) && is_due(400) && is_due(1_400));
        assert!(!is_due(1_401) && !is_due(3_600_000));
        put(&host, 8, Due::After(Remaining(Millis(400))));
        abandon(&host, 8);
        assert_eq!(due(&host, &context(8, 1), now), None);
    }

    #[test]
    fn without_a_number_a_deadline_in_reach_is_believed() {
        let host = Fake::default();
        let now = Millis(1_790_000_000_000).to_micros();
        let believed = |ms| due(&host, &context(0, ms), now).is_some();
        assert!(believed(1_790_000_000_001) && believed(1_790_000_120_000));
        assert!(!believed(1_790_000_000_000) && !believed(1_790_000_120_001) && !believed(400));
    }
}
