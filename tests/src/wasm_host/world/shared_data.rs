//! Shared data: one value and one version (CAS) a key; there is no atomic create, as in Envoy.

use std::collections::BTreeMap;

use crate::wasm_host::fault::Status;

#[derive(Default)]
pub(in crate::wasm_host) struct SharedData {
    values: BTreeMap<Vec<u8>, (Vec<u8>, u32)>,
    last_cas: u32,
}

impl SharedData {
    pub(in crate::wasm_host) fn get(&self, key: &[u8]) -> Option<&(Vec<u8>, u32)> {
        self.values.get(key)
    }

    /// A CAS of 0 overwrites; a CAS for a key that does not exist creates it.
    pub(in crate::wasm_host) fn set(&mut self, key: &[u8], value: &[u8], cas: u32) -> Result<(), Status> {
        let current = self.values.get(key).map(|(_, cas)| *cas);
        if current.is_some_and(|current| cas != 0 && cas != current) {
            return Err(Status::CasMismatch);
        }
        self.last_cas += 1;
        self.values.insert(key.to_vec(), (value.to_vec(), self.last_cas));
        Ok(())
    }

    pub(in crate::wasm_host) fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.values.keys().map(Vec::as_slice)
    }

    pub(in crate::wasm_host) fn bytes(&self) -> usize {
        self.values.iter().map(|(key, (value, _))| key.len() + value.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_version_is_refused_and_zero_overwrites() {
        let mut data = SharedData::default();
        data.set(b"k", b"1", 0).unwrap();
        let cas = data.get(b"k").unwrap().1;
        data.set(b"k", b"2", cas).unwrap();
        assert_eq!(data.set(b"k", b"3", cas), Err(Status::CasMismatch));
        data.set(b"k", b"4", 0).unwrap();
        assert_eq!(data.get(b"k").unwrap().0, b"4");
    }
}
