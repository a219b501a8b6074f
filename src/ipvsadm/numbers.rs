//! Counters in ipvsadm's columns: nine characters each, with K, M, G or T where that is not enough.

use std::fmt;

use crate::model::kernel::Traffic;

/// Numbers one behind the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct TrafficText<'a> {
    pub(super) numbers: &'a [u64],
    /// In full, whatever the width.
    pub(super) exact: bool,
}

impl fmt::Display for TrafficText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &number in self.numbers {
            if self.exact {
                // At least one blank in front.
                write!(f, " {number:>8}")?;
                continue;
            }
            let (number, unit) = match number {
                0..100_000_000 => {
                    write!(f, "{number:>9}")?;
                    continue;
                }
                100_000_000..1_000_000_000 => (number / 1_000, 'K'),
                1_000_000_000..100_000_000_000 => (number / 1_000_000, 'M'),
                100_000_000_000..100_000_000_000_000 => (number / 1_000_000_000, 'G'),
                _ => (number / 1_000_000_000_000, 'T'),
            };
            write!(f, "{number:>8}{unit}")?;
        }
        Ok(())
    }
}

/// Connections, packets and bytes so far.
pub(super) fn totals(traffic: Traffic, exact: bool) -> String {
    let numbers = [
        traffic.connections,
        traffic.packets_in,
        traffic.packets_out,
        traffic.bytes_in,
        traffic.bytes_out,
    ];
    TrafficText { numbers: &numbers, exact }.to_string()
}

/// Connections, packets and bytes per second.
pub(super) fn rates(traffic: Traffic, exact: bool) -> String {
    let rate = traffic.rate;
    let numbers =
        [rate.connections, rate.packets_in, rate.packets_out, rate.bytes_in, rate.bytes_out];
    TrafficText { numbers: &numbers, exact }.to_string()
}

/// A word with blanks behind it up to a width in characters.
pub(super) fn left(text: &mut String, word: &str, width: usize) {
    text.push_str(word);
    let length = if word.is_ascii() { word.len() } else { word.chars().count() };
    blanks(text, width.saturating_sub(length));
}

/// A number with blanks behind it up to a width, without the formatting machinery: long lists are made of these.
pub(super) fn left_number(text: &mut String, number: i64, width: usize) {
    let before = text.len();
    if number < 0 {
        text.push('-');
    }
    // From the last digit to the first.
    let mut digits = [0; 20];
    let (mut rest, mut first) = (number.unsigned_abs(), digits.len());
    for (place, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + (rest % 10).to_le_bytes()[0];
        (rest, first) = (rest / 10, place);
        if rest == 0 {
            break;
        }
    }
    let digits = digits.get(first..).unwrap_or_default();
    text.push_str(std::str::from_utf8(digits).unwrap_or_default());
    blanks(text, width.saturating_sub(text.len() - before));
}

fn blanks(text: &mut String, count: usize) {
    const BLANKS: &str = "                                ";
    let mut left = count;
    while left > 0 {
        let now = left.min(BLANKS.len());
        text.push_str(BLANKS.get(..now).unwrap_or_default());
        left -= now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_do_not_fit_are_cut_never_rounded() {
        for (number, text) in [
            (0, "        0"),
            (99_999_999, " 99999999"),
            (100_000_000, "  100000K"),
            (999_999_999, "  999999K"),
            (1_999_999_999, "    1999M"),
            (99_999_999_999, "   99999M"),
            (100_000_000_000, "     100G"),
            (99_999_999_999_999, "   99999G"),
            (u64::MAX, "18446744T"),
        ] {
            assert_eq!(TrafficText { numbers: &[number], exact: false }.to_string(), text);
        }
    }

    #[test]
    fn exact_numbers_keep_one_blank_in_front() {
        let numbers = [1, 99_999_999, 100_000_000, u64::MAX];
        assert_eq!(
            TrafficText { numbers: &numbers, exact: true }.to_string(),
            "        1 99999999 100000000 18446744073709551615"
        );
    }

    #[test]
    fn numbers_and_words_are_filled_up_as_by_the_standard_library() {
        for number in [0, 1, 9, 10, 99, 100, -1, -10, i64::from(u32::MAX), i64::MAX, i64::MIN] {
            for width in [0, 3, 10, 40] {
                let mut text = String::new();
                left_number(&mut text, number, width);
                assert_eq!(text, format!("{number:<width$}"));
            }
        }
        for word in ["", "Masq", "gr\u{fc}n"] {
            let mut text = String::new();
            left(&mut text, word, 7);
            assert_eq!(text, format!("{word:<7}"));
        }
    }
}
