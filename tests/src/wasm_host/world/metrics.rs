//! Metrics: numbers are handed out per VM and kind, values are summed over the whole process by name.

use std::collections::BTreeMap;

use crate::wasm_host::fault::Status;

/// The two low bits of a metric's number are its kind.
const KIND_MASK: u32 = 0x3;
/// Distance of two numbers of one kind.
const INCREMENT: u32 = 0x4;
const COUNTER: u32 = 0;
const GAUGE: u32 = 1;
const HISTOGRAM: u32 = 2;

/// Values by name.
#[derive(Default)]
pub(in crate::wasm_host) struct Metrics {
    pub(in crate::wasm_host) counters: BTreeMap<String, u64>,
    pub(in crate::wasm_host) gauges: BTreeMap<String, u64>,
    pub(in crate::wasm_host) histograms: BTreeMap<String, Vec<u64>>,
}

/// The numbers of one VM.
#[derive(Default)]
pub(in crate::wasm_host) struct VmMetrics {
    names: BTreeMap<u32, String>,
    next: [u32; 3],
}

impl VmMetrics {
    /// A new number, even for a name that has one already: Envoy does the same, so a filter must define once.
    pub(in crate::wasm_host) fn define(&mut self, kind: u32, name: &str) -> Result<u32, Status> {
        let next = self.next.get_mut(kind as usize).ok_or(Status::BadArgument)?;
        *next += 1;
        let id = kind + *next * INCREMENT;
        self.names.insert(id, name.to_string());
        Ok(id)
    }

    pub(in crate::wasm_host) fn defined(&self) -> usize {
        self.names.len()
    }

    fn name(&self, id: u32) -> Result<&str, Status> {
        self.names.get(&id).map(String::as_str).ok_or(Status::NotFound)
    }
}

impl Metrics {
    pub(in crate::wasm_host) fn touch(&mut self, kind: u32, name: &str) {
        match kind {
            COUNTER => drop(self.counters.entry(name.to_string()).or_default()),
            GAUGE => drop(self.gauges.entry(name.to_string()).or_default()),
            _ => drop(self.histograms.entry(name.to_string()).or_default()),
        }
    }

    pub(in crate::wasm_host) fn increment(&mut self, vm: &VmMetrics, id: u32, by: i64) -> Result<(), Status> {
        match id & KIND_MASK {
            COUNTER => {
                let name = vm.name(id)?;
                let by = u64::try_from(by).ok().filter(|by| *by > 0).ok_or(Status::BadArgument)?;
                *self.counters.entry(name.to_string()).or_default() += by;
                Ok(())
            }
            GAUGE => {
                let value = self.gauges.entry(vm.name(id)?.to_string()).or_default();
                *value = value.wrapping_add_signed(by);
                Ok(())
            }
            _ => Err(Status::BadArgument),
        }
    }

    pub(in crate::wasm_host) fn record(&mut self, vm: &VmMetrics, id: u32, value: u64) -> Result<(), Status> {
        let name = vm.name(id)?.to_string();
        match id & KIND_MASK {
            COUNTER => *self.counters.entry(name).or_default() += value,
            GAUGE => *self.gauges.entry(name).or_default() = value,
            HISTOGRAM => self.histograms.entry(name).or_default().push(value),
            _ => return Err(Status::NotFound),
        }
        Ok(())
    }

    pub(in crate::wasm_host) fn get(&self, vm: &VmMetrics, id: u32) -> Result<u64, Status> {
        let values = match id & KIND_MASK {
            COUNTER => &self.counters,
            GAUGE => &self.gauges,
            _ => return Err(Status::BadArgument),
        };
        Ok(values.get(vm.name(id)?).copied().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_vms_share_a_value_but_not_a_number() {
        let (mut metrics, mut one, mut two) =
            (Metrics::default(), VmMetrics::default(), VmMetrics::default());
        two.define(COUNTER, "other").unwrap();
        let (a, b) = (one.define(COUNTER, "n").unwrap(), two.define(COUNTER, "n").unwrap());
        assert_eq!((a, b), (4, 8));
        metrics.increment(&one, a, 2).unwrap();
        metrics.increment(&two, b, 3).unwrap();
        assert_eq!(metrics.get(&one, a), Ok(5));
        assert_eq!(metrics.increment(&one, a, 0), Err(Status::BadArgument));
        assert_eq!(metrics.record(&one, 42, 1), Err(Status::NotFound));
    }
}
