//! When a probe asks next: pure arithmetic on times, so that it can be checked without waiting.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::time::Duration;

use crate::engine::evidence::Pace;
use crate::time::Time;

/// Interval of the pulse while a service has no usable writer.
pub(super) const HURRIED_PULSE: Duration = Duration::from_millis(20);

/// Interval of fresh connections while there is no answering session.
const RETRY: Duration = Duration::from_millis(500);

/// The same while a service has no usable writer; also the least time between two sessions that end as soon as
/// they are opened.
pub(super) const HURRIED_RETRY: Duration = Duration::from_millis(100);

/// The next moment of a regular beat after `now`.
///
/// Beats lie `interval` apart on the daemon's own time line, shifted by an amount that follows from the
/// server's address: many probes do not beat at once, and one that falls behind leaves beats out.
pub(super) fn next_beat(now: Time, interval: Duration, address: SocketAddr) -> Time {
    let length = nanos(interval).max(1);
    let mut hasher = DefaultHasher::new();
    address.hash(&mut hasher);
    let shift = hasher.finish() % length;
    let into_beat = nanos(now.since_start()).saturating_add(length - shift) % length;
    now.after(Duration::from_nanos(length - into_beat))
}

/// Whole nanoseconds; the limit of 584 years is no limit here.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The interval of the pulse.
pub(super) fn pulse_interval(configured: Duration, pace: Pace) -> Duration {
    match pace {
        Pace::Normal => configured,
        Pace::Hurried => configured.min(HURRIED_PULSE),
    }
}

/// What the kept session does, as far as the rhythm of fresh connections depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// There is one and it answers.
    Answering,
    /// There is one that owes an answer for longer than `suspect_after`.
    Silent,
    /// There is none.
    None,
}

/// How long after the start of one fresh connection the next one starts.
pub(super) fn admission_interval(configured: Duration, kept: Kept, pace: Pace) -> Duration {
    match (kept, pace) {
        (Kept::Answering, _) => configured,
        (Kept::Silent | Kept::None, Pace::Normal) => configured.min(RETRY),
        (Kept::Silent | Kept::None, Pace::Hurried) => configured.min(HURRIED_RETRY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PULSE: Duration = Duration::from_millis(100);

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([10, 8, 0, last], 5432))
    }

    #[test]
    fn beats_of_one_server_are_one_interval_apart() {
        let mut now = Time::from_millis(12_345);
        let first = next_beat(now, PULSE, address(11));
        now = first;
        for beat in 1..50 {
            now = next_beat(now, PULSE, address(11));
            assert_eq!(now.since(first), PULSE * beat);
        }
    }

    #[test]
    fn the_next_beat_is_later_and_no_further_than_one_interval() {
        for millis in 0..1_000 {
            let now = Time::from_millis(millis);
            let wait = next_beat(now, PULSE, address(11)).since(now);
            assert!(wait > Duration::ZERO && wait <= PULSE, "{wait:?}");
        }
    }

    #[test]
    fn a_late_probe_leaves_beats_out_and_keeps_its_place() {
        let first = next_beat(Time::ZERO, PULSE, address(11));
        let late = next_beat(first.after(PULSE * 3 + PULSE / 2), PULSE, address(11));
        assert_eq!(late.since(first), PULSE * 4);
    }

    #[test]
    fn servers_do_not_beat_at_once() {
        let mut beats: Vec<Time> =
            (1..=200).map(|last| next_beat(Time::ZERO, PULSE, address(last))).collect();
        beats.sort();
        beats.dedup();
        assert!(beats.len() > 190, "{} different beats of 200", beats.len());
        let early = beats.iter().filter(|beat| beat.since_start() < PULSE / 2).count();
        assert!((60..140).contains(&early), "{early} of 200 in the first half");
    }

    #[test]
    fn fresh_connections_come_faster_where_no_session_answers() {
        let admission = Duration::from_secs(2);
        let table = [
            (Kept::Answering, Pace::Normal, 2_000),
            (Kept::Answering, Pace::Hurried, 2_000),
            (Kept::Silent, Pace::Normal, 500),
            (Kept::Silent, Pace::Hurried, 100),
            (Kept::None, Pace::Normal, 500),
            (Kept::None, Pace::Hurried, 100),
        ];
        for (kept, pace, millis) in table {
            let interval = admission_interval(admission, kept, pace);
            assert_eq!(interval.as_millis(), millis, "{kept:?} {pace:?}");
        }
        let short = Duration::from_millis(200);
        assert_eq!(admission_interval(short, Kept::None, Pace::Normal), short);
    }

    #[test]
    fn a_hurried_pulse_is_never_slower_than_the_configured_one() {
        assert_eq!(pulse_interval(PULSE, Pace::Normal), PULSE);
        assert_eq!(pulse_interval(PULSE, Pace::Hurried), HURRIED_PULSE);
        let quick = Duration::from_millis(5);
        assert_eq!(pulse_interval(quick, Pace::Hurried), quick);
    }
}
