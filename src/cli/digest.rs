//! `jobrelay digest NAME`: one made now, to be looked at or to be sent.

use std::{path::Path, process::ExitCode, sync::Arc};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use clap::ValueEnum;
use jiff::Timestamp;
use serde_json::json;

use super::{
    output::print,
    since::{self, Since, since_help},
};
use crate::{
    app::SystemClock,
    channel::{Tools, picture},
    clock::Clock,
    config::{Config, DigestConfig},
    digest::{Period, Plan, Scope, gather},
    domain::Notification,
    http::Http,
    store::{
        DigestStore,
        sqlite::{Access, Sqlite},
    },
    template::{BuiltIn, PICTURE, Part, view},
};

pub const EXAMPLES: &str = "\
Examples:
  jobrelay digest weekday-morning                                what it would say now
  jobrelay digest weekday-morning --since 7d                     the same for the last week
  jobrelay digest weekday-morning --format html > digest.html    as its mail looks
  jobrelay digest weekday-morning --send                         sends it to its channels";

/// Options of `digest`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The digest, as the config names it
    #[arg(value_name = "NAME")]
    name: String,

    #[arg(long, value_name = "WHEN", value_parser = since::since, help = since_help!("; by the digest's own clock where neither Z nor an offset stands [default: where its last one ended]"))]
    since: Option<Since>,

    /// Print it (the default)
    #[arg(long, conflicts_with = "send")]
    print: bool,

    /// Send it to its channels at once, and say what each answered
    #[arg(long)]
    send: bool,

    /// How it is printed: text (its mail's text part), json (what templates see), html (its mail's page)
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT", hide_possible_values = true, conflicts_with = "send")]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The text part of its mail
    Text,
    /// What templates see
    Json,
    /// The page of its mail
    Html,
}

pub fn run(args: &Args, config: &Path) -> ExitCode {
    super::with_config(config, async |config| digest(args, config).await)
}

async fn digest(args: &Args, config: &Config) -> Result<ExitCode, String> {
    let names = || config.digests.iter().map(|digest| digest.name.as_str()).collect::<Vec<_>>();
    let chosen = config.digests.iter().find(|digest| *digest.name == *args.name);
    let chosen = chosen.ok_or_else(|| format!("the config {}", super::no_such("digest", &args.name, &names())))?;
    let now = SystemClock.now();
    let notification = made(chosen, args.since.as_ref(), config, now).await?;
    if args.send {
        return send(chosen, config, &notification).await;
    }
    let shown = notification.entries();
    let data = view(&notification, shown, now, config.server.public_url.as_deref(), None);
    let part = |part| config.templates.render(BuiltIn::Digest.name(), part, &data).map_err(|failure| failure.to_string());
    match args.format {
        Format::Text => print(format_args!("{}", part(Part::EmailText)?.trim_end())),
        Format::Json => {
            let data = data.data();
            let data = json!({ "period": data["period"], "totals": data["totals"], "digest": data["digest"] });
            print(format_args!("{data:#}"));
        }
        Format::Html => {
            let days = notification.digest.as_ref().map(|digest| digest.days.clone()).unwrap_or_default();
            let address = picture(&days).map(|png| format!("data:image/png;base64,{}", BASE64_STANDARD.encode(png)));
            print(format_args!("{}", part(Part::EmailHtml)?.trim_end().replace(PICTURE, &address.unwrap_or_default())));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The digest of the time since its last one, or of as long as is asked for.
async fn made(chosen: &DigestConfig, since: Option<&Since>, config: &Config, now: Timestamp) -> Result<Notification, String> {
    let store = Sqlite::open(&config.storage.path, Access::Beside).map_err(|error| error.to_string())?;
    let failed = |error: crate::store::StoreError| error.to_string();
    let plan = Plan { schedule: chosen.schedule.clone(), zone: chosen.timezone.clone() };
    let since = match since {
        Some(since) => since.before(now, &chosen.timezone),
        None => match store.digest_state(&chosen.name).await.map_err(failed)? {
            Some(state) => state.ended.min(now),
            None => plan.last(now).unwrap_or(now),
        },
    };
    if since > now {
        return Err("the period ends before it begins: see --since".into());
    }
    let scope = Scope {
        name: chosen.name.clone(),
        sources: config.sources.iter().map(|source| (source.name.clone(), source.poll_every)).collect(),
        when: chosen.when.clone(),
        zone: chosen.timezone.clone(),
    };
    let period = Period { since, until: now, due: None, late: false };
    let digest = gather(&store, &scope, &period).await.map_err(failed)?;
    Ok(Notification::of_digest(Arc::new(digest), now))
}

async fn send(chosen: &DigestConfig, config: &Config, notification: &Notification) -> Result<ExitCode, String> {
    let tools = Tools { http: Http::new()?, templates: Arc::clone(&config.templates), public_url: config.server.public_url.clone() };
    let mut code = ExitCode::SUCCESS;
    for channel in config.channels.iter().filter(|channel| chosen.notify.contains(&channel.name)) {
        let live =
            channel.settings.connect(&channel.name, &channel.common, &tools).map_err(|why| format!("channel {}: {why}", channel.name))?;
        // It is not the period's own one, and no receiver may take it for that.
        let key = format!("msg_asked_{:032x}", rand::random::<u128>());
        let notification = Notification { id: 0, key, channel: channel.name.clone(), ..notification.clone() };
        if super::send::deliver(&channel.name, &*live, &notification).await? != ExitCode::SUCCESS {
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}
