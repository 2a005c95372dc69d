//! Inputs: a valid example with a few edits, so that most of them get past the first check.

use std::time::Duration;

use bolero::generator::bolero_generator::driver::{ByteSliceDriver, Options};
use bolero::generator::*;
use emac_core::mix;

/// Inputs of a plain test run.
const CASES: u64 = 3_000;
/// Bytes of randomness that make one input.
const SEED_BYTES: usize = 256;

/// An example by number, edited.
#[derive(Clone, Debug, TypeGenerator)]
struct Case {
    example: u8,
    #[generator(produce::<Vec<Edit>>().with().len(0_usize..=5))]
    edits: Vec<Edit>,
}

/// Places are taken modulo the length.
#[derive(Clone, Debug, TypeGenerator)]
enum Edit {
    Set { at: u16, byte: u8 },
    Flip { at: u16, bit: u8 },
    Insert { at: u16, byte: u8 },
    Remove { at: u16, len: u8 },
    Cut { at: u16 },
    Repeat { at: u16, len: u8, times: u8 },
    Splice { at: u16, example: u8, from: u16, len: u8 },
    Forget,
}

impl Case {
    fn bytes(&self, examples: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = pick(examples, self.example).to_vec();
        self.edits.iter().for_each(|edit| edit.apply(&mut bytes, examples));
        bytes
    }
}

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>, examples: &[Vec<u8>]) {
        match *self {
            Self::Set { at, byte } => place(bytes, at).into_iter().for_each(|at| bytes[at] = byte),
            Self::Flip { at, bit } => place(bytes, at).into_iter().for_each(|at| bytes[at] ^= 1 << (bit % 8)),
            Self::Insert { at, byte } => bytes.insert(usize::from(at) % (bytes.len() + 1), byte),
            Self::Remove { at, len } => drop(bytes.drain(range(bytes, at, len))),
            Self::Cut { at } => bytes.truncate(usize::from(at) % (bytes.len() + 1)),
            Self::Repeat { at, len, times } => {
                let range = range(bytes, at, len);
                let part = bytes[range.clone()].repeat(usize::from(times));
                bytes.splice(range, part);
            }
            Self::Splice { at, example, from, len } => {
                let other = pick(examples, example);
                let part = other[range(other, from, len)].to_vec();
                bytes.splice(range(bytes, at, len), part);
            }
            Self::Forget => bytes.clear(),
        }
    }
}

fn pick(examples: &[Vec<u8>], number: u8) -> &[u8] {
    examples.get(usize::from(number) % examples.len().max(1)).map_or(&[], Vec::as_slice)
}

fn place(bytes: &[u8], at: u16) -> Option<usize> {
    usize::from(at).checked_rem(bytes.len())
}

fn range(bytes: &[u8], at: u16, len: u8) -> std::ops::Range<usize> {
    let start = usize::from(at) % (bytes.len() + 1);
    start..(start + usize::from(len)).min(bytes.len())
}

/// Shows the input when the law panics.
struct Shown<'a>(&'a [u8]);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("input: {:02x?}\n       {:?}", self.0, String::from_utf8_lossy(self.0));
        }
    }
}

/// Holds `law` against the examples, then against edited ones. Says how many were `true`, that is accepted by the decoder: none but
/// the examples would mean that nothing behind the first check was tested.
pub(crate) fn fuzz(examples: &[Vec<u8>], law: impl Fn(&[u8]) -> bool + std::panic::RefUnwindSafe) {
    let law = |bytes: &[u8]| {
        let _shown = Shown(bytes);
        law(bytes)
    };
    for example in examples {
        assert!(law(example), "an example was refused: {:?}", String::from_utf8_lossy(example));
    }
    match std::env::var("EMAC_FUZZ_SECONDS").ok().and_then(|seconds| seconds.parse().ok()) {
        Some(seconds) => explore(examples, Duration::from_secs(seconds), law),
        None => fixed(examples, law),
    }
}

fn explore(examples: &[Vec<u8>], time: Duration, law: impl Fn(&[u8]) -> bool + std::panic::RefUnwindSafe) {
    let examples = examples.to_vec();
    bolero::check!().with_type::<Case>().with_iterations(usize::MAX).with_test_time(time).for_each(
        move |case: &Case| {
            law(&case.bytes(&examples));
        },
    );
}

fn fixed(examples: &[Vec<u8>], law: impl Fn(&[u8]) -> bool) {
    let accepted = (0..CASES).filter(|&seed| law(&case(seed).bytes(examples))).count() as u64;
    println!("{accepted} of {CASES} accepted");
    assert!(
        0 < accepted && accepted < CASES,
        "{accepted} of {CASES} accepted: the inputs test one side only"
    );
}

/// The case of a seed; the same on every machine.
fn case(seed: u64) -> Case {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let bytes: Vec<u8> = (0..SEED_BYTES / 8).flat_map(|_| mix::next(&mut state).to_le_bytes()).collect();
    Case::generate(&mut ByteSliceDriver::new(&bytes, &Options::default())).expect("bytes enough for a case")
}

#[test]
fn a_seed_is_one_case() {
    assert_eq!(format!("{:?}", case(7)), format!("{:?}", case(7)));
    assert!(
        (0..100).map(|seed| format!("{:?}", case(seed))).collect::<std::collections::BTreeSet<_>>().len()
            > 90
    );
}
