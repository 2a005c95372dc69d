//! A plan as bytes: what every workload is told, and why, so that the next planner goes on from it and every replica can explain it.
//!
//! Of ten thousand workloads a change touches a few. So parts of a plan stay bytes until they are known to be new ([`Parts`]): the others are
//! neither written nor read again, and stay the same values in memory, by which those who push them see that nothing changed.

use std::collections::HashMap;
use std::sync::Arc;

use emac_core::budget::WorkloadBudgets;
use emac_core::budget::curve::{Allocation, Place};
use emac_core::id::{HopKey, JourneyName, WorkloadName};
use emac_core::journey::ComponentName;
use emac_core::units::{Generation, Millis};
use emac_proto::v1;
use prost::Message;
use prost::bytes::Bytes;

use super::message::{pack, unpack};
use crate::plan::{Bound, CurveSource, Damped, JourneyPlan, LeafPlan, PlanSnapshot};

#[derive(Clone, PartialEq, Message)]
struct Plan {
    #[prost(uint64, tag = "1")]
    generation: u64,
    /// [`v1::WorkloadBudgets`] each.
    #[prost(bytes = "bytes", repeated, tag = "2")]
    workloads: Vec<Bytes>,
    /// [`Journey`] each.
    #[prost(bytes = "bytes", repeated, tag = "3")]
    journeys: Vec<Bytes>,
}

#[derive(Clone, PartialEq, Message)]
struct Journey {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(double, tag = "2")]
    predicted: f64,
    #[prost(double, tag = "3")]
    predicted_lower: f64,
    #[prost(string, tag = "4")]
    model: String,
    #[prost(string, tag = "5")]
    expression: String,
    #[prost(double, tag = "6")]
    objective: f64,
    #[prost(uint64, tag = "7")]
    deadline_ms: u64,
    #[prost(uint64, tag = "8")]
    planned_ms: u64,
    #[prost(message, repeated, tag = "9")]
    leaves: Vec<Leaf>,
    #[prost(uint64, tag = "10")]
    changed_unix_ms: u64,
    /// Place in [`DAMPED`].
    #[prost(uint32, tag = "11")]
    damped: u32,
    #[prost(string, repeated, tag = "12")]
    notes: Vec<String>,
    /// Names what it was made from, and the value of the bucket that holds it.
    #[prost(string, tag = "13")]
    declaration: String,
}

#[derive(Clone, PartialEq, Message)]
struct Leaf {
    #[prost(string, tag = "1")]
    name: String,
    /// 0 only, 1 primary, 2 detached, 3 and more: an alternate from 0.
    #[prost(uint64, tag = "2")]
    place: u64,
    #[prost(uint64, tag = "3")]
    start_ms: u64,
    #[prost(uint64, tag = "4")]
    time_ms: u64,
    #[prost(uint32, tag = "5")]
    tries: u32,
    #[prost(uint64, tag = "6")]
    useful_after_ms: u64,
    #[prost(uint64, tag = "7")]
    needed_after_ms: u64,
    #[prost(uint64, tag = "8")]
    useful_ms: u64,
    #[prost(message, repeated, tag = "9")]
    hops: Vec<v1::HopKey>,
    #[prost(uint64, optional, tag = "10")]
    timeout_ms: Option<u64>,
    /// Calls that were measured; of a default curve those seen so far.
    #[prost(uint64, tag = "11")]
    calls: u64,
    /// 0 default, 1 measured, 2 static.
    #[prost(uint32, tag = "12")]
    source: u32,
    #[prost(uint64, tag = "13")]
    usual_ms: u64,
    /// Place in [`BOUNDS`].
    #[prost(uint32, tag = "14")]
    bound: u32,
    #[prost(double, tag = "15")]
    success: f64,
}

/// By their numbers on the wire.
const DAMPED: [Damped; 4] = [Damped::No, Damped::Hysteresis, Damped::Period, Damped::Step];
const BOUNDS: [Bound; 5] =
    [Bound::Optimum, Bound::Remaining, Bound::Encloses, Bound::Minimum, Bound::Maximum];

