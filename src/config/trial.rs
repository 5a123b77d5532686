//! Every channel puts sample notifications into the words configured for it, so that a template which can't be used is
//! found before an alert needs it. Nothing is sent.

use std::{path::Path, sync::Arc};

use super::entries::Channel;
use crate::{
    channel::{Tools, Wording},
    document::{Fault, Faults, Place},
    domain::{Name, Notification},
    http::Http,
    rules::RuleSet,
    template::{BuiltIn, Part, Templates, digests, notices, samples},
};

/// The channels that are sent what no rule sends.
#[derive(Debug, Clone, Copy)]
pub struct Told<'t> {
    /// Those that get notices.
    pub notices: &'t [Name],
    /// Those that get digests.
    pub digests: &'t [Name],
}

/// Connects every channel (which does no I/O) and composes the samples in each set that can reach it; notices and digests for
/// those that are `told` of them.
pub fn run(
    channels: &[Channel<'_>],
    rules: &RuleSet,
    told: Told<'_>,
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
        let tried = |samples: Vec<(&'static str, Notification)>, set: Option<&str>| {
            samples.into_iter().find_map(|(what, mut notification)| {
                notification.channel = config.name.clone();
                notification.rule.template = set.map(str::to_owned);
                let why = live.compose(&notification, &Wording::Configured, notification.created).err()?;
                Some((what, why))
            })
        };
        for set in sets(channel, rules) {
            if let Some((_, why)) = tried(samples(), set) {
                let set = set.unwrap_or(&config.common.template);
                let place = users_file(set, channel.kind, &why, templates).unwrap_or_else(|| channel.at.place.clone());
                faults.push(Fault::error(&place, format!("the channel `{}` can't use the template set `{set}`: {why}", config.name)));
            }
        }
        if told.digests.contains(&config.name)
            && let Some((what, why)) = tried(digests(), None)
        {
            let set = BuiltIn::Digest.name();
            let place = users_file(set, channel.kind, &why, templates).unwrap_or_else(|| channel.at.place.clone());
            faults.push(Fault::error(&place, format!("the channel `{}` can't put {what} into words: {why}", config.name)));
        }
        if told.notices.contains(&config.name)
            && let Some((what, why)) = tried(notices(), None)
        {
            let set = BuiltIn::Notice.name();
            let place = users_file(set, channel.kind, &why, templates).unwrap_or_else(|| channel.at.place.clone());
            let fault = Fault::error(&place, format!("the channel `{}` can't put {what} into words: {why}", config.name));
            faults.push(fault.hint("a notice has no job: put what is about jobs inside {{#unless notice}}…{{/unless}}"));
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
fn users_file(set: &str, kind: &str, why: &str, templates: &Templates) -> Option<Place> {
    let users = || Part::ALL.iter().filter_map(|part| Some((part.file(), templates.place(set, *part)?)));
    users().find(|(file, _)| why.contains(file)).or_else(|| users().find(|(file, _)| file.starts_with(kind))).map(|(_, place)| place)
}
