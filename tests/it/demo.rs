//! `jobrelay demo`: what a newcomer sees first must work on any machine, and end as it should.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use crate::common::{SOON, command, text};

/// How long a day at twenty times the usual speed may take, on a machine with much else to do.
const WITHIN: Duration = Duration::from_secs(30);

struct Stage {
    folder: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        let stage = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(stage.path("tmp")).unwrap();
        stage
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn demo(&self, args: &[&str]) -> Command {
        let mut command = command(self.folder.path());
        command.arg("demo").args(["--date", "2026-03-02"]).args(args).env("TMPDIR", self.path("tmp"));
        command
    }

    fn leftovers(&self) -> Vec<String> {
        names(&self.path("tmp"))
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The messages under a heading, each up to the next one.
fn messages<'t>(stdout: &'t str, place: &str) -> Vec<&'t str> {
    stdout.split("\n── ").filter(|block| block.starts_with(place)).collect()
}

fn wait(mut child: Child) -> Output {
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > SOON {
            child.kill().unwrap();
            panic!("it does not end");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().unwrap()
}

#[test]
fn a_day_shows_the_failed_scan_on_every_channel_and_ends_by_itself() {
    let stage = Stage::new();
    let began = Instant::now();
    let output = stage.demo(&["--once", "--speed", "20", "--out", "mails"]).output().unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{stdout}{stderr}");
    assert!(began.elapsed() < WITHIN, "it took {:?}", began.elapsed());

    for place in ["Slack", "Microsoft Teams", "Mail", "Webhook"] {
        let told = messages(&stdout, place);
        let of_it = |message: &&&str| message.contains("scan exchange mailboxes") && !message.contains("scan-recovered");
        let failed = told.iter().filter(of_it).count();
        assert_eq!(failed, 1, "{place}:\n{stdout}{stderr}");
    }
    assert!(messages(&stdout, "Webhook").iter().all(|message| message.contains("✓ signature verified")), "{stdout}");
    let told = |place: &str, what: &str| messages(&stdout, place).iter().filter(|message| message.contains(what)).count();
    assert_eq!(told("Microsoft Teams", "scan-recovered"), 1, "{stdout}");
    assert_eq!(told("Slack", "No scan of \"scan google gmail\" has finished in time"), 1, "{stdout}");
    assert!(stdout.contains("Delivered    everything"), "{stdout}");
    assert!(!stdout.contains('\x1b'), "no colours into a pipe");
    assert!(stdout.lines().chain(stderr.lines()).all(|line| line.chars().count() <= 140), "{stdout}{stderr}");
    assert!(stderr.contains("01:27  ✗ scan exchange mailboxes failed after 7m"), "{stderr}");
    assert!(!stderr.contains("ERROR"), "{stderr}");

    let index = stage.path("mails/index.html");
    for said in [&stdout, &stderr] {
        assert!(said.contains("mails/index.html"), "{said}");
    }
    let list = fs::read_to_string(&index).unwrap();
    let mails: Vec<String> = names(&stage.path("mails")).into_iter().filter(|name| name != "index.html").collect();
    assert_eq!(mails.len(), messages(&stdout, "Mail").len());
    for mail in &mails {
        assert!(list.contains(mail.as_str()) && stdout.contains(mail.as_str()), "{mail}");
    }
    assert_eq!(stage.leftovers(), Vec::<String>::new(), "its own folder is gone");
}

#[test]
fn a_reader_that_goes_away_ends_it_without_a_fuss() {
    let stage = Stage::new();
    let mut child = stage.demo(&["--speed", "1000"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let output = wait(child);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert!(stderr.contains("--speed 1000 is beyond what the demo can do (0.01 to 60): it goes at 60"), "{stderr}");
    assert_eq!(stage.leftovers().len(), 1, "the mails, in a folder of their own: {:?}", stage.leftovers());
}

#[test]
fn an_interrupt_ends_it_with_a_summary() {
    let stage = Stage::new();
    let mut child = stage.demo(&["--speed", "10", "--out", "mails"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("Slack") {
        line.clear();
        assert!(stdout.read_line(&mut line).unwrap() > 0, "it ended too soon");
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    let output = wait(child);
    assert_eq!(output.status.code(), Some(0), "{rest}{}", text(&output.stderr));
    assert!(rest.contains("The day in sum"), "{rest}");
    assert_eq!(stage.leftovers(), Vec::<String>::new());
}

#[test]
fn what_can_not_be_played_is_a_wrong_command_line() {
    let stage = Stage::new();
    for args in [["--date", "9999-12-31"], ["--date", "tomorrow"], ["--speed", "fast"], ["--speed", "NaN"]] {
        let output = command(stage.folder.path()).arg("demo").args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", text(&output.stderr));
    }
}

#[test]
fn a_folder_that_holds_someone_elses_page_is_refused() {
    let stage = Stage::new();
    fs::create_dir(stage.path("mails")).unwrap();
    fs::write(stage.path("mails/index.html"), "my home page").unwrap();
    let output = stage.demo(&["--once", "--out", "mails"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("is not the demo's own: name another folder with --out"), "{}", text(&output.stderr));
    assert_eq!(stage.leftovers(), Vec::<String>::new());
}