/// The parts of the last plan that was written or read, each as bytes and as a value.
#[derive(Debug, Default)]
pub(super) struct Parts {
    workloads: Known<WorkloadName, WorkloadBudgets>,
    journeys: Known<JourneyName, JourneyPlan>,
}

/// Values of one kind.
#[derive(Debug)]
struct Known<K, T> {
    by_bytes: HashMap<Bytes, (K, Arc<T>)>,
    /// By address, which stays its own as long as the value is held above.
    by_address: HashMap<usize, Bytes>,
}

impl<K, T> Default for Known<K, T> {
    fn default() -> Self {
        Self { by_bytes: HashMap::new(), by_address: HashMap::new() }
    }
}

impl<K: Clone, T> Known<K, T> {
    fn learn(&mut self, bytes: Bytes, name: K, value: Arc<T>) {
        self.by_address.insert(Arc::as_ptr(&value).addr(), bytes.clone());
        self.by_bytes.insert(bytes, (name, value));
    }

    /// The bytes of these values, which take the place of those known.
    fn write<'a>(
        &mut self,
        values: impl Iterator<Item = (&'a K, &'a Arc<T>)>,
        write: impl Fn(&K, &T) -> Vec<u8>,
    ) -> Vec<Bytes>
    where
        K: 'a,
        T: 'a,
    {
        let mut next = Self::default();
        let written = values.map(|(name, value)| {
            let known = self.by_address.get(&Arc::as_ptr(value).addr()).cloned();
            let bytes = known.unwrap_or_else(|| write(name, value).into());
            next.learn(bytes.clone(), name.clone(), Arc::clone(value));
            bytes
        });
        let written = written.collect();
        *self = next;
        written
    }

    /// The values of these bytes, which take the place of those known.
    fn read(
        &mut self,
        written: Vec<Bytes>,
        read: impl Fn(&Bytes) -> Result<(K, T), String>,
    ) -> Result<Vec<(K, Arc<T>)>, String> {
        let mut next = Self::default();
        let values = written.into_iter().map(|bytes| {
            let (name, value) = match self.by_bytes.get(&bytes) {
                Some((name, value)) => (name.clone(), Arc::clone(value)),
                None => read(&bytes).map(|(name, value)| (name, Arc::new(value)))?,
            };
            // A part of its own, not a view that keeps the whole plan's bytes.
            let bytes = self
                .by_address
                .get(&Arc::as_ptr(&value).addr())
                .cloned()
                .unwrap_or_else(|| Bytes::copy_from_slice(&bytes));
            next.learn(bytes, name.clone(), Arc::clone(&value));
            Ok((name, value))
        });
        let values = values.collect::<Result<_, String>>()?;
        *self = next;
        Ok(values)
    }
}

impl Parts {
    pub(super) fn encode(&mut self, plan: &PlanSnapshot) -> Bytes {
        let workload = |_: &WorkloadName, it: &WorkloadBudgets| v1::WorkloadBudgets::from(it).encode_to_vec();
        let journey = |name: &JourneyName, it: &JourneyPlan| journey_to_wire(name, it).encode_to_vec();
        pack(&Plan {
            generation: plan.generation.0,
            workloads: self.workloads.write(plan.workloads.iter(), workload),
            journeys: self.journeys.write(plan.journeys.iter(), journey),
        })
    }

    /// # Errors
    /// What is wrong with the bytes.
    pub(super) fn decode(&mut self, bytes: &[u8]) -> Result<PlanSnapshot, String> {
        let wire: Plan = unpack(bytes)?;
        let workloads = self.workloads.read(wire.workloads, |bytes| {
            let wire = v1::WorkloadBudgets::decode(&**bytes).map_err(|error| error.to_string())?;
            let budgets = WorkloadBudgets::try_from(wire).map_err(|error| error.to_string())?;
            Ok((budgets.workload.clone(), budgets))
        })?;
        let journeys = self.journeys.read(wire.journeys, |bytes| {
            let wire = Journey::decode(&**bytes).map_err(|error| error.to_string())?;
            let name = JourneyName::new(&wire.name).map_err(|error| error.to_string())?;
            Ok((name, journey_of_wire(wire)?))
        })?;
        Ok(PlanSnapshot {
            generation: Generation(wire.generation),
            workloads: workloads.into_iter().collect(),
            journeys: journeys.into_iter().collect(),
        })
    }
}

