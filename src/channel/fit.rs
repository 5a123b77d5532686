//! Fitting a message to its channel's limits by dropping whole jobs from its list, never by cutting what is written.

/// What came of writing a message with so many jobs named.
#[derive(Debug)]
pub enum Attempt<T> {
    /// It is within the channel's limits.
    Fits(T),
    /// It is not; why, in one line. With fewer jobs it may be.
    TooLarge(String),
}

/// The message that names the most of `jobs` jobs and is within its channel's limits, found by halving. That is all that bounds
/// what is named: the store gives a thousand of a roll-up's alerts at most, and counts the rest.
///
/// # Errors
/// The writing failed, or not even the message that names no job at all is within the limits; in one line.
pub fn fit<T>(jobs: usize, mut write: impl FnMut(usize) -> Result<Attempt<T>, String>) -> Result<T, String> {
    let mut why = match write(jobs)? {
        Attempt::Fits(message) => return Ok(message),
        Attempt::TooLarge(why) => why,
    };
    // `best` names `low - 1` jobs; `high` jobs and more are too many.
    let (mut low, mut high, mut best) = (0, jobs, None);
    while low < high {
        let middle = low + (high - low) / 2;
        match write(middle)? {
            Attempt::Fits(message) => {
                best = Some(message);
                low = middle + 1;
            }
            Attempt::TooLarge(reason) => {
                why = reason;
                high = middle;
            }
        }
    }
    best.ok_or(why)
}

/// How many of `jobs` jobs [`fit`] names; none where the writing fails or not even one finds room.
pub fn names<T>(jobs: usize, mut write: impl FnMut(usize) -> Result<Attempt<T>, String>) -> Option<usize> {
    let count = |shown| {
        Ok(match write(shown)? {
            Attempt::Fits(_) => Attempt::Fits(shown),
            Attempt::TooLarge(why) => Attempt::TooLarge(why),
        })
    };
    fit(jobs, count).ok().filter(|named| *named > 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_largest_that_fits_is_found_in_few_attempts(jobs in 0_usize..1_000, limit in 0_usize..1_200) {
            let mut attempts = 0;
            let found = fit(jobs, |shown| {
                attempts += 1;
                Ok(if shown <= limit { Attempt::Fits(shown) } else { Attempt::TooLarge(format!("{shown} is too many")) })
            });
            prop_assert_eq!(found, Ok(jobs.min(limit)));
            prop_assert!(attempts <= 11);
        }
    }

    #[test]
    fn what_never_fits_says_why() {
        for jobs in [0, 1, 7] {
            let found: Result<(), _> = fit(jobs, |shown| Ok(Attempt::TooLarge(format!("{shown} jobs make 9 blocks"))));
            assert_eq!(found, Err("0 jobs make 9 blocks".into()));
        }
        let failed: Result<(), _> = fit(3, |_| Err("the template failed".into()));
        assert_eq!(failed, Err("the template failed".into()));
    }
}
