//! The demo: a simulated tenant behind real HTTP, stand-ins for the channels, and the real program between them.
//!
//! ```text
//!  script ──▶ tenant ──HTTP──▶ the program (app::run, its own config and store) ──HTTP, SMTP──▶ stand-ins ──▶ show
//!    └──────────────────────────────── narration ─────────────────────────────────────────────────────────────┘
//! ```
//!
//! All of them share one clock, on which a day takes a minute.

mod clock;
mod folder;
mod mail;
mod pages;
mod scene;
mod screen;
mod script;
mod show;
mod stand_ins;
mod summary;
mod tenant;
pub mod view;

use std::{path::PathBuf, sync::Arc, time::Duration};

use jiff::civil::Date;
use tokio::{net::TcpListener, sync::mpsc, task::AbortHandle};
use tokio_util::sync::CancellationToken;

pub use screen::Look;

use crate::{
    app,
    clock::Clock,
    config::{self, Config},
    store::sqlite::{Access, Sqlite},
};
use clock::SimulatedClock;
use folder::Passing;
use pages::Pages;
use scene::Props;
use screen::Screen;
use script::Script;
use show::{Ended, Show};
use stand_ins::{Arrived, StandIns};
use tenant::Tenant;

/// How many simulated seconds pass in one at the default speed: a day in a minute.
const SECONDS_A_SECOND: f64 = 1_440.0;
/// The steps that simulated time moves in, on the machine's clock: six minutes at the default speed.
const TICK: Duration = Duration::from_millis(250);
/// At a high speed the steps are shorter, but never less than the program can answer within.
const TICK_LEAST: Duration = Duration::from_millis(50);
/// How long the program may take to read the list for the first time.
const START_WITHIN: Duration = Duration::from_secs(30);

/// How fast the day goes by: 1 is a day in a minute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speed(f64);

impl Speed {
    /// A day in 100 minutes.
    pub const SLOWEST: f64 = 0.01;
    /// A day in a second: beyond it the program polls too seldom for anything to be seen running.
    pub const FASTEST: f64 = 60.0;

    /// The nearest speed that the demo can go at, and whether that is not the one wanted.
    #[must_use]
    pub fn nearest(wanted: f64) -> (Self, bool) {
        // What is no number at all is as slow as can be.
        let speed = if wanted.is_nan() { Self::SLOWEST } else { wanted.clamp(Self::SLOWEST, Self::FASTEST) };
        (Self(speed), !(Self::SLOWEST..=Self::FASTEST).contains(&wanted))
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }

    fn factor(self) -> f64 {
        self.0 * SECONDS_A_SECOND
    }

    fn tick(self) -> Duration {
        if self.0 <= 1.0 { TICK } else { TICK.div_f64(self.0).max(TICK_LEAST) }
    }
}

/// What the user chose.
#[derive(Debug, Clone)]
pub struct Options {
    /// How fast.
    pub speed: Speed,
    /// Whether one day is enough.
    pub once: bool,
    /// Where the mails are written; none makes a fresh folder.
    pub out: Option<PathBuf>,
    /// The first day, in UTC.
    pub date: Date,
    /// What the terminal is like.
    pub look: Look,
}

/// Plays until `stop` is cancelled, or for one day. Whether everything was delivered, as far as the day went.
///
/// # Errors
/// Why it could not start or go on, in one line.
pub async fn run(options: Options, stop: CancellationToken) -> Result<bool, String> {
    let mut screen = Screen::new(options.look);
    let folder = Passing::new()?;
    let pages = Pages::open(options.out.map_or_else(|| folder::fresh("jobrelay-demo-mails"), Ok)?)?;
    let script = Script::new(options.date, options.once.then_some(1));
    let clock = Arc::new(SimulatedClock::new(script.begins(), options.speed.factor(), options.speed.tick()));
    let (props, world, desk) = open_world(script, &clock).await?;
    show::announce(&mut screen, &pages, &world.tenant, options.speed, options.once);

    let mut config = configure(&folder, &props)?;
    for source in &mut config.sources {
        // A little more often than time moves, so that no step of it is missed.
        source.poll_every = options.speed.tick().mul_f64(0.8);
    }
    let store_path = config.storage.path.clone();
    let ends = CancellationToken::new();
    // Whatever goes wrong here, the program is told to stop.
    let _told = ends.clone().drop_guard();
    let shared: Arc<dyn Clock> = clock.clone();
    let mut program = tokio::spawn(app::run(config, shared, ends.clone(), None));
    let died = |result: Result<Result<(), String>, tokio::task::JoinError>| match result {
        Ok(Ok(())) => "the program ended by itself".to_owned(),
        Ok(Err(why)) => format!("the program failed: {why}"),
        Err(error) => format!("the program failed: {error}"),
    };

    tokio::select! {
        () = stop.cancelled() => {
            ends.cancel();
            return (&mut program).await.map_err(|error| error.to_string())?.map(|()| true);
        }
        result = &mut program => return Err(died(result)),
        () = world.tenant.read() => {}
        () = tokio::time::sleep(START_WITHIN) => {
            return Err(format!("the program did not read the list within {} s: see the log with --log-level info", START_WITHIN.as_secs()));
        }
    }
    clock.start();
    let store = Sqlite::open(&store_path, Access::Beside).map_err(|error| error.to_string())?;
    let mut show = Show::new(screen, pages, script, clock, desk);
    let ended = tokio::select! {
        result = &mut program => return Err(died(result)),
        ended = show.play(&store, &stop) => ended?,
    };
    ends.cancel();
    (&mut program).await.map_err(|error| format!("the program failed: {error}"))??;
    // What was under way when it was told to stop has arrived by now.
    let complete = show.close(&store).await?;
    Ok(complete || ended != Ended::DayOver)
}

