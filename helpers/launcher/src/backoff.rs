//! When a program that ended is started again. Pure: takes the time, never asks for it.

use std::time::{Duration, Instant};

/// Wait after the first end. A program that is killed is back before anybody who waits for it gives up.
pub const RESTART_DELAY_MIN: Duration = Duration::from_millis(100);

/// Longest wait. It stays below the ten seconds for which the daemon lets requests wait for a helper.
pub const RESTART_DELAY_MAX: Duration = Duration::from_secs(5);

/// A program that ran this long works; its next end is a first one again.
pub const HEALTHY_RUN: Duration = Duration::from_secs(10);

/// How often a program may fail before everything worked once. What cannot start at all will not start by being tried on.
pub const START_FAILURES_MAX: u32 = 5;

/// The history of one program's ends.
#[derive(Debug, Default)]
pub struct Backoff {
    ends: u32,
}

impl Backoff {
    /// Notes that the program ended after running this long, and gives the time of its next start.
    pub fn ended(&mut self, ran: Duration, now: Instant) -> Instant {
        self.ends = if ran >= HEALTHY_RUN {
            1
        } else {
            self.ends.saturating_add(1)
        };
        now + self.delay()
    }

    /// The wait before the next start.
    #[must_use]
    pub fn delay(&self) -> Duration {
        let doublings = self.ends.saturating_sub(1).min(16);
        RESTART_DELAY_MIN
            .saturating_mul(1 << doublings)
            .min(RESTART_DELAY_MAX)
    }

    /// Whether it failed so often, one time right after the other, that it will not start.
    #[must_use]
    pub fn is_hopeless(&self) -> bool {
        self.ends >= START_FAILURES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_from_end_to_end_up_to_the_longest() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        let waits: Vec<u128> = (0..8)
            .map(|_| (backoff.ended(Duration::ZERO, now) - now).as_millis())
            .collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    }

    #[test]
    fn a_healthy_run_forgets_earlier_ends() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        for _ in 0..START_FAILURES_MAX {
            assert!(!backoff.is_hopeless());
            backoff.ended(Duration::ZERO, now);
        }
        assert!(backoff.is_hopeless());
        assert_eq!(backoff.ended(HEALTHY_RUN, now), now + RESTART_DELAY_MIN);
        assert!(!backoff.is_hopeless());
    }
}