fn journey_to_wire(name: &JourneyName, plan: &JourneyPlan) -> Journey {
    Journey {
        name: name.to_string(),
        predicted: plan.predicted,
        predicted_lower: plan.predicted_lower,
        model: plan.model.clone(),
        expression: plan.expression.clone(),
        objective: plan.objective,
        deadline_ms: plan.deadline.0,
        planned_ms: plan.planned.0,
        leaves: plan.leaves.iter().map(leaf_to_wire).collect(),
        changed_unix_ms: plan.changed_unix_ms,
        damped: number(&DAMPED, &plan.damped),
        notes: plan.notes.clone(),
        declaration: plan.declaration.clone(),
    }
}

fn journey_of_wire(wire: Journey) -> Result<JourneyPlan, String> {
    Ok(JourneyPlan {
        predicted: wire.predicted,
        predicted_lower: wire.predicted_lower,
        model: wire.model,
        expression: wire.expression,
        objective: wire.objective,
        deadline: Millis(wire.deadline_ms),
        planned: Millis(wire.planned_ms),
        leaves: wire.leaves.into_iter().map(leaf_of_wire).collect::<Result<_, _>>()?,
        changed_unix_ms: wire.changed_unix_ms,
        damped: named(&DAMPED, wire.damped)?,
        notes: wire.notes,
        declaration: wire.declaration,
    })
}

fn leaf_to_wire(leaf: &LeafPlan) -> Leaf {
    let allocation = &leaf.allocation;
    let (source, calls) = match leaf.source {
        CurveSource::Default { calls } => (0, calls),
        CurveSource::Measured { calls } => (1, calls),
        CurveSource::Static => (2, 0),
    };
    Leaf {
        name: allocation.leaf.to_string(),
        place: match allocation.place {
            Place::Only => 0,
            Place::Primary => 1,
            Place::Detached => 2,
            Place::Alternate(which) => 3 + which as u64,
        },
        start_ms: allocation.start.0,
        time_ms: allocation.time.0,
        tries: allocation.tries,
        useful_after_ms: allocation.useful_after.0,
        needed_after_ms: allocation.needed_after.0,
        useful_ms: allocation.useful.0,
        hops: leaf.hops.iter().map(hop_to_wire).collect(),
        timeout_ms: leaf.timeout.map(|timeout| timeout.0),
        calls,
        source,
        usual_ms: leaf.usual.0,
        bound: number(&BOUNDS, &leaf.bound),
        success: leaf.success,
    }
}

fn leaf_of_wire(wire: Leaf) -> Result<LeafPlan, String> {
    let allocation = Allocation {
        leaf: ComponentName::new(&wire.name).map_err(|error| error.to_string())?,
        place: match wire.place {
            0 => Place::Only,
            1 => Place::Primary,
            2 => Place::Detached,
            which => Place::Alternate(usize::try_from(which - 3).unwrap_or(usize::MAX)),
        },
        start: Millis(wire.start_ms),
        time: Millis(wire.time_ms),
        tries: wire.tries,
        useful_after: Millis(wire.useful_after_ms),
        needed_after: Millis(wire.needed_after_ms),
        useful: Millis(wire.useful_ms),
    };
    let calls = wire.calls;
    Ok(LeafPlan {
        allocation,
        hops: wire.hops.into_iter().map(hop_of_wire).collect(),
        timeout: wire.timeout_ms.map(Millis),
        source: named(
            &[CurveSource::Default { calls }, CurveSource::Measured { calls }, CurveSource::Static],
            wire.source,
        )?,
        usual: Millis(wire.usual_ms),
        bound: named(&BOUNDS, wire.bound)?,
        success: wire.success,
    })
}

fn hop_to_wire(key: &HopKey) -> v1::HopKey {
    let HopKey { journey, source, destination, operation } = key.clone();
    v1::HopKey { journey, source, destination, operation }
}

