//! `streak`: how many of the profile's jobs in a row, this one last, ended in one of the rule's states.

use crate::{
    document::{Fault, Faults, Node, text},
    domain::Job,
};

use super::{
    Known,
    codes::Field,
    condition::{Facts, Lane, Test},
    past::{Need, PAST_MOST},
    when::{Answer, When},
};

/// How many jobs of a run are named to whoever asks why.
const NAMED: usize = 5;

/// A range of lengths, as it is written and as it is meant: both ends are in it.
#[derive(Debug)]
struct Length {
    written: String,
    least: u32,
    /// None: however long.
    most: Option<u32>,
}

/// Whether a job ended in one of a rule's states: the rule's conditions on the state hold for it, whatever the others say.
fn is_in_states(rule: &When, job: &Job) -> bool {
    let by_state = |leaf: &super::when::Leaf| match leaf.test.lane() {
        Lane::Code(Field::State, codes) => Some(codes.contains(&job.state.code())),
        _ => None,
    };
    rule.answer(false, &by_state) != Answer::No
}

/// The run of jobs that ended in one of the rule's states, from this one back; empty if this one did not.
fn run<'f>(facts: &Facts<'f>, rule: &'f When) -> impl Iterator<Item = &'f Job> {
    let this = Some(facts.job).filter(|job| job.is_final());
    // Of a job that runs, nothing behind it counts either.
    let behind = facts.past.jobs().take(if this.is_some() { PAST_MOST as usize } else { 0 });
    this.into_iter().chain(behind).take_while(|job| is_in_states(rule, job))
}

impl Length {
    /// How many jobs must be looked at to tell.
    fn looks_at(&self) -> usize {
        self.most.map_or(self.least, |most| most.saturating_add(1)) as usize
    }

    fn has(&self, length: usize) -> bool {
        length >= self.least as usize && self.most.is_none_or(|most| length <= most as usize)
    }
}

impl Test for Length {
    fn holds(&self, facts: &Facts<'_>, rule: &When) -> bool {
        self.has(run(facts, rule).take(self.looks_at()).count())
    }

    fn wanted(&self) -> String {
        self.written.clone()
    }

    fn found(&self, facts: &Facts<'_>, rule: &When) -> String {
        if !facts.job.is_final() {
            return "it runs: a streak is of jobs that ended".to_owned();
        }
        let run: Vec<&Job> = run(facts, rule).take(self.looks_at()).collect();
        let told = |job: &&Job| {
            let end = job.finished.map_or_else(|| "without a finish time".to_owned(), |end| end.strftime("%m-%d %H:%M").to_string());
            format!("{} {end}", job.state.name())
        };
        let mut named: Vec<String> = run.iter().take(NAMED).map(told).collect();
        let more = run.len().saturating_sub(NAMED);
        if more > 0 {
            named.push(format!("{more} more"));
        }
        // Where enough were seen, no more were looked at.
        let least = if run.len() == self.looks_at() { " or more" } else { "" };
        let before = facts.past.jobs().nth(run.len().saturating_sub(1)).filter(|_| least.is_empty() && !run.is_empty());
        let before = before.map(|job| format!("; before them, {}", told(&job))).unwrap_or_default();
        match named.as_slice() {
            [] => "none in a row".to_owned(),
            named => format!("{}{least} in a row: {}{before}", run.len(), named.join(", ")),
        }
    }

    fn lane(&self) -> Lane<'_> {
        Lane::Streak(self.least, self.most)
    }

    fn need(&self) -> Option<Need> {
        Some(Need::jobs(self.most.map_or(self.least.saturating_sub(1), |most| most)))
    }
}

pub(super) fn read(node: &Node, _: &Known<'_>, faults: &mut Faults) -> Option<Box<dyn Test>> {
    let written = text(node, faults)?;
    match length(&written) {
        Ok(length) => {
            if length.least <= 1 && length.most.is_none() {
                let fault = Fault::warning(&node.place, "this holds for every job that the rest of the rule lets through");
                faults.push(fault.hint("a job is a streak of one; leave `streak` out, or ask for 2 or more"));
            }
            Some(Box::new(length))
        }
        Err(why) => {
            let why = if node.filled { "the value filled in is no length of a streak".to_owned() } else { why };
            faults.push(Fault::error(&node.place, why).hint("write a number of jobs, as in \">= 3\", \"= 3\", \"< 3\" or \"2..5\""));
            None
        }
    }
}

fn length(written: &str) -> Result<Length, String> {
    let text = written.trim();
    let number = |part: &str| {
        let part = part.trim();
        if part.is_empty() {
            return Err(format!("a number of jobs is missing in `{text}`"));
        }
        if !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(format!("`{part}` is no number of jobs"));
        }
        part.parse()
            .ok()
            .filter(|number: &u32| *number <= PAST_MOST)
            .ok_or_else(|| format!("a streak is looked back for {PAST_MOST} jobs at most"))
    };
    let (least, most) = if let Some(rest) = text.strip_prefix(">=") {
        (number(rest)?, None)
    } else if let Some(rest) = text.strip_prefix('>') {
        (number(rest)? + 1, None)
    } else if let Some(rest) = text.strip_prefix("<=") {
        (1, Some(number(rest)?))
    } else if let Some(rest) = text.strip_prefix('<') {
        (1, Some(number(rest)?.saturating_sub(1)))
    } else if let Some(rest) = text.strip_prefix("==").or_else(|| text.strip_prefix('=')) {
        let exactly = number(rest)?;
        (exactly, Some(exactly))
    } else if let Some((from, to)) = text.split_once("..") {
        (number(from)?, Some(number(to)?))
    } else {
        (number(text)?, None)
    };
    let (least, none): (u32, bool) = (least.max(1), most == Some(0));
    if none || most.is_some_and(|most| most < least) {
        return Err(format!("no streak is ever `{text}`: the shortest is of 1 job"));
    }
    Ok(Length { written: text.to_owned(), least, most })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_with_its_ends() {
        for (written, yes, no) in [
            (">= 3", &[3, 4, 999][..], &[0, 1, 2][..]),
            (">=3", &[3], &[2]),
            ("> 3", &[4], &[3]),
            ("3", &[3, 4], &[2]),
            ("= 3", &[3], &[2, 4]),
            ("==3", &[3], &[2, 4]),
            ("<= 2", &[1, 2], &[0, 3]),
            ("< 2", &[1], &[0, 2]),
            ("2..4", &[2, 4], &[1, 5]),
        ] {
            let length = length(written).unwrap();
            for n in yes {
                assert!(length.has(*n), "{written} of {n}");
            }
            for n in no {
                assert!(!length.has(*n), "{written} of {n}");
            }
        }
    }

    #[test]
    fn what_is_no_length_says_why() {
        for (written, part) in [
            ("three", "`three` is no number of jobs"),
            ("", "a number of jobs is missing"),
            (">=", "a number of jobs is missing"),
            ("> -1", "`-1` is no number"),
            ("1.5", "`1.5` is no number"),
            ("= 0", "no streak is ever `= 0`"),
            ("< 1", "no streak is ever"),
            ("4..2", "no streak is ever"),
            (">= 1001", "1000 jobs at most"),
            (">= 99999999999999", "1000 jobs at most"),
        ] {
            let why = length(written).unwrap_err();
            assert!(why.contains(part), "{written}: {why}");
        }
    }
}
