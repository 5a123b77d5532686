//! What is put into words: one job, a few, very many, names that mean harm, and a trouble that begins and is over.

use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::Value;

use crate::{
    domain::{
        Category, Failing, Job, JobType, Listed, Name, Notice, Notification, NotificationKind, RuleFacts, Severity, State, Undelivered,
    },
    template::{BuiltIn, digests, notices},
};

/// One message to be shown.
pub struct Scene {
    /// What it is, as a heading.
    pub title: &'static str,
    /// For the page's own addresses.
    pub slug: &'static str,
    /// The message.
    pub notification: Notification,
}

/// How many jobs a large roll-up carries: more than any channel names.
const MANY: usize = 200;

pub use crate::template::sample_now as now;

/// What scans are called.
const PROFILES: [&str; 5] =
    ["scan exchange mailboxes", "scan sharepoint sites", "scan onedrive accounts", "scan teams and channels", "scan power platform"];

/// How they ended.
const STATES: [State; 3] = [State::Failed, State::FinishedWithException, State::Failed];

/// Names that mean something where they land, unless they are escaped for it.
const HOSTILE: [&str; 10] = [
    "<script>alert('x')</script><img src=x onerror=alert(1)>",
    "<!channel> <@U012AB3CD> @everyone <at>Everyone</at>",
    "<https://evil.example|all is well> [all is well](https://evil.example)",
    "*bold* _it_ ~no~ `code` **bold** # head > quote",
    "line one\r\nBcc: victim@contoso.example\r\n\r\nbody",
    "{{job.id}} {{{rule}}} ${HOME}",
    "\"}],\"x\":\"quote \" backslash \\ &lt;b&gt; &amp;",
    "\u{202e}gpj.exe\u{2066}\u{0}\u{1b}[31m",
    "Prüfung 夜間スキャン 👩‍💻 שלום",
    "</iframe></textarea></style></pre>",
];

/// The messages that a set has words for.
pub fn of_set(set: &str) -> Vec<Scene> {
    match BuiltIn::of_its_own(set) {
        Some(BuiltIn::Digest) => of_digests(),
        Some(BuiltIn::Notice) => of_notices(),
        Some(BuiltIn::Alert) | None => of_alerts(),
    }
}

/// The messages that carry alerts.
fn of_alerts() -> Vec<Scene> {
    let hostile = RuleFacts {
        name: HOSTILE[0].into(),
        description: HOSTILE.join(" · "),
        labels: [("runbook", "javascript:alert(1)"), ("team", HOSTILE[2])].map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        ..rule()
    };
    let named = |n: usize| Job { profile: HOSTILE[n % HOSTILE.len()].into(), id: format!("{}-{n}", HOSTILE[n % HOSTILE.len()]), ..job(n) };
    let one = Job { profile: HOSTILE.join(" ").repeat(20), source: Name::from(HOSTILE[1]), id: HOSTILE[3].into(), ..job(0) };
    let waited = Notification { backlog: true, ..alerts(NotificationKind::RollUp, &rule(), (0..5).map(job).collect()) };
    let refused = Undelivered { channel: Name::from("scans"), answer: "HTTP 410 Gone: channel_is_archived".into() };
    let stand_in = Notification { undelivered: Some(refused), ..alerts(NotificationKind::Alert, &rule(), vec![job(0)]) };
    vec![
        scene("One job", "one", alerts(NotificationKind::Alert, &rule(), vec![job(0)])),
        scene("A roll-up of five", "five", alerts(NotificationKind::RollUp, &rule(), (0..5).map(job).collect())),
        scene("A roll-up of 200", "many", alerts(NotificationKind::RollUp, &rule(), (0..MANY).map(job).collect())),
        scene("A roll-up of five that waited for the channel", "waited", waited),
        scene("One job, for a channel that refuses it", "stand-in", stand_in),
        scene("A job with a hostile name", "hostile-one", alerts(NotificationKind::Alert, &hostile, vec![one])),
        scene("Hostile names", "hostile", alerts(NotificationKind::RollUp, &hostile, (0..HOSTILE.len()).map(named).collect())),
    ]
}