fn hop_of_wire(wire: v1::HopKey) -> HopKey {
    let v1::HopKey { journey, source, destination, operation } = wire;
    HopKey { journey, source, destination, operation }
}

fn number<T: PartialEq>(all: &[T], one: &T) -> u32 {
    all.iter().position(|other| other == one).and_then(|place| u32::try_from(place).ok()).unwrap_or(0)
}

fn named<T: Copy>(all: &[T], number: u32) -> Result<T, String> {
    let found = usize::try_from(number).ok().and_then(|place| all.get(place)).copied();
    found.ok_or_else(|| format!("{number} is none of {}", all.len()))
}

#[cfg(test)]
mod tests {
    use emac_compile::declared::Declared;
    use emac_document::{Limits, Problems, read_all};
    use emac_journey::slo::Slos;

    use super::*;
    use crate::plan::{EvidenceByHop, JourneyInput, plan};

    /// The plan of the checkout example, with alternates, a static answer and an edge.
    fn planned() -> PlanSnapshot {
        let problems = Problems::new();
        let documents = read_all(&["examples/checkout/intent.yaml".into()], &Limits::default(), &problems);
        let declared = Declared::of(&documents, &Slos::read(&documents, &problems), &problems);
        let inputs: Vec<JourneyInput> = declared.iter().filter_map(JourneyInput::of).collect();
        plan(&inputs, &EvidenceByHop::new(), None, 1_700_000_000_000)
    }

    /// To another replica.
    fn back(plan: &PlanSnapshot) -> Result<PlanSnapshot, String> {
        Parts::default().decode(&Parts::default().encode(plan))
    }

    /// What did not change stays the same value on both sides, and what did is what it became.
    #[test]
    fn of_the_next_plan_only_what_changed_is_new() {
        let (mut writer, mut reader) = (Parts::default(), Parts::default());
        let mut plan = planned();
        let mut before = reader.decode(&writer.encode(&plan)).unwrap();
        for round in 1..4_u64 {
            plan.generation.0 += 1;
            let changed = plan.workloads.keys().nth(round as usize % 2).unwrap().clone();
            let budgets = plan.workloads.get_mut(&changed).map(Arc::make_mut).unwrap();
            budgets.hops.truncate(budgets.hops.len() - 1);
            let bytes = writer.encode(&plan);
            assert_eq!(bytes, Parts::default().encode(&plan), "as of one that knows nothing");
            let after = reader.decode(&bytes).unwrap();
            assert_eq!(after, plan);
            for (name, budgets) in &after.workloads {
                assert_eq!(Arc::ptr_eq(budgets, &before.workloads[name]), *name != changed, "{name}");
            }
            assert!(after.journeys.iter().all(|(name, it)| Arc::ptr_eq(it, &before.journeys[name])));
            assert_eq!((reader.workloads.by_bytes.len(), reader.workloads.by_address.len()), (2, 2));
            before = after;
        }
    }

    #[test]
    fn a_plan_comes_back_as_it_was() {
        let mut plan = planned();
        assert!(plan.workloads.len() == 2 && plan.journeys.len() == 1);
        assert!(plan.journeys.values().all(|journey| journey.declaration.len() == 64));
        assert_eq!(back(&plan), Ok(plan.clone()));
        // Every word of the reasons.
        for (place, damped) in DAMPED.into_iter().enumerate() {
            for journey in plan.journeys.values_mut().map(std::sync::Arc::make_mut) {
                journey.damped = damped;
                journey.notes.push(format!("note {place}"));
                for leaf in &mut journey.leaves {
                    leaf.bound = BOUNDS[place + 1];
                    leaf.source = [CurveSource::Static, CurveSource::Measured { calls: 7 }][place % 2];
                    leaf.allocation.place =
                        [Place::Only, Place::Primary, Place::Detached, Place::Alternate(3)][place];
                    leaf.timeout = (place > 1).then_some(Millis(9));
                }
            }
            assert_eq!(back(&plan), Ok(plan.clone()));
        }
        assert_eq!(back(&PlanSnapshot::default()), Ok(PlanSnapshot::default()));
        assert!(Parts::default().decode(b"no plan").is_err());
    }
}
