//! Quantities with their unit in the type. A constructor checks the range once; afterwards it holds.

use core::fmt;

/// A duration in whole milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

/// A duration, or a point in time since an epoch of the host's choosing, in whole microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Micros(pub u64);

impl Millis {
    /// The same duration in microseconds, saturating.
    pub const fn to_micros(self) -> Micros {
        Micros(self.0.saturating_mul(1_000))
    }
}

/// A reading of both clocks, taken by whoever has them: core reads none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Time since an epoch of the host's choosing; never goes back. What durations are measured by.
    pub at: Micros,
    /// Milliseconds since 1970 by the calendar. What people are shown.
    pub unix_ms: u64,
}

impl Moment {
    /// The same clocks at an earlier time of the calendar; what is later than this moment is this moment.
    pub const fn back_to(self, unix_ms: u64) -> Self {
        let ago = self.unix_ms.saturating_sub(unix_ms);
        let at = Micros(self.at.0.saturating_sub(ago.saturating_mul(1_000)));
        Self { at, unix_ms: self.unix_ms - ago }
    }
}

impl Micros {
    /// Whole milliseconds, rounded down: a remaining time is never overstated.
    pub const fn to_millis_floor(self) -> Millis {
        Millis(self.0 / 1_000)
    }

    /// `self - earlier`, or zero when the clock went backwards.
    pub const fn since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }

    /// `self + duration`, saturating.
    pub const fn after(self, duration: Self) -> Self {
        Self(self.0.saturating_add(duration.0))
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

/// A share in parts per million, `0 ..= 1 000 000`: exact as a key and on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ppm(u32);

/// A share above one million parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} ppm is more than the whole (1000000)")]
pub struct InvalidPpm(pub u32);

impl Ppm {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// All of it.
    pub const ONE: Self = Self(1_000_000);

    /// Checks the range.
    ///
    /// # Errors
    /// [`InvalidPpm`] above one million.
    pub const fn new(ppm: u32) -> Result<Self, InvalidPpm> {
        if ppm <= Self::ONE.0 { Ok(Self(ppm)) } else { Err(InvalidPpm(ppm)) }
    }

    /// The number of parts.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The share as a number in `[0, 1]`.
    pub fn ratio(self) -> f64 {
        f64::from(self.0) / 1e6
    }
}

/// A probability or share in `[0, 1]`; never NaN.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Ratio(f64);

/// Not a number in `[0, 1]`.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{0} is not a share between 0 and 1")]
pub struct InvalidRatio(pub f64);

impl Ratio {
    /// Nothing.
    pub const ZERO: Self = Self(0.0);
    /// All of it.
    pub const ONE: Self = Self(1.0);

    /// Checks the range; `-0.0` becomes `0.0`.
    ///
    /// # Errors
    /// [`InvalidRatio`] for NaN and anything outside `[0, 1]`.
    pub fn new(value: f64) -> Result<Self, InvalidRatio> {
        // Written so that NaN fails.
        if (0.0..=1.0).contains(&value) { Ok(Self(value + 0.0)) } else { Err(InvalidRatio(value)) }
    }

    /// The number.
    pub const fn get(self) -> f64 {
        self.0
    }

    /// `1 - self`.
    pub fn complement(self) -> Self {
        Self(1.0 - self.0)
    }
}

/// Number of a plan; a newer one wins everywhere, an older one is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_refuse_what_is_no_share() {
        assert_eq!(Ppm::new(1_000_001), Err(InvalidPpm(1_000_001)));
        assert!(Ratio::new(f64::NAN).is_err());
        assert!(Ratio::new(-1e-9).is_err());
        assert!(Ratio::new(1.0 + 1e-9).is_err());
        assert!(Ratio::new(-0.0).is_ok_and(|r| r.get().is_sign_positive()));
    }

    #[test]
    fn time_saturates_instead_of_wrapping() {
        assert_eq!(Micros(5).since(Micros(9)), Micros(0));
        assert_eq!(Micros(u64::MAX).after(Micros(1)), Micros(u64::MAX));
        assert_eq!(Micros(1_999).to_millis_floor(), Millis(1));
    }
}