/// The messages about the watch itself: those that `check` tries, and what else a reader may meet.
fn of_notices() -> Vec<Scene> {
    let sample = |what: &str| notices().into_iter().find(|(words, _)| *words == what).map(|(_, notification)| notification);
    let turned = |sample: &Notification, turn: &dyn Fn(&Notice) -> Notice| {
        let notice = sample.notice.as_ref().map(turn);
        Notification { notice, ..sample.clone() }
    };
    let about = |notification: Notification| {
        let rule = notification.notice.as_ref().map_or_else(|| notification.rule.clone(), Notice::facts);
        Notification { rule, ..notification }
    };
    let begins = sample("a notice that begins");
    let missing = sample("a notice of a missing scan");
    let many = begins.as_ref().map(|begins| about(turned(begins, &together)));
    let came = |missing: &Notice| Notice { title: CAME.into(), over: true, severity: Severity::Info, ..missing.clone() };
    let came = missing.as_ref().map(|missing| turned(missing, &came));
    let hostile =
        |begins: &Notice| Notice { topic: HOSTILE[2].into(), title: HOSTILE[0].into(), text: HOSTILE.join(" · "), ..begins.clone() };
    let hostile = begins.as_ref().map(|begins| about(turned(begins, &hostile)));
    [
        ("A trouble begins", "begins", begins),
        ("A trouble is over", "over", sample("a notice that is over")),
        ("Many sources in the same trouble", "together", many),
        ("A scan that never came", "missing", missing),
        ("It came after all", "came", came),
        ("Hostile words", "hostile", hostile),
    ]
    .into_iter()
    .filter_map(|(title, slug, notification)| Some(scene(title, slug, notification?)))
    .collect()
}

fn together(like: &Notice) -> Notice {
    let names: Vec<String> = (1..=20).map(|n| format!("tenant-{n}")).collect();
    Notice {
        topic: "sources down".into(),
        title: "50 sources can't be read, again and again".into(),
        text: format!("They are {}, and 30 more. Each answers: HTTP 503 Service Unavailable", names.join(", ")),
        ..like.clone()
    }
}

const CAME: &str = "A scan of \"nightly sites\" has finished at contoso, 2h 5m late";

/// The digests: as `check` tries them, and one in which every name means harm.
fn of_digests() -> Vec<Scene> {
    let mut samples = digests().into_iter().map(|(_, notification)| notification);
    let mut named = |title, slug| samples.next().map(|notification| scene(title, slug, notification));
    let mut scenes: Vec<Scene> = [
        named("Several tenants, sent late", "several"),
        named("One source", "one"),
        named("A period in which nothing happened", "nothing"),
    ]
    .into_iter()
    .flatten()
    .collect();
    if let Some(digest) = scenes.get(1).and_then(|scene| scene.notification.digest.clone()) {
        let mut digest = (*digest).clone();
        let failing = digest.failing.first.clone();
        let hostile = |name: &&str| failing.first().map(|one| Failing { profile: (*name).to_owned(), ..one.clone() });
        digest.failing.first = HOSTILE.iter().filter_map(hostile).collect();
        (digest.name, digest.recovered) = (HOSTILE[0].into(), Listed::default());
        scenes.push(scene("Hostile names", "hostile", Notification::of_digest(Arc::new(digest), now())));
    }
    scenes
}

const fn scene(title: &'static str, slug: &'static str, notification: Notification) -> Scene {
    Scene { title, slug, notification }
}

fn rule() -> RuleFacts {
    let labels = [("runbook", "https://wiki.contoso.example/failed-scans"), ("team", "collaboration")];
    RuleFacts {
        name: "scan-failed".into(),
        description: "A scan failed, or finished with exceptions.".into(),
        severity: Severity::Critical,
        labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        template: None,
    }
}

fn job(n: usize) -> Job {
    // Whole minutes apart; there are at most MANY of them.
    let minutes = i64::try_from(n).unwrap_or_default();
    let finished = now() - SignedDuration::from_secs(68 + 420 * minutes);
    Job {
        source: Name::from("contoso"),
        id: format!("Scan20240926{n:012}"),
        kind: Some(JobType::Microsoft365),
        state: STATES[n % STATES.len()],
        started: Some(finished - SignedDuration::from_secs(754 + 97 * (minutes % 7))),
        finished: Some(finished),
        profile: PROFILES[n % PROFILES.len()].into(),
        category: Some(Category::Microsoft365),
        extension: Value::Null,
    }
}

fn alerts(kind: NotificationKind, rule: &RuleFacts, jobs: Vec<Job>) -> Notification {
    let (key, channel) = ("msg_preview".into(), Name::from("preview"));
    Notification { key, channel, ..Notification::sample(kind, rule, jobs, now()) }
}