/// What listens while the demo runs.
struct World {
    tenant: Arc<Tenant>,
    servers: Vec<AbortHandle>,
}

impl Drop for World {
    fn drop(&mut self) {
        for server in &self.servers {
            server.abort();
        }
    }
}

type Desk = mpsc::UnboundedReceiver<(jiff::Timestamp, Arrived)>;

/// Opens the tenant and the stand-ins on free loopback ports; with what the program's environment says of them.
async fn open_world(script: Script, clock: &Arc<SimulatedClock>) -> Result<(Props, World, Desk), String> {
    let (send, desk) = mpsc::unbounded_channel();
    let (tenant_at, hooks_at, mail_at) = (listen().await?, listen().await?, listen().await?);
    let address = |listener: &TcpListener| listener.local_addr().map_err(|error| format!("can't tell an address: {error}"));
    let (hooks, smtp) = (format!("http://{}", address(&hooks_at)?), format!("smtp://{}", address(&mail_at)?));
    let tenant = Tenant::open(script, Arc::clone(clock), &tenant_at)?;
    // 24 bytes, the least that the Standard Webhooks scheme asks of a secret.
    let secret = format!("whsec_{}", base64::Engine::encode(&base64::engine::general_purpose::STANDARD, rand::random::<[u8; 24]>()));
    let stand_ins = Arc::new(StandIns { clock: Arc::clone(clock), secret: secret.clone(), desk: send.clone() });
    let props = Props::default()
        .with("TENANT_URL", tenant.url())
        .with("AOS_CLIENT_ID", tenant.client_id.clone())
        .with("AOS_CLIENT_SECRET", tenant.client_secret.clone())
        .with("SLACK_WEBHOOK_URL", hooks.clone() + stand_ins::SLACK)
        .with("TEAMS_WORKFLOW_URL", hooks.clone() + stand_ins::TEAMS)
        .with("TICKET_HOOK_URL", hooks + stand_ins::WEBHOOK)
        .with("TICKET_HOOK_SECRET", secret)
        .with("SMTP_URL", smtp);
    let (tenant_app, hooks_app) = (Arc::clone(&tenant).router(), stand_ins.router());
    let mail_clock = Arc::clone(clock);
    let servers = vec![
        tokio::spawn(async move { axum::serve(tenant_at, tenant_app).await }).abort_handle(),
        tokio::spawn(async move { axum::serve(hooks_at, hooks_app).await }).abort_handle(),
        tokio::spawn(mail::serve(mail_at, move |envelope| {
            // With nobody at the desk, the show is over.
            let _ = send.send((mail_clock.now(), Arrived::Mail(envelope)));
        }))
        .abort_handle(),
    ];
    Ok((props, World { tenant, servers }, desk))
}

async fn listen() -> Result<TcpListener, String> {
    TcpListener::bind("127.0.0.1:0").await.map_err(|error| format!("can't listen on 127.0.0.1: {error}"))
}

/// Writes the config and reads it as `run` would.
fn configure(folder: &Passing, props: &Props) -> Result<Config, String> {
    let path = folder.path().join("jobrelay.yaml");
    let rules = folder.path().join("rules");
    let written = std::fs::write(&path, scene::CONFIG)
        .and_then(|()| std::fs::create_dir(&rules))
        .and_then(|()| std::fs::write(rules.join("rules.yaml"), scene::RULES));
    written.map_err(|error| format!("can't write in {}: {error}", folder.path().display()))?;
    let (config, faults) = config::load(&path, props);
    config.ok_or_else(|| format!("the demo's own config is wrong:\n{}", config::report(&faults, false)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_beyond_the_bounds_is_the_nearest_one() {
        for (wanted, speed, told) in [
            (1.0, 1.0, false),
            (0.25, 0.25, false),
            (0.0, Speed::SLOWEST, true),
            (-3.0, Speed::SLOWEST, true),
            (1e9, Speed::FASTEST, true),
            (f64::INFINITY, Speed::FASTEST, true),
            (f64::NAN, Speed::SLOWEST, true),
        ] {
            assert_eq!(Speed::nearest(wanted), (Speed(speed), told), "{wanted}");
        }
        assert_eq!(Speed(1.0).tick(), TICK);
        assert_eq!(Speed(60.0).tick(), TICK_LEAST);
    }
}
