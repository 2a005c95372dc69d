//! Tokens for who has neither a certificate nor a sidecar: a workload, or an operator and what it may do, and an end, signed.
//!
//! `emac1~<namespace>/<workload>~<unix seconds>~<base64url of HMAC-SHA-256 over all before the last tilde>` is a workload's,
//! `emac1op~<name>~<read or change>~<unix seconds>~<signature>` an operator's. The first word is signed too, so that neither can be taken
//! for the other. Keys stand one a line in a file; the first signs, all of them verify, so that one can be replaced without a gap.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use emac_core::id::WorkloadName;
use ring::hmac;

use crate::refusal::Refusal;

const PREFIX: &str = "emac1";
const OPERATOR_PREFIX: &str = "emac1op";
/// Longest name of an operator, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// A key is as long as what it makes, at least.
const KEY_CHARS_MIN: usize = 32;
const KEYS_MAX: usize = 16;

/// The keys of a file.
#[derive(Clone, Debug)]
pub struct Keys(Vec<hmac::Key>);

/// What an operator may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Scope {
    /// Ask.
    Read,
    /// Ask, and change.
    Change,
}

/// Who calls the API, as its token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// 1 to 64 characters of `[A-Za-z0-9._@+-]`.
    pub name: String,
    /// What it may do.
    pub scope: Scope,
    /// When the token ends, seconds since 1970.
    pub until_unix_s: u64,
}

impl Scope {
    const ALL: [Self; 2] = [Self::Read, Self::Change];

    /// Its word.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Change => "change",
        }
    }
}

impl Operator {
    /// Checks the name.
    ///
    /// # Errors
    /// What a name is.
    pub fn new(name: &str, scope: Scope, until_unix_s: u64) -> Result<Self, &'static str> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '@' | '+' | '-');
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(plain) {
            return Err("an operator's name is 1 to 64 characters of [A-Za-z0-9._@+-]");
        }
        Ok(Self { name: name.to_owned(), scope, until_unix_s })
    }
}

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
        self.sign(&format!("{PREFIX}~{workload}~{until_unix_s}"))
    }

    /// A token for an operator.
    pub fn mint_operator(&self, operator: &Operator) -> String {
        let Operator { name, scope, until_unix_s } = operator;
        self.sign(&format!("{OPERATOR_PREFIX}~{name}~{}~{until_unix_s}", scope.label()))
    }

    fn sign(&self, body: &str) -> String {
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
        let parts = self.signed(token)?;
        let (workload, until) = match *parts.as_slice() {
            [PREFIX, workload, until] => (workload, until),
            [OPERATOR_PREFIX, ..] => {
                let why = "the token is an operator's, for the HTTP API; a sidecar has one of `emac token --workload`";
                return Err((Refusal::Scope, why.to_owned()));
            }
            _ => return Err(malformed()),
        };
        let workload = WorkloadName::new(workload).map_err(|_| malformed())?;
        let until = until.parse().map_err(|_| malformed())?;
        if now_unix_s >= until {
            return Err((Refusal::Expired, format!("the token of {workload} has expired")));
        }
        Ok((workload, until))
    }

    /// Who an operator's token speaks for.
    ///
    /// # Errors
    /// Why it is refused, and in words that do not repeat it.
    pub(super) fn verify_operator(
        &self,
        token: &str,
        now_unix_s: u64,
    ) -> Result<Operator, (Refusal, String)> {
        let parts = self.signed(token)?;
        let (name, scope, until) = match *parts.as_slice() {
            [OPERATOR_PREFIX, name, scope, until] => (name, scope, until),
            [PREFIX, ..] => {
                let why = "the token is a workload's; the HTTP API takes one of `emac token --operator`";
                return Err((Refusal::Scope, why.to_owned()));
            }
            _ => return Err(malformed()),
        };
        let scope = Scope::ALL.into_iter().find(|one| one.label() == scope).ok_or_else(malformed)?;
        let until = until.parse().map_err(|_| malformed())?;
        let operator = Operator::new(name, scope, until).map_err(|_| malformed())?;
        if now_unix_s >= until {
            return Err((Refusal::Expired, format!("the token of {name} has expired")));
        }
        Ok(operator)
    }

    /// The parts of a token before its signature, which is one of a key of the file.
    fn signed<'t>(&self, token: &'t str) -> Result<Vec<&'t str>, (Refusal, String)> {
        let (body, signature) = token.rsplit_once('~').ok_or_else(malformed)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| malformed())?;
        let signed = |key: &hmac::Key| hmac::verify(key, body.as_bytes(), &signature).is_ok();
        if !self.0.iter().any(signed) {
            let why = "the token is not signed by a key of the configured file";
            return Err((Refusal::Signature, why.to_owned()));
        }
        Ok(body.split('~').collect())
    }
}

fn malformed() -> (Refusal, String) {
    (Refusal::Malformed, "the token cannot be read; `emac token` makes them".to_owned())
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
    fn an_operator_s_token_and_a_workload_s_are_not_taken_for_each_other() {
        let keys = Keys::read(OLD).unwrap();
        let jane = Operator::new("jane@shop", Scope::Change, 100).unwrap();
        let token = keys.mint_operator(&jane);
        assert_eq!(keys.verify_operator(&token, 99), Ok(jane));
        assert_eq!(keys.verify_operator(&token, 100).unwrap_err().0, Refusal::Expired);
        assert_eq!(keys.verify(&token, 99).unwrap_err().0, Refusal::Scope);
        let front = keys.mint(&WorkloadName::new("shop/front").unwrap(), 100);
        assert_eq!(keys.verify_operator(&front, 99).unwrap_err().0, Refusal::Scope);
        for (part, other) in
            [("jane", "root"), ("~change~", "~read~"), ("~100~", "~900~"), ("emac1op", "emac1")]
        {
            assert_eq!(
                keys.verify_operator(&token.replace(part, other), 99).unwrap_err().0,
                Refusal::Signature
            );
        }
        for signed in [
            "emac1op~jane~admin~100",
            "emac1op~~change~100",
            "emac1op~j\u{1b}[2J~change~100",
            "emac1op~jane~change~x",
        ] {
            assert_eq!(
                keys.verify_operator(&keys.sign(signed), 99).unwrap_err().0,
                Refusal::Malformed,
                "{signed}"
            );
        }
        assert!(Operator::new(&"x".repeat(65), Scope::Read, 1).is_err());
    }

    #[test]
    fn keys_that_could_be_guessed_are_refused() {
        assert_eq!(Keys::read("# none\n").unwrap_err(), InvalidKeys::None);
        assert_eq!(Keys::read(&format!("{OLD}\nsecret\n")).unwrap_err(), InvalidKeys::Short(2));
    }
}
