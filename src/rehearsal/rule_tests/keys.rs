//! The keys of files of rule tests, for the schema.

use super::{expect::Kind, jobs::JOBS};
use crate::{
    document::{Form, Key, Keys},
    rules::words,
};

#[expect(clippy::cast_possible_wrap, reason = "some thousands")]
const JOBS_MOST: i64 = JOBS as i64;

/// The keys of a file.
pub const FILE: Keys = Keys::new(&[&[Key::new(
    "tests",
    "the tests, each by itself",
    Form::OrNothing(&Form::AnyList(&Form::Mapping(&TEST))),
    &["[{ name: a failed scan alerts, jobs: [{ state: failed }], expect: [{ rule: scan-failed, job: 1 }] }]"],
)
.required()]]);

const TEST: Keys = Keys::new(&[&[
    Key::new("name", "what the rules are to do, in a sentence", Form::Text, &["a failed scan alerts"]).required(),
    Key::new(
        "jobs",
        "the jobs that are played through all rules, in their order",
        Form::OrNothing(&Form::AnyList(&Form::Mapping(&JOB))),
        &["[{ state: failed }]"],
    ),
    Key::new(
        "at",
        "where the clock stands in the end, for running jobs and for rules on missing ones",
        Form::Text,
        &["\"2024-09-26T12:00:00Z\""],
    ),
    Key::new(
        "expect",
        "what must alert; what is not listed must not",
        Form::OrNothing(&Form::AnyList(&Form::Mapping(&EXPECTED))),
        &["[{ rule: scan-failed, job: 1 }]"],
    )
    .required(),
    Key::new("timezone", "whose clock times without one are of; UTC where nothing is said", Form::Text, &["Europe/Zurich"]),
    Key::new("since", "from when on jobs are waited for, for rules on missing ones", Form::Text, &["\"2024-09-01T00:00:00Z\""]),
    Key::new("enable", "rules at rest that are to be awake in this test", Form::OneOrMany(&Form::Text), &["[scan-failed]"]),
]]);

const JOB: Keys = Keys::new(&[&[
    Key::new("id", "its id; the same one again is a later sighting of the same job", Form::Text, &["Scan1"]),
    Key::new("source", "the source it comes from; the first one where nothing is said", Form::Text, &["contoso"]),
    Key::new("type", "what it scans", Form::Code(words::types), &["google"]),
    Key::new("state", "how it stands; finished where nothing is said", Form::Code(words::states), &["failed", "running"]),
    Key::new("started", "when it began", Form::Text, &["\"2024-09-26T05:58:40Z\""]),
    Key::new("finished", "when it ended", Form::Text, &["\"2024-09-26T05:59:12Z\""]),
    Key::new("duration", "how long it took; of a running one, its age", Form::Duration, &["32s"]),
    Key::new("profile", "its scan profile's name", Form::Text, &["scan sharepoint sites"]),
    Key::new("category", "its scan profile's category", Form::Code(words::categories), &["power_platform"]),
    Key::new("extension", "whatever the vendor may put there", Form::Anything, &["{ a: 1 }"]),
    Key::new(
        "repeat",
        "how often it comes",
        Form::Either(&[Form::Integer(1, JOBS_MOST), Form::Mapping(&REPEAT)]),
        &["3", "{ times: 3, every: 24h }"],
    ),
]]);

const REPEAT: Keys = Keys::new(&[&[
    Key::new("times", "how often", Form::Integer(1, JOBS_MOST), &["3"]).required(),
    Key::new("every", "from one start to the next; one follows the other where nothing is said", Form::Duration, &["24h"]),
]]);

const EXPECTED: Keys = Keys::new(&[&[
    Key::new("rule", "the rule that alerts", Form::Text, &["scan-failed"]).required(),
    Key::new(
        "job",
        "the job it alerts on: its place in the list from 1, 1/2 for its second repetition, or its id",
        Form::Text,
        &["1", "1/2"],
    ),
    Key::new("kind", "what it tells of, where that is not plain from the rule", Form::Word(kinds), &["alert"]),
    Key::new("notify", "the channels it notifies", Form::OneOrMany(&Form::Text), &["[oncall]"]),
    Key::new("at", "when", Form::Text, &["\"2024-09-26T05:59:12Z\""]),
    Key::new("severity", "how urgent it is", Form::Word(words::severities), &["critical"]),
    Key::new("source", "the source, of a job that is missing", Form::Text, &["contoso"]),
    Key::new("labels", "labels that the rule has", Form::Named(&Form::Text), &["{ team: collaboration }"]),
]]);

fn kinds() -> Vec<String> {
    Kind::ALL.iter().map(|kind| kind.name().to_owned()).collect()
}
