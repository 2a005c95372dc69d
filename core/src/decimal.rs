//! Whole numbers as text without the formatting machinery: a request writes three or four of them.

const DIGITS_MAX: usize = 20;

/// A number in decimal digits, on the stack.
#[derive(Clone, Copy, Debug)]
pub struct Decimal {
    digits: [u8; DIGITS_MAX],
    start: usize,
}

impl Decimal {
    /// Writes the digits.
    pub fn new(mut number: u64) -> Self {
        let mut digits = [b'0'; DIGITS_MAX];
        let mut start = DIGITS_MAX;
        for digit in digits.iter_mut().rev() {
            // Below 10, so nothing is lost.
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
            start -= 1;
            if number == 0 {
                break;
            }
        }
        Self { digits, start }
    }

    /// ASCII digits, without leading zeros.
    pub fn as_bytes(&self) -> &[u8] {
        self.digits.get(self.start..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(crate::laws::config(256, 0xDEC))]

        #[test]
        fn digits_are_those_of_the_standard_library(number: u64, shift in 0..64_u32) {
            let number = number >> shift;
            let (ours, theirs) = (Decimal::new(number), number.to_string());
            prop_assert_eq!(ours.as_bytes(), theirs.as_bytes());
        }
    }

    #[test]
    fn the_ends_of_the_range() {
        assert_eq!(Decimal::new(0).as_bytes(), b"0");
        assert_eq!(Decimal::new(u64::MAX).as_bytes(), u64::MAX.to_string().as_bytes());
    }
}
