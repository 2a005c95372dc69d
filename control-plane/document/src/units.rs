//! Durations as people write them: `400ms`, `1.5s`, `1h30m`, `30d`.

use emac_core::units::Micros;

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDuration {
    /// Nothing, or something that does not begin with a number.
    #[error("`{0}` is not a duration")]
    NotANumber(String),
    /// A number without its unit.
    #[error("`{0}` lacks a unit")]
    NoUnit(String),
    /// A unit that is none.
    #[error("`{0}` is not a unit of time")]
    UnknownUnit(String),
    /// Finer than a microsecond.
    #[error("`{0}` is finer than a microsecond")]
    TooFine(String),
    /// Beyond what a duration holds.
    #[error("`{0}` is longer than a hundred years")]
    TooLong(String),
}

/// Largest unit first, with its microseconds.
const UNITS: [(&str, u64); 7] = [
    ("w", 7 * 24 * 3_600_000_000),
    ("d", 24 * 3_600_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
];

/// A hundred years: more is a mistake.
const MICROS_MAX: f64 = 36_525.0 * 24.0 * 3.6e9;

/// Reads one or more `<number><unit>` in a row, units `w d h m s ms us`.
///
/// # Errors
/// [`InvalidDuration`] naming the part that is wrong.
pub fn parse_duration(text: &str) -> Result<Micros, InvalidDuration> {
    let mut rest = text.trim();
    let mut sum = 0.0;
    if rest.is_empty() {
        return Err(InvalidDuration::NotANumber(shown(text)));
    }
    while !rest.is_empty() {
        let (micros, after) = part(rest)?;
        sum += micros;
        rest = after;
        if sum > MICROS_MAX {
            return Err(InvalidDuration::TooLong(shown(text)));
        }
    }
    Ok(Micros(sum as u64))
}

/// One `<number><unit>` in microseconds, a whole number, and what follows it.
fn part(text: &str) -> Result<(f64, &str), InvalidDuration> {
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let number: f64 = text[..digits].parse().map_err(|_| InvalidDuration::NotANumber(shown(text)))?;
    let letters = &text[digits..];
    let end = letters.find(|c: char| c.is_ascii_digit()).unwrap_or(letters.len());
    let unit = &letters[..end];
    if unit.is_empty() {
        return Err(InvalidDuration::NoUnit(shown(text)));
    }
    let known = UNITS.iter().find(|&&(name, _)| name == unit);
    let &(_, micros) = known.ok_or_else(|| InvalidDuration::UnknownUnit(shown(unit)))?;
    let exact = number * micros as f64;
    let whole = exact.round();
    // A decimal fraction is rarely a binary one: 0.1 ms is 100 us although 0.1 * 1000 may miss by an ulp.
    if (exact - whole).abs() > 1e-6 * whole.max(1.0) {
        return Err(InvalidDuration::TooFine(shown(text)));
    }
    Ok((whole, &letters[end..]))
}

fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}

/// Writes a duration in the largest unit that keeps it whole; [`parse_duration`] reads it back.
pub fn format_duration(duration: Micros) -> String {
    if duration == Micros(0) {
        return "0s".to_owned();
    }
    // Weeks and days stay days: `30d` is how windows are named.
    let units = UNITS.iter().skip(1);
    let whole = units.into_iter().find(|&&(_, micros)| duration.0.is_multiple_of(micros));
    let &(unit, micros) = whole.unwrap_or(&("us", 1));
    format!("{}{unit}", duration.0 / micros)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_read_with_every_unit() {
        let ms = |text| parse_duration(text).map(|micros| micros.to_millis_floor().0);
        assert_eq!(ms("400ms"), Ok(400));
        assert_eq!(ms("1s"), Ok(1_000));
        assert_eq!(ms("0.4s"), Ok(400));
        assert_eq!(ms("30d"), Ok(30 * 86_400_000));
        assert_eq!(ms("1h30m"), Ok(5_400_000));
        assert_eq!(parse_duration("0.1ms"), Ok(Micros(100)));
    }

    #[test]
    fn a_wrong_duration_says_why() {
        use InvalidDuration::*;
        assert_eq!(parse_duration("400"), Err(NoUnit("400".into())));
        assert_eq!(parse_duration("400msec"), Err(UnknownUnit("msec".into())));
        assert_eq!(parse_duration("soon"), Err(NotANumber("soon".into())));
        assert_eq!(parse_duration("-1s"), Err(NotANumber("-1s".into())));
        assert_eq!(parse_duration("1..2s"), Err(NotANumber("1..2s".into())));
        assert_eq!(parse_duration(""), Err(NotANumber(String::new())));
        assert_eq!(parse_duration("0.5us"), Err(TooFine("0.5us".into())));
        assert_eq!(parse_duration("9999999w"), Err(TooLong("9999999w".into())));
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(0x217), failure_persistence: None, ..ProptestConfig::with_cases(500) })]

        #[test]
        fn what_is_written_is_read_back(micros in 0_u64..3_000_000_000_000_000) {
            prop_assert_eq!(parse_duration(&format_duration(Micros(micros))), Ok(Micros(micros)));
        }

        #[test]
        fn any_text_is_answered(text in ".{0,40}") {
            let _ = parse_duration(&text);
        }
    }
}
