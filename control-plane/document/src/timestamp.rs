//! Times of the calendar in UTC: `2026-01-31T12:00:00Z`, the one form of RFC 3339 that needs no time zones.

use jiff::SignedDuration;
use jiff::civil::{DateTime, date};

/// No such time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time such as 2026-01-31T12:00:00Z")]
pub struct InvalidTimestamp(pub String);

/// Milliseconds since 1970. Fractions of a second are cut after the third digit.
///
/// # Errors
/// [`InvalidTimestamp`] for another form, a date that does not exist, a leap second, and years before 1970.
pub fn parse_timestamp(text: &str) -> Result<u64, InvalidTimestamp> {
    parse(text).ok_or_else(|| InvalidTimestamp(text.chars().take(40).collect()))
}

/// Writes milliseconds since 1970 with three decimals of a second; [`parse_timestamp`] reads it back. Beyond the year 9999 that year's end.
pub fn format_timestamp(unix_ms: u64) -> String {
    let since = i64::try_from(unix_ms).map_or(SignedDuration::MAX, SignedDuration::from_millis);
    format!("{:.3}Z", EPOCH.saturating_add(since))
}

/// Civil times in UTC rather than `jiff::Timestamp`, which ends a day before the year 9999 does.
const EPOCH: DateTime = date(1970, 1, 1).at(0, 0, 0, 0);

fn parse(text: &str) -> Option<u64> {
    let (whole, fraction) = split(text.strip_suffix('Z')?)?;
    // jiff would take a leap second for the one before.
    let time: DateTime = whole.parse().ok().filter(|_| !whole.ends_with(":60"))?;
    let seconds = u64::try_from(time.duration_since(EPOCH).as_secs()).ok()?;
    let millis: u64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    Some(seconds * 1_000 + millis)
}

/// Whole seconds and the digits behind the point, in the one form that is written: jiff reads many more.
fn split(text: &str) -> Option<(&str, &str)> {
    const FORM: &str = "0000-00-00T00:00:00";
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digit = |byte: u8| byte.is_ascii_digit();
    let fits = |(byte, form): (u8, u8)| if form == b'0' { digit(byte) } else { byte == form };
    let formed = whole.len() == FORM.len() && whole.bytes().zip(FORM.bytes()).all(fits);
    (formed && !fraction.is_empty() && fraction.bytes().all(digit)).then_some((whole, fraction))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use twin::DAY_MS;

    /// The calendar reckoned by hand: the slow twin.
    mod twin {
        pub(super) fn format(unix_ms: u64) -> String {
            const LAST: u64 = 253_402_300_799_999;
            let ms = unix_ms.min(LAST);
            let (date, in_day) = (ms / DAY_MS, ms % DAY_MS);
            // With years of 365.2425 days each, then put right by one at most.
            let mut year = 1970 + date * 10_000 / 3_652_425;
            while days(year, 1, 1) > date {
                year -= 1;
            }
            while days(year + 1, 1, 1) <= date {
                year += 1;
            }
            let mut rest = date - days(year, 1, 1);
            let mut month = 1;
            while rest >= days_in(year, month) {
                rest -= days_in(year, month);
                month += 1;
            }
            let (seconds, millis) = (in_day / 1_000, in_day % 1_000);
            let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
            format!("{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z", rest + 1)
        }

        pub(super) const DAY_MS: u64 = 86_400_000;

        pub(super) fn parse(text: &str) -> Option<u64> {
            let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
            let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
            let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
            let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
            if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            let millis: u64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
            let exists = (1970..=9999).contains(&year)
                && (1..=12).contains(&month)
                && (1..=days_in(year, month)).contains(&day);
            let in_day = hour < 24 && minute < 60 && second < 60;
            (exists && in_day).then(|| {
                ((days(year, month, day) * 24 + hour) * 60 + minute) * 60_000 + second * 1_000 + millis
            })
        }

        fn numbers(text: &str, separator: char, widths: [usize; 3]) -> Option<[u64; 3]> {
            let mut parts = text.split(separator);
            let mut next = |width: usize| {
                parts
                    .next()
                    .filter(|part| part.len() == width && part.bytes().all(|b| b.is_ascii_digit()))?
                    .parse()
                    .ok()
            };
            let found = [next(widths[0])?, next(widths[1])?, next(widths[2])?];
            parts.next().is_none().then_some(found)
        }

        fn is_leap(year: u64) -> bool {
            year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
        }

        fn days_in(year: u64, month: u64) -> u64 {
            match month {
                2 => 28 + u64::from(is_leap(year)),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            }
        }

        /// Days since 1970-01-01 of a date that exists.
        fn days(year: u64, month: u64, day: u64) -> u64 {
            let before = year - 1;
            let leaps = before / 4 - before / 100 + before / 400 - (1969 / 4 - 1969 / 100 + 1969 / 400);
            let months: u64 = (1..month).map(|month| days_in(year, month)).sum();
            (year - 1970) * 365 + leaps + months + day - 1
        }
    }

    #[test]
    fn times_are_milliseconds_since_1970() {
        assert_eq!(parse_timestamp("1970-01-01T00:00:00Z"), Ok(0));
        assert_eq!(parse_timestamp("2000-02-29T12:34:56.789Z"), Ok(951_827_696_789));
        assert_eq!(parse_timestamp("2026-11-23T13:13:46Z"), Ok(1_795_439_626_000));
        assert_eq!(parse_timestamp("2100-03-01T00:00:00.5Z"), Ok(4_107_542_400_500));
    }

    #[test]
    fn every_day_is_written_as_it_is_read() {
        for date in (0..=2_932_896).step_by(11) {
            let ms = date * DAY_MS + date * 7_919 % DAY_MS;
            assert_eq!(parse_timestamp(&format_timestamp(ms)), Ok(ms));
        }
        assert_eq!(format_timestamp(951_827_696_789), "2000-02-29T12:34:56.789Z");
        assert_eq!(format_timestamp(u64::MAX), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2026-02-29T00:00:00Z",
            "2026-1-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00+01:00",
            "1969-12-31T00:00:00Z",
            "2026-01-01",
            "2026-01-01T00:00:00.Z",
        ] {
            assert!(parse_timestamp(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_date_of_leap_years_and_others_exists_or_not_as_reckoned_by_hand() {
        for year in (1969..=1980).chain([1999, 2000, 2001, 2099, 2100, 2400, 9999]) {
            for (month, day) in (0..=13).flat_map(|month| (0..=32).map(move |day| (month, day))) {
                let text = format!("{year:04}-{month:02}-{day:02}T23:59:59.9999Z");
                assert_eq!(parse_timestamp(&text).ok(), twin::parse(&text), "{text}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(0x7135), ..ProptestConfig::with_cases(500) })]

        #[test]
        fn times_are_written_as_reckoned_by_hand(unix_ms in prop_oneof![0..260_000_000_000_000_u64, any::<u64>()]) {
            prop_assert_eq!(format_timestamp(unix_ms), twin::format(unix_ms));
        }

        #[test]
        fn texts_are_read_as_reckoned_by_hand(
            text in "(19[67][0-9]|2[0-9]{3}|9999|[0-9]{3,5})-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9]([.,][0-9]{0,12})?(Z|z|\\+00:00|)",
            (place, other) in (0..26_usize, any::<Option<char>>()),
        ) {
            prop_assert_eq!(parse_timestamp(&text).ok(), twin::parse(&text));
            let changed: String = text.chars().enumerate().map(|(at, c)| other.filter(|_| at == place).unwrap_or(c)).collect();
            prop_assert_eq!(parse_timestamp(&changed).ok(), twin::parse(&changed));
        }
    }
}
