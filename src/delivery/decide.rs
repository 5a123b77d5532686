//! What becomes of a notification after an attempt: a pure decision.

use std::time::Duration;

use super::breaker::Trouble;
use crate::domain::{Outcome, Refusal, TargetEnd, format_duration};

/// What is known once an attempt has been made at every recipient that still needed one.
#[derive(Debug)]
pub struct Facts<'f> {
    /// The recipients that are done, now or before.
    pub ended: &'f [TargetEnd],
    /// What the others answered, in the order of asking.
    pub open: &'f [Outcome],
    /// Why recipients were not asked, where any was not: they rest after trouble of their own.
    pub resting: Option<&'f str>,
    /// How long it has waited aside.
    pub waited: Duration,
    /// How long it is tried.
    pub give_up_after: Duration,
}

/// What is to become of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is at its end: accepted by any recipient, or dead.
    End {
        /// Whether anyone has it.
        accepted: bool,
        /// The line that is kept as the channel's answer.
        answer: String,
    },
    /// The trouble is the channel's: all that is for it waits.
    Shut(Trouble),
    /// The trouble is that of some recipients: the others' messages pass.
    Aside(String),
}

/// Decides.
#[must_use]
pub fn decide(facts: &Facts<'_>) -> Decision {
    for outcome in facts.open {
        if let Outcome::Refused { what: Refusal::Channel, why } = outcome {
            return Decision::Shut(Trouble { refused: true, asked: None, answer: why.clone() });
        }
    }
    let last = facts.open.last().map(Outcome::answer);
    let Some(answer) = last.or(facts.resting) else {
        return Decision::End { accepted: accepted(facts.ended), answer: TargetEnd::told(facts.ended) };
    };
    // Where nobody answered, the server is in trouble; where one did, the recipient is.
    if last.is_some() && facts.ended.is_empty() {
        let asked = facts.open.iter().filter_map(|outcome| if let Outcome::Retry { after, .. } = outcome { *after } else { None }).max();
        return Decision::Shut(Trouble { refused: false, asked, answer: answer.to_owned() });
    }
    if facts.waited >= facts.give_up_after {
        return Decision::End {
            accepted: accepted(facts.ended),
            answer: TargetEnd::told_of_some(facts.ended, given_up(facts.give_up_after, answer)),
        };
    }
    Decision::Aside(answer.to_owned())
}

/// The answer of a message that was tried for long enough.
#[must_use]
pub fn given_up(after: Duration, answer: &str) -> String {
    format!("given up after {}: {answer}", format_duration(after))
}

fn accepted(ended: &[TargetEnd]) -> bool {
    ended.iter().any(|end| end.accepted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(target: &str, accepted: bool) -> TargetEnd {
        TargetEnd { target: target.into(), accepted, answer: if accepted { "250 ok".into() } else { "550 no such user".into() } }
    }

    fn retry(after: Option<u64>) -> Outcome {
        Outcome::Retry { after: after.map(Duration::from_secs), why: "HTTP 503".into() }
    }

    #[track_caller]
    fn check(ended: &[TargetEnd], open: &[Outcome], waited: u64, expected: &Decision) {
        check_resting(ended, open, None, waited, expected);
    }

    #[track_caller]
    fn check_resting(ended: &[TargetEnd], open: &[Outcome], resting: Option<&str>, waited: u64, expected: &Decision) {
        let (waited, give_up_after) = (Duration::from_secs(waited), Duration::from_secs(3_600));
        assert_eq!(&decide(&Facts { ended, open, resting, waited, give_up_after }), expected);
    }

    fn ends(accepted: bool, answer: &str) -> Decision {
        Decision::End { accepted, answer: answer.into() }
    }

    fn shut(asked: Option<u64>) -> Decision {
        Decision::Shut(Trouble { refused: false, asked: asked.map(Duration::from_secs), answer: "HTTP 503".into() })
    }

    #[test]
    fn one_recipient_that_accepts_is_a_delivery() {
        check(&[end("", true)], &[], 0, &ends(true, "250 ok"));
        check(&[end("a@x", true), end("b@x", false)], &[], 0, &ends(true, "250 ok; b@x refused: 550 no such user"));
    }

    #[test]
    fn none_that_accepts_is_a_dead_letter() {
        check(&[end("", false)], &[], 0, &ends(false, "550 no such user"));
    }

    #[test]
    fn trouble_is_the_channels_where_nobody_answers() {
        check(&[], &[retry(None)], 0, &shut(None));
        check(&[], &[retry(Some(120)), retry(None)], 0, &shut(Some(120)));
        check_resting(&[], &[retry(Some(7))], Some("452 full"), 0, &shut(Some(7)));
    }

    #[test]
    fn trouble_is_the_recipients_where_another_answers() {
        check(&[end("a@x", true)], &[retry(Some(7))], 0, &Decision::Aside("HTTP 503".into()));
        check(&[end("a@x", false)], &[retry(None), retry(None)], 0, &Decision::Aside("HTTP 503".into()));
        check_resting(&[end("a@x", true)], &[], Some("452 full"), 0, &Decision::Aside("452 full".into()));
        check_resting(&[end("a@x", true)], &[], Some("452 full"), 3_600, &ends(true, "250 ok; the others given up after 1h: 452 full"));
        let both = [end("a@x", true), end("b@x", false)];
        let told = "250 ok; b@x refused: 550 no such user; the others given up after 1h: 452 full";
        check_resting(&both, &[], Some("452 full"), 3_600, &ends(true, told));
        check_resting(&both[1..], &[], Some("452 full"), 3_600, &ends(false, "given up after 1h: 452 full"));
    }

    #[test]
    fn a_channel_that_refuses_is_shut_whatever_some_recipients_said() {
        let gone = Outcome::Refused { what: Refusal::Channel, why: "HTTP 404: no_service".into() };
        let shut = Decision::Shut(Trouble { refused: true, asked: None, answer: "HTTP 404: no_service".into() });
        check(&[], std::slice::from_ref(&gone), 999_999, &shut);
        check(&[end("a@x", true)], &[retry(None), gone], 999_999, &shut);
    }
}
