//! Header maps as Envoy keeps them: names in lower case, several values a name, values are bytes.

use std::fmt;

/// An ordered header map.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, Vec<u8>)>);

impl Headers {
    /// A map of text pairs.
    pub fn of<N: AsRef<str>, V: AsRef<[u8]>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut headers = Self::default();
        pairs.into_iter().for_each(|(name, value)| headers.add(name.as_ref(), value.as_ref()));
        headers
    }

    /// First value of a name, as bytes.
    pub fn get_bytes(&self, name: &str) -> Option<&[u8]> {
        let name = name.to_ascii_lowercase();
        self.0.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_slice())
    }

    /// First value of a name, when it is text.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_bytes(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Every value of a name.
    pub fn all(&self, name: &str) -> Vec<&[u8]> {
        let name = name.to_ascii_lowercase();
        self.0.iter().filter(|(n, _)| *n == name).map(|(_, v)| v.as_slice()).collect()
    }

    /// Adds a value behind those that are there.
    pub fn add(&mut self, name: &str, value: &[u8]) {
        self.0.push((name.to_ascii_lowercase(), value.to_vec()));
    }

    /// Replaces every value of a name by one.
    pub fn set(&mut self, name: &str, value: &[u8]) {
        let lower = name.to_ascii_lowercase();
        match self.0.iter().position(|(n, _)| *n == lower) {
            Some(at) => {
                self.0[at].1 = value.to_vec();
                let mut index = 0;
                self.0.retain(|(n, _)| {
                    index += 1;
                    *n != lower || index - 1 == at
                });
            }
            None => self.add(name, value),
        }
    }

    /// Removes every value of a name.
    pub fn remove(&mut self, name: &str) {
        let name = name.to_ascii_lowercase();
        self.0.retain(|(n, _)| *n != name);
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// No pairs at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The pairs in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// The pairs as proxy-wasm lays them out: count, lengths, then name and value, each ended by a zero byte.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = (self.0.len() as u32).to_le_bytes().to_vec();
        for (name, value) in &self.0 {
            out.extend((name.len() as u32).to_le_bytes());
            out.extend((value.len() as u32).to_le_bytes());
        }
        for (name, value) in &self.0 {
            out.extend(name.bytes().chain([0]));
            out.extend(value.iter().copied().chain([0]));
        }
        out
    }

    /// Reads proxy-wasm's layout; like Envoy, anything cut short is an empty map.
    pub fn decode(bytes: &[u8]) -> Self {
        Self::try_decode(bytes).unwrap_or_default()
    }

    fn try_decode(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| {
            let four = bytes.get(at..at + 4)?;
            Some(u32::from_le_bytes(four.try_into().ok()?) as usize)
        };
        let count = word(0)?;
        let mut at = 4 + count.checked_mul(8)?;
        let mut take = |len: usize| {
            let part = bytes.get(at..at.checked_add(len)?)?;
            at += len + 1;
            Some(part)
        };
        let mut headers = Self::default();
        for pair in 0..count {
            let name = take(word(4 + pair * 8)?)?;
            let value = take(word(8 + pair * 8)?)?;
            headers.add(std::str::from_utf8(name).ok()?, value);
        }
        Some(headers)
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(n, v)| (n, String::from_utf8_lossy(v)))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacing_keeps_the_place_and_drops_the_rest() {
        let mut headers = Headers::of([("a", "1"), ("B", "2"), ("a", "3")]);
        headers.set("A", b"4");
        assert_eq!(headers, Headers::of([("a", "4"), ("b", "2")]));
        assert_eq!(headers.all("a").len(), 1);
    }

    #[test]
    fn the_layout_round_trips_and_a_cut_is_empty() {
        let headers = Headers::of([(":path", &b"/x"[..]), ("v", &[0xff, 0, 1][..])]);
        let bytes = headers.encode();
        assert_eq!(Headers::decode(&bytes), headers);
        for cut in 0..bytes.len() - 1 {
            assert!(Headers::decode(&bytes[..cut]).is_empty(), "cut at {cut}");
        }
    }
}
