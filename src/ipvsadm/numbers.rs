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
}
