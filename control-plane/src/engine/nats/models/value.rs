//! One value: a text with what it is and whose, so that nothing else is taken for it.

use emac_document::sha256_hex;
use prost::Message;
use prost::bytes::Bytes;

use super::super::message::{pack, unpack_at_most};

/// Longest text; that of a journey of a hundred components has some hundred kilobytes.
const TEXT_MAX: usize = 4 << 20;
/// Longest value, as written. Shorter where NATS takes less.
const VALUE_MAX: usize = 1 << 20;
/// Room for subject and headers within what NATS takes.
const AROUND: usize = 1 << 10;

#[derive(Clone, PartialEq, Message)]
struct Model {
    /// `engine.nats.cluster`.
    #[prost(string, tag = "1")]
    cluster: String,
    #[prost(string, tag = "2")]
    journey: String,
    #[prost(string, tag = "3")]
    text: String,
}

/// The key of a text.
pub(super) fn key(journey: &str, digest: &str) -> String {
    format!("model.{journey}.{digest}")
}

/// A text as it is written into a NATS that takes messages of so many bytes.
///
/// # Errors
/// That it is too long.
pub(super) fn write(cluster: &str, journey: &str, text: String, most: usize) -> Result<Bytes, String> {
    if text.len() > TEXT_MAX {
        return Err(format!("it has {} bytes, and {TEXT_MAX} are shared at most", text.len()));
    }
    let packed = pack(&Model { cluster: cluster.to_owned(), journey: journey.to_owned(), text });
    let room = VALUE_MAX.min(most.saturating_sub(AROUND));
    if packed.len() > room {
        return Err(format!(
            "it has {} bytes compressed, and {room} are shared at most (NATS: max_payload {most})",
            packed.len()
        ));
    }
    Ok(packed)
}

/// The text of a value that has this name.
///
/// # Errors
/// Why it is not what its name says.
pub(super) fn read(packed: &[u8], cluster: &str, journey: &str, digest: &str) -> Result<String, String> {
    // Room for the names in front of the text.
    let model: Model = unpack_at_most(packed, TEXT_MAX + AROUND)?;
    if model.cluster != cluster {
        let whose = emac_document::shown(&model.cluster, 100);
        return Err(format!("it is of the control plane `{whose}`, this one is `{cluster}`"));
    }
    if model.journey != journey || sha256_hex(&model.text) != digest {
        return Err("it is not the text that its name says".to_owned());
    }
    Ok(model.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_what_its_name_says_or_nothing() {
        let text = "{\"intent\":{}}".to_owned();
        let digest = sha256_hex(&text);
        let packed = write("prod", "checkout", text.clone(), 8 << 20).unwrap();
        assert_eq!(read(&packed, "prod", "checkout", &digest), Ok(text.clone()));
        for (cluster, journey, digest, says) in [
            ("other", "checkout", digest.as_str(), "control plane `prod`, this one is `other`"),
            ("prod", "search", &digest, "not the text that its name says"),
            ("prod", "checkout", &"0".repeat(64), "not the text that its name says"),
        ] {
            let problem = read(&packed, cluster, journey, digest).unwrap_err();
            assert!(problem.contains(says), "{problem}");
        }
        for garbage in [&b"no model"[..], &[0x1f, 0x8b, 8], &[0xff; 40], &packed[1..]] {
            assert!(read(garbage, "prod", "checkout", &digest).is_err());
        }
    }

    #[test]
    fn what_is_too_long_is_told_with_its_length_and_a_bomb_stays_small() {
        let noise: String = {
            let mut rng = fastrand::Rng::with_seed(7);
            (0..300_000).map(|_| rng.alphanumeric()).collect()
        };
        let digest = sha256_hex(&noise);
        let packed = write("prod", "checkout", noise.clone(), 8 << 20).unwrap();
        assert_eq!(read(&packed, "prod", "checkout", &digest).as_ref(), Ok(&noise));
        let problem = write("prod", "checkout", noise, 64 << 10).unwrap_err();
        assert!(problem.contains(&format!("{} bytes compressed", packed.len())), "{problem}");
        assert!(problem.contains("max_payload 65536"), "{problem}");
        let long = write("prod", "checkout", "x".repeat(TEXT_MAX + 1), 8 << 20).unwrap_err();
        assert!(long.contains(&(TEXT_MAX + 1).to_string()), "{long}");
        let bomb = pack(&Model { text: "x".repeat(64 << 20), ..Model::default() });
        assert!(bomb.len() < 1 << 20);
        assert!(read(&bomb, "", "", "").unwrap_err().contains("longer than"));
    }
}
