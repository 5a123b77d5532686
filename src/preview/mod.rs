//! The preview: every template set in every kind of channel, put into words by the channels themselves and drawn on one page.
//!
//! ```text
//!  scenes ──▶ channel.compose (as delivery does) ──▶ payload ──▶ slack · teams · mail · webhook ──▶ page
//! ```
//!
//! Nothing is sent: the channels are connected, which opens no connection, and asked for their words only. The page holds no
//! script and fetches nothing.

mod html;
mod page;
mod scene;
mod slack;
mod teams;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use crate::{
    channel::{self, Channel, Common, Payload, Tools, Wording},
    config,
    document::{Fault, Faults, Fields, Level, Source, parse},
    domain::Name,
    http::Http,
    template::{BuiltIn, Part, Templates},
};
use scene::Scene;

pub use page::MARK;

/// How each kind is called on the page, and settings with which it can be asked for its words.
const KINDS: &[(&str, &str, &str)] = &[
    ("slack", "Slack", "url: https://hooks.slack.com/services/preview"),
    ("teams", "Microsoft Teams", "url: https://preview.api.powerplatform.com/workflows?sig=preview"),
    ("email", "Email", "{ smtp: 'smtp://localhost', from: jobrelay@contoso.example, to: [ops@contoso.example] }"),
    ("webhook", "Webhook", "url: https://tickets.contoso.example/hook"),
];

/// What the page is made of.
#[derive(Debug)]
pub struct Words<'a> {
    /// Every set.
    pub templates: Arc<Templates>,
    /// What was found wrong with the user's files when they were read.
    pub faults: &'a Faults,
    /// The console's address; none leaves links to it out.
    pub public_url: Option<String>,
    /// Where the sets come from, in a sentence or two.
    pub about: String,
}

/// The page, and what of it went wrong.
#[derive(Debug)]
pub struct Preview {
    /// One self-contained HTML document.
    pub html: String,
    /// How many sets it shows.
    pub sets: usize,
    /// How many messages it shows.
    pub messages: usize,
    /// Each reason why a set has no words for a kind of channel, with the first message it meets, in one line.
    pub failures: Vec<String>,
}

/// What is wrong with the user's files, by set and part.
type Broken = BTreeMap<(String, Part), Vec<Fault>>;

/// A kind of channel that can be asked for its words.
struct Kind {
    name: &'static str,
    label: &'static str,
    live: Arc<dyn Channel>,
}

impl Kind {
    /// The files of a set that it uses.
    fn parts(&self) -> impl Iterator<Item = Part> {
        Part::ALL.iter().copied().filter(|part| part.file().split('.').next() == Some(self.name))
    }
}

/// One set, with what is to be seen of it.
struct Set {
    name: String,
    /// Those of its files that are the user's.
    users: Vec<&'static str>,
    /// What is wrong with its files, as `check` tells it.
    report: Option<String>,
    scenes: Vec<(Scene, Vec<Message>)>,
}

/// One message in one kind of channel.
struct Message {
    kind: &'static str,
    label: &'static str,
    /// Whether its words are the user's.
    users: bool,
    /// Why they are not those of the set.
    fault: Option<String>,
    /// Whether that is because a file of its can't be read at all.
    unread: bool,
    /// What is sent, or why not even the built-in words could be used.
    payload: Result<Payload, String>,
}

/// Makes the page.
///
/// # Errors
/// A kind of channel can't be used on this machine, in one line.
pub fn render(words: &Words<'_>) -> Result<Preview, String> {
    let tools = Tools { http: Http::new()?, templates: Arc::clone(&words.templates), public_url: words.public_url.clone() };
    let kinds = channel::KINDS.iter().map(|kind| connect(kind, &tools)).collect::<Result<Vec<_>, _>>()?;
    let (broken, others) = sort_out(words.faults);
    let mut names = words.templates.sets();
    // The built-in ones first: every other set stands on them.
    names.retain(|name| BuiltIn::ALL.iter().all(|built_in| built_in.name() != name));
    names.splice(0..0, BuiltIn::ALL.iter().map(|set| set.name().to_owned()));
    let sets: Vec<Set> = names.into_iter().map(|name| set(name, &kinds, &words.templates, &broken)).collect();
    let mut failures = Vec::new();
    let mut told = BTreeSet::new();
    for set in &sets {
        for (scene, messages) in &set.scenes {
            for message in messages {
                let why = message.payload.as_ref().err().or(message.fault.as_ref());
                let news = why.filter(|why| told.insert((&set.name, message.kind, *why)));
                failures.extend(news.map(|why| format!("set {}, {}, {}: {why}", set.name, message.label, lower_first(scene.title))));
            }
        }
    }
    let messages = sets.iter().flat_map(|set| &set.scenes).map(|(_, messages)| messages.len()).sum();
    let html = page::page(&sets, &kinds, others.as_deref(), &words.about);
    Ok(Preview { html, sets: sets.len(), messages, failures })
}

