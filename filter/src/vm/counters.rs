//! Counters of the filter's own life that are no part of a report.

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A plugin configuration could not be read.
    ConfigInvalid,
    /// Budgets were refused and the control plane told so.
    Nack,
    /// Budgets of a generation below the one held were ignored.
    BudgetsOlder,
    /// A stream of the control plane ended or could not be opened.
    StreamLost,
    /// The control plane said something that cannot be understood.
    Garbage,
    /// A context named a journey that is not among this workload's.
    JourneyUnknown,
    /// This VM became the leader.
    Elected,
    /// Another filter of EmaC has the request in hand: this one stepped aside.
    SecondFilter,
    /// A call on a journey that was answered already: it passed without a deadline.
    Late,
    /// There was no room for the context among the baggage.
    ContextOmitted,
    /// A mirrored request: no journey.
    Shadow,
    /// A request entered with a `traceparent` that cannot be read. It was left as it is.
    TraceInvalid,
    /// A request on no declared journey was chosen to be followed, and its entry was one name too many.
    EntryDropped,
    /// An answer 401, 403, 407 or 429 of the callee was counted as a success, since nothing says otherwise.
    Denied,
}

impl Event {
    pub(crate) const ALL: [Self; 14] = [
        Self::ConfigInvalid,
        Self::Nack,
        Self::BudgetsOlder,
        Self::StreamLost,
        Self::Garbage,
        Self::JourneyUnknown,
        Self::Elected,
        Self::SecondFilter,
        Self::Late,
        Self::ContextOmitted,
        Self::Shadow,
        Self::TraceInvalid,
        Self::EntryDropped,
        Self::Denied,
    ];

    const fn metric(self) -> &'static str {
        match self {
            Self::ConfigInvalid => "emac_config_invalid_total",
            Self::Nack => "emac_nack_total",
            Self::BudgetsOlder => "emac_budgets_older_total",
            Self::StreamLost => "emac_stream_lost_total",
            Self::Garbage => "emac_control_plane_garbage_total",
            Self::JourneyUnknown => "emac_journey_unknown_total",
            Self::Elected => "emac_leader_elected_total",
            Self::SecondFilter => "emac_second_filter_total",
            Self::Late => "emac_context_late_total",
            Self::ContextOmitted => "emac_context_omitted_total",
            Self::Shadow => "emac_shadow_total",
            Self::TraceInvalid => "emac_traceparent_invalid_total",
            Self::EntryDropped => "emac_undeclared_dropped_total",
            Self::Denied => "emac_denied_total",
        }
    }
}

/// Counts since they were last taken.
#[derive(Debug, Default)]
pub(crate) struct Counters([u64; Event::ALL.len()]);

impl Counters {
    pub(crate) fn add(&mut self, event: Event) {
        if let Some(count) = self.0.get_mut(event as usize) {
            *count = count.saturating_add(1);
        }
    }

    /// (metric name, count), without those that are zero.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        let counts = core::mem::take(&mut self.0);
        Event::ALL.into_iter().map(Event::metric).zip(counts).filter(|&(_, count)| count > 0)
    }
}
