//! Every channel puts sample notifications into the words configured for it, so that a template which can't be used is
//! found before an alert needs it. Nothing is sent.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use jiff::Timestamp;

use super::entries::Channel;
use crate::{
    channel::{Tools, Wording},
    document::{Fault, Faults, Place, Source},
    domain::{Alert, Category, Job, JobType, Name, Notification, NotificationKind, RuleFacts, Severity, State},
    http::Http,
    rules::RuleSet,
    template::{Part, Templates},
};

/// The time the samples are of. Any would do: what a template makes of it is not looked at.
const SAMPLE_TIME: i64 = 1_767_225_600;

/// Connects every channel (which does no I/O) and composes the samples in each set that can reach it.
pub fn run(
    channels: &[Channel<'_>],
    rules: &RuleSet,
    templates: &Arc<Templates>,
    folder: &Path,
    public_url: Option<&str>,
    faults: &mut Faults,
) {
    let tools = match Http::new() {
        Ok(http) => Tools { http, templates: Arc::clone(templates), public_url: public_url.map(str::to_owned) },
        Err(why) => {
            faults.push(Fault::error(&Place::file(folder), why));
            return;
        }
    };
    for channel in channels {
        let config = &channel.config;
        let live = match config.settings.connect(&config.name, &config.common, &tools) {
            Ok(live) => live,
            Err(why) => {
                faults.error(channel.at, format!("the channel `{}` can't be used: {why}", config.name));
                continue;
            }
        };
        for set in sets(channel, rules) {
            for notification in samples(&config.name, set) {
                if let Err(why) = live.compose(&notification, &Wording::Configured, notification.created) {
                    let set = set.unwrap_or(&config.common.template);
                    let place = users_file(set, channel.kind, &why, templates, folder).unwrap_or_else(|| channel.at.place.clone());
                    faults.push(Fault::error(&place, format!("the channel `{}` can't use the template set `{set}`: {why}", config.name)));
                    break;
                }
            }
        }
    }
}

/// The sets that can reach a channel: its own, and those its rules ask for.
fn sets<'a>(channel: &Channel<'_>, rules: &'a RuleSet) -> Vec<Option<&'a str>> {
    let mut sets = vec![None];
    for rule in rules.rules().iter().filter(|rule| rule.notify.contains(&channel.config.name)) {
        let set = rule.facts.template.as_deref();
        if !sets.contains(&set) {
            sets.push(set);
        }
    }
    sets
}

/// The user's file that a failure is about: the one it names, else the one made for this kind of channel.
fn users_file(set: &str, kind: &str, why: &str, templates: &Templates, folder: &Path) -> Option<Place> {
    const FILES: [(Part, &str); 6] = [
        (Part::Slack, "slack.json.hbs"),
        (Part::Teams, "teams.json.hbs"),
        (Part::EmailSubject, "email.subject.hbs"),
        (Part::EmailHtml, "email.html.hbs"),
        (Part::EmailText, "email.txt.hbs"),
        (Part::Webhook, "webhook.json.hbs"),
    ];
    let users = || FILES.iter().filter(|(part, _)| templates.is_users(set, *part)).map(|(_, file)| *file);
    let file = users().find(|file| why.contains(file)).or_else(|| users().find(|file| file.starts_with(kind)))?;
    let path = folder.join("templates").join(set).join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    Some(Place { source: Arc::new(Source { path, text }), line: 1, column: 1, bytes: 0..0 })
}

/// One alert; a roll-up of three; and one about a job of which the feed said little.
fn samples(channel: &Name, set: Option<&str>) -> [Notification; 3] {
    let now = Timestamp::from_second(SAMPLE_TIME).unwrap_or(Timestamp::UNIX_EPOCH);
    let rule = RuleFacts {
        name: "sample".into(),
        description: "A sample.".into(),
        severity: Severity::Warning,
        labels: BTreeMap::from([("runbook".to_owned(), "https://wiki.contoso.example/scans".to_owned())]),
        template: set.map(str::to_owned),
    };
    let whole = Job {
        source: Name::from("sample"),
        id: "Scan00000000000000000000".into(),
        kind: Some(JobType::Microsoft365),
        state: State::Failed,
        started: now.checked_sub(Duration::from_secs(754)).ok(),
        finished: Some(now),
        profile: "sample scan profile".into(),
        category: Some(Category::Microsoft365),
        extension: serde_json::Value::Null,
    };
    let bare = Job { kind: None, state: State::Unknown(6), started: None, finished: None, category: None, ..whole.clone() };
    let alert = |id, job: &Job| Alert { id, run: 1, rule: rule.clone(), job: job.clone(), created: now };
    let notification = |kind, alerts: Vec<Alert>| Notification {
        id: 1,
        key: "msg_sample".into(),
        channel: channel.clone(),
        kind,
        rule: rule.clone(),
        total: alerts.len() as u64,
        alerts,
        created: now,
        attempts: 0,
        ended: Vec::new(),
    };
    [
        notification(NotificationKind::Alert, vec![alert(1, &whole)]),
        notification(NotificationKind::RollUp, vec![alert(1, &whole), alert(2, &whole), alert(3, &bare)]),
        notification(NotificationKind::Alert, vec![alert(1, &bare)]),
    ]
}
