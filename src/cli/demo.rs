//! `jobrelay demo`

use std::{
    io::{IsTerminal, stderr, stdout},
    path::PathBuf,
    process::ExitCode,
};

use jiff::{civil::Date, tz::TimeZone};
use tokio_util::sync::CancellationToken;

use super::output::{colour, say};
use crate::{
    app::SystemClock,
    clock::Clock,
    demo::{self, Look, Options, Speed},
};

pub const EXAMPLES: &str = "\
Examples:
  jobrelay demo                                   until Ctrl-C
  jobrelay demo --once --speed 6                  one day in ten seconds
  jobrelay demo --once --out mails 2>/dev/null    the messages alone; the mails as HTML in mails/";

/// Options of `demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How fast the day goes by: 1 is a day in a minute, 2 twice as fast; from 0.01 to 60
    #[arg(long, value_name = "N", default_value_t = 1.0, allow_negative_numbers = true, value_parser = number)]
    speed: f64,

    /// End after one day, with exit code 0 if everything was delivered
    #[arg(long)]
    once: bool,

    /// Write the mails as HTML files there; without it, into a fresh folder among the system's temporary ones
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// The day that is played, as YYYY-MM-DD in UTC; today where nothing is said. With a day, each run shows the same
    #[arg(long, value_name = "DATE", value_parser = day)]
    date: Option<Date>,
}

/// Logs below this are left out unless they are asked for: the show is on the terminal too.
pub const LOG_LEVEL: &str = "warn";

/// The years that a day may lie in: far from where the calendars of the protocols end.
const YEARS: std::ops::RangeInclusive<i16> = 2000..=2999;

fn number(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|number: &f64| !number.is_nan()).ok_or_else(|| "write a number, as in 2 or 0.5".into())
}

fn day(text: &str) -> Result<Date, String> {
    let date: Option<Date> = text.parse().ok();
    let known = date.filter(|date| YEARS.contains(&date.year()));
    known.ok_or_else(|| format!("write a day as in 2026-03-02, from the year {} to {}", YEARS.start(), YEARS.end()))
}

pub fn run(args: Args) -> ExitCode {
    let (speed, told) = Speed::nearest(args.speed);
    if told {
        say(format_args!(
            "--speed {} is beyond what the demo can do ({} to {}): it goes at {}",
            args.speed,
            Speed::SLOWEST,
            Speed::FASTEST,
            speed.get()
        ));
    }
    let columns = if stdout().is_terminal() { terminal_size::terminal_size().map(|(width, _)| usize::from(width.0)) } else { None };
    let options = Options {
        speed,
        once: args.once,
        out: args.out,
        date: args.date.unwrap_or_else(|| SystemClock.now().to_zoned(TimeZone::UTC).date()),
        look: Look::new(columns, colour(stdout().is_terminal()), colour(stderr().is_terminal())),
    };
    let runtime = match super::runtime() {
        Ok(runtime) => runtime,
        Err(code) => return code,
    };
    let result = runtime.block_on(async {
        let stop = CancellationToken::new();
        super::run::cancel_on_signals(&stop, None)?;
        demo::run(options, stop).await.map(|delivered| if delivered { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    });
    super::exit(result)
}
