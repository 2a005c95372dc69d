//! Tokens for who has neither a certificate nor a sidecar: a workload and an end, signed.
//!
//! `emac1~<namespace>/<workload>~<unix seconds>~<base64url of HMAC-SHA-256 over all before the last tilde>`. Keys stand one a line in a
//! file; the first signs, all of them verify, so that one can be replaced without a gap.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use emac_core::id::WorkloadName;
use ring::hmac;

use crate::refusal::Refusal;

const PREFIX: &str = "emac1";
/// A key is as long as what it makes, at least.
const KEY_CHARS_MIN: usize = 32;
const KEYS_MAX: usize = 16;

/// The keys of a file.
#[derive(Clone, Debug)]
pub struct Keys(Vec<hmac::Key>);

/// Why a file holds no keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeys {
    /// It is empty but for comments.
    #[error("no key: make one with `head -c 32 /dev/urandom | base64`")]
    None,
    /// A short key can be guessed.
    #[error(
        "line {0}: a key has at least {KEY_CHARS_MIN} characters; make one with `head -c 32 /dev/urandom | base64`"
    )]
    Short(usize),
    /// More than anybody rotates.
    #[error("more than {KEYS_MAX} keys")]
    Many,
}

impl Keys {
    /// From a file's text: one key a line; empty lines and those that begin with `#` are none.
    ///
    /// # Errors
    /// [`InvalidKeys`].
    pub fn read(text: &str) -> Result<Self, InvalidKeys> {
        let lines = text.lines().map(str::trim).enumerate();
        let mut keys = Vec::new();
        for (at, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            if line.chars().count() < KEY_CHARS_MIN {
                return Err(InvalidKeys::Short(at + 1));
            }
            keys.push(hmac::Key::new(hmac::HMAC_SHA256, line.as_bytes()));
        }
        match keys.len() {
            0 => Err(InvalidKeys::None),
            1..=KEYS_MAX => Ok(Self(keys)),
            _ => Err(InvalidKeys::Many),
        }
    }

    /// A token for a workload that ends at `until_unix_s`.
    pub fn mint(&self, workload: &WorkloadName, until_unix_s: u64) -> String {
        let body = format!("{PREFIX}~{workload}~{until_unix_s}");
        let signature = self.0.first().map(|key| hmac::sign(key, body.as_bytes()));
        let signature = signature.map(|tag| URL_SAFE_NO_PAD.encode(tag)).unwrap_or_default();
        format!("{body}~{signature}")
    }

    /// The workload and the end of a token.
    ///
    /// # Errors
    /// Why it is refused, and in words that do not repeat it.
    pub(super) fn verify(
        &self,
        token: &str,
        now_unix_s: u64,
    ) -> Result<(WorkloadName, u64), (Refusal, String)> {
        let malformed =
            || (Refusal::Malformed, "the token cannot be read; `emac token` makes them".to_owned());
        let (body, signature) = token.rsplit_once('~').ok_or_else(malformed)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| malformed())?;
        let signed = |key: &hmac::Key| hmac::verify(key, body.as_bytes(), &signature).is_ok();
        if !self.0.iter().any(signed) {
            let why = "the token is not signed by a key of `identity.tokenKeys`";
            return Err((Refusal::Signature, why.to_owned()));
        }
        let mut parts = body.split('~');
        let (Some(PREFIX), Some(workload), Some(until), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed());
        };
        let workload = WorkloadName::new(workload).map_err(|_| malformed())?;
        let until = until.parse().map_err(|_| malformed())?;
        if now_unix_s >= until {
            return Err((Refusal::Expired, format!("the token of {workload} has expired")));
        }
        Ok((workload, until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "an-old-key-of-thirty-two-letters!";
    const NEW: &str = "the-key-that-came-after-that-one!";

    #[test]
    fn a_token_holds_for_its_workload_until_its_end_and_under_every_key_of_the_file() {
        let front = WorkloadName::new("shop/front").unwrap();
        let old = Keys::read(OLD).unwrap().mint(&front, 100);
        let both = Keys::read(&format!("# rotated\n{NEW}\n\n{OLD}\n")).unwrap();
        assert_eq!(both.verify(&old, 99), Ok((front.clone(), 100)));
        assert_eq!(both.verify(&both.mint(&front, 100), 99), Ok((front, 100)));
        let refused = |keys: &Keys, token: &str, now| keys.verify(token, now).unwrap_err().0;
        assert_eq!(refused(&both, &old, 100), Refusal::Expired);
        assert_eq!(refused(&Keys::read(NEW).unwrap(), &old, 99), Refusal::Signature);
        // Whatever part of it is another's.
        assert_eq!(refused(&both, &old.replace("front", "other"), 99), Refusal::Signature);
        assert_eq!(refused(&both, &old.replace("~100~", "~900~"), 99), Refusal::Signature);
        for nonsense in ["", "~", "emac1~shop/front~100", "emac1~shop/front~100~", "emac1~shop/front~100~=="]
        {
            let why = refused(&both, nonsense, 99);
            assert!(matches!(why, Refusal::Malformed | Refusal::Signature), "{nonsense}: {why:?}");
        }
    }

    /// Computed by `openssl dgst -sha256 -hmac`.
    #[test]
    fn a_signature_is_what_other_programs_compute() {
        let front = WorkloadName::new("shop/front").unwrap();
        assert_eq!(
            Keys::read(OLD).unwrap().mint(&front, 100),
            "emac1~shop/front~100~AMWCseXFF4Z6FbaKtGEnQvzN4JU_YCt1SL3IrWtZKJs"
        );
    }

    #[test]
    fn keys_that_could_be_guessed_are_refused() {
        assert_eq!(Keys::read("# none\n").unwrap_err(), InvalidKeys::None);
        assert_eq!(Keys::read(&format!("{OLD}\nsecret\n")).unwrap_err(), InvalidKeys::Short(2));
    }
}
