//! Host calls that fail on purpose.

use std::collections::BTreeMap;

/// What a host call answers; numbers are the ABI's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Status {
    /// Absent.
    NotFound = 1,
    /// Refused, or not available in this phase.
    BadArgument = 2,
    /// A value that cannot be given.
    SerializationFailure = 3,
    /// Bytes that cannot be read.
    ParseFailure = 4,
    /// A pointer outside linear memory.
    InvalidMemoryAccess = 6,
    /// An empty queue.
    Empty = 7,
    /// Somebody else wrote first.
    CasMismatch = 8,
    /// Anything else.
    InternalFailure = 10,
    /// Not in this host.
    Unimplemented = 12,
}

/// The host functions of the proxy-wasm ABI, and WASI's clock (`clock_time_get`), which can only be counted.
#[allow(missing_docs, reason = "each is the import of the same name")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostCall {
    Log,
    GetLogLevel,
    GetTime,
    SetTickPeriod,
    GetBuffer,
    SetBuffer,
    GetMapPairs,
    SetMapPairs,
    GetMapValue,
    AddMapValue,
    ReplaceMapValue,
    RemoveMapValue,
    GetProperty,
    SetProperty,
    GetSharedData,
    SetSharedData,
    RegisterQueue,
    ResolveQueue,
    Enqueue,
    Dequeue,
    ContinueStream,
    CloseStream,
    SendLocalResponse,
    HttpCall,
    GrpcCall,
    GrpcStream,
    GrpcSend,
    GrpcCancel,
    GrpcClose,
    GetStatus,
    SetEffectiveContext,
    CallForeignFunction,
    Done,
    DefineMetric,
    IncrementMetric,
    RecordMetric,
    GetMetric,
    Clock,
}

impl HostCall {
    /// Every call and every failure that Envoy can return for it and the SDK hands to its caller.
    ///
    /// Left out is what no filter could survive because the SDK panics by itself (`set_effective_context` of a context that is
    /// gone, a map read outside its phase): those are errors of the filter, and the host answers them as Envoy does.
    pub const FAILURES: &'static [(Self, Status)] = &[
        (Self::GetBuffer, Status::NotFound),
        (Self::GetMapValue, Status::NotFound),
        (Self::GetProperty, Status::NotFound),
        (Self::GetProperty, Status::SerializationFailure),
        (Self::GetProperty, Status::InternalFailure),
        (Self::GetSharedData, Status::NotFound),
        (Self::SetSharedData, Status::CasMismatch),
        (Self::ResolveQueue, Status::NotFound),
        (Self::Dequeue, Status::Empty),
        (Self::Dequeue, Status::NotFound),
        (Self::Enqueue, Status::NotFound),
        (Self::HttpCall, Status::BadArgument),
        (Self::HttpCall, Status::InternalFailure),
        (Self::GrpcStream, Status::ParseFailure),
        (Self::GrpcStream, Status::InternalFailure),
        (Self::GrpcCall, Status::ParseFailure),
        (Self::GrpcCall, Status::InternalFailure),
        (Self::GrpcSend, Status::BadArgument),
        (Self::GrpcSend, Status::NotFound),
        (Self::GrpcCancel, Status::NotFound),
        (Self::GrpcClose, Status::NotFound),
        (Self::CallForeignFunction, Status::NotFound),
        (Self::CallForeignFunction, Status::BadArgument),
        (Self::CallForeignFunction, Status::InternalFailure),
        (Self::IncrementMetric, Status::NotFound),
        (Self::IncrementMetric, Status::BadArgument),
        (Self::RecordMetric, Status::NotFound),
        (Self::GetMetric, Status::NotFound),
    ];
}

/// "Calls `from ..` of this kind answer this status."
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    call: HostCall,
    status: Status,
    from: u64,
    times: u64,
    seen: u64,
}

impl Fault {
    /// Only the n-th call from now (1 is the next one).
    pub fn nth(call: HostCall, n: u64, status: Status) -> Self {
        Self { call, status, from: n, times: 1, seen: 0 }
    }

    /// Every call from now.
    pub fn always(call: HostCall, status: Status) -> Self {
        Self { call, status, from: 1, times: u64::MAX, seen: 0 }
    }

    fn strikes(&mut self, call: HostCall) -> Option<Status> {
        if call != self.call {
            return None;
        }
        self.seen += 1;
        let hit = self.seen >= self.from && self.seen - self.from < self.times;
        hit.then_some(self.status)
    }
}

/// Armed faults, and how often each call was made.
#[derive(Default)]
pub(super) struct Faults {
    armed: Vec<Fault>,
    counts: BTreeMap<HostCall, u64>,
    /// Answers for which the module had to make room.
    given: u64,
    struck: u64,
}

impl Faults {
    pub(super) fn arm(&mut self, fault: Fault) {
        self.armed.push(fault);
    }

    pub(super) fn clear(&mut self) {
        self.armed.clear();
    }

    /// Counts the call; the status it must fail with, if any.
    pub(super) fn on_call(&mut self, call: HostCall) -> Option<Status> {
        *self.counts.entry(call).or_default() += 1;
        let status = self.armed.iter_mut().filter_map(|fault| fault.strikes(call)).last();
        self.struck += u64::from(status.is_some());
        status
    }

    pub(super) fn count(&self, call: HostCall) -> u64 {
        self.counts.get(&call).copied().unwrap_or(0)
    }

    /// Bytes were handed over.
    pub(super) fn give(&mut self) {
        self.given += 1;
    }

    pub(super) fn given(&self) -> u64 {
        self.given
    }

    pub(super) fn counts(&self) -> &BTreeMap<HostCall, u64> {
        &self.counts
    }

    pub(super) fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    pub(super) fn struck(&self) -> u64 {
        self.struck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_nth_call_of_its_kind_fails() {
        let mut faults = Faults::default();
        faults.arm(Fault::nth(HostCall::Dequeue, 2, Status::Empty));
        let answers: Vec<_> = [HostCall::Dequeue, HostCall::Log, HostCall::Dequeue, HostCall::Dequeue]
            .map(|call| faults.on_call(call))
            .to_vec();
        assert_eq!(answers, [None, None, Some(Status::Empty), None]);
        assert_eq!((faults.count(HostCall::Dequeue), faults.struck()), (3, 1));
    }
}