fn lower_first(title: &str) -> String {
    let mut letters = title.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// A live channel of a kind, with settings of this page's own: nothing of it will ever be sent.
fn connect(kind: &channel::Kind, tools: &Tools) -> Result<Kind, String> {
    let unfit = || format!("the preview has no settings for the kind of channel `{}`", kind.name);
    let (_, label, settings) = KINDS.iter().find(|(name, ..)| *name == kind.name).ok_or_else(unfit)?;
    let source = Arc::new(Source { path: "preview".into(), text: (*settings).to_owned() });
    let mut faults = Faults::default();
    let node = parse(&source, &mut faults).ok_or_else(unfit)?;
    let mut fields = Fields::open(&node, "settings", &mut faults).ok_or_else(unfit)?;
    let settings = (kind.read)(&mut fields, &mut faults).ok_or_else(unfit)?;
    let common = Common { template: BuiltIn::Alert.name().into(), timeout: Duration::from_secs(1) };
    let live = settings.connect(&Name::from("preview"), &common, tools).map_err(|why| format!("{label}: {why}"))?;
    Ok(Kind { name: kind.name, label, live })
}

/// The faults of each set's files, and, as a report, all others.
fn sort_out(faults: &Faults) -> (Broken, Option<String>) {
    let mut broken: Broken = BTreeMap::new();
    let mut others = Faults::default();
    for fault in faults.sorted() {
        let path = &fault.place.source.path;
        let name = path.file_name().and_then(|name| name.to_str());
        let folder = path.parent().and_then(|folder| folder.file_name()).and_then(|name| name.to_str());
        match (folder, name.and_then(Part::of_file)) {
            (Some(set), Some(part)) if fault.level == Level::Error => {
                broken.entry((set.to_owned(), part)).or_default().push(fault.clone());
            }
            _ => others.push(fault.clone()),
        }
    }
    let report = (!others.is_empty()).then(|| config::report(&others, false));
    (broken, report)
}

fn set(name: String, kinds: &[Kind], templates: &Templates, broken: &Broken) -> Set {
    let scenes = scene::of_set(&name);
    let messages = |scene: &Scene| kinds.iter().map(|kind| message(&name, kind, scene, templates, broken)).collect();
    let scenes: Vec<(Scene, Vec<Message>)> = scenes
        .into_iter()
        .map(|scene| {
            let messages = messages(&scene);
            (scene, messages)
        })
        .collect();
    let mut faults = Faults::default();
    broken.iter().filter(|((set, _), _)| *set == name).flat_map(|(_, faults)| faults).for_each(|fault| faults.push(fault.clone()));
    let report = (!faults.is_empty()).then(|| config::report(&faults, false));
    let users = Part::ALL.iter().filter(|part| templates.place(&name, **part).is_some()).map(|part| part.file()).collect();
    Set { name, users, report, scenes }
}

/// What the channel would send. Where the set's words can't be used, what it sends instead.
fn message(set: &str, kind: &Kind, scene: &Scene, templates: &Templates, broken: &Broken) -> Message {
    let mut notification = scene.notification.clone();
    notification.rule.template = BuiltIn::of_its_own(set).is_none().then(|| set.to_owned());
    let compose = |wording: &Wording| kind.live.compose(&notification, wording, scene::now());
    let unread = kind.parts().find_map(|part| {
        let fault = broken.get(&(set.to_owned(), part))?.first()?;
        Some(format!("templates/{set}/{} can't be used: {}", part.file(), fault.message))
    });
    let is_unread = unread.is_some();
    let composed = unread.map_or_else(|| compose(&Wording::Configured), Err);
    let (fault, payload) = match composed {
        Ok(payload) => (None, Ok(payload)),
        Err(why) => (Some(why.clone()), compose(&Wording::BuiltIn { why })),
    };
    let users = fault.is_none() && kind.parts().any(|part| templates.is_users(set, part));
    Message { kind: kind.name, label: kind.label, users, fault, unread: is_unread, payload }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_channel_and_every_scene_is_on_the_page_and_twice_the_same() {
        let faults = Faults::default();
        let page = || {
            let words = Words { templates: Arc::new(Templates::built_in()), faults: &faults, public_url: None, about: String::new() };
            render(&words).unwrap()
        };
        let preview = page();
        assert_eq!((preview.sets, preview.failures.len()), (BuiltIn::ALL.len(), 0), "{:?}", preview.failures);
        assert_eq!(preview.messages, channel::KINDS.len() * BuiltIn::ALL.iter().map(|set| scene::of_set(set.name()).len()).sum::<usize>());
        assert_eq!(preview.html, page().html);
    }
}
