//! Files and patterns made to eat time and memory: refused, or borne, within a second and 100 MiB.

use std::{
    fs,
    process::Stdio,
    time::{Duration, Instant},
};

use crate::common::{Home, text};

/// The longest that anything may take, on a machine that is busy with other tests as well.
const SOON: Duration = Duration::from_secs(5);
/// The most memory, in kB.
const MOST: u64 = 100 * 1024;

const CONFIG: &str = "sources:\n  contoso: { kind: aos_scan_jobs, client_id: a, client_secret: '${SECRET:-s}' }\nchannels:\n  hook: { kind: webhook, url: 'http://127.0.0.1:9/' }\n";

/// Runs `check`, which must end with an error or with none; what it said, and the most memory it was seen to have.
fn check(home: &Home, good: bool) -> (String, u64) {
    let began = Instant::now();
    let mut child = home.command(&["check"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let seen = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().trim_end_matches(" kB").parse().ok());
        most = most.max(seen.unwrap_or(0));
        assert!(began.elapsed() < SOON, "it is still at it after {SOON:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
    let output = child.wait_with_output().unwrap();
    let said = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.success(), good, "{said}");
    (said, most)
}

#[test]
fn a_bomb_of_a_file_takes_little_time_and_memory() {
    let laughs = ('b'..='m').fold("a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned(), |text, name| {
        let before = char::from_u32(name as u32 - 1).unwrap();
        format!("{text}{name}: &{name} [{}]\n", vec![format!("*{before}"); 9].join(","))
    });
    let merges = (0..5_000).fold("a0: &a0 { x: 1 }\n".to_owned(), |text, n| format!("{text}a{0}: &a{0} {{ <<: *a{n} }}\n", n + 1));
    let regex = |pattern: &str| format!("rules:\n  - name: a\n    when: {{ profile: '/{pattern}/' }}\n    notify: [hook]\n");
    let expression = |written: &str| format!("rules:\n  - name: a\n    when: {{ expr: '{written}' }}\n    notify: [hook]\n");
    for (name, rules) in [
        ("laughs", laughs),
        ("merges", merges),
        ("deep lists", "[".repeat(100_000)),
        ("deep maps", "{a: ".repeat(100_000)),
        ("deep items", "- ".repeat(100_000)),
        ("a large regex", regex(r"\w{1000}{1000}{1000}")),
        ("a nested regex", regex(&format!("{}a{}", "(".repeat(100_000), "*)".repeat(100_000)))),
        ("a long expression", expression(&"1+".repeat(100_000))),
        ("a nested expression", expression(&"[".repeat(990))),
        ("a costly expression", expression("job.extension.all(a, job.extension.all(b, job.extension.all(c, a != b)))")),
        ("a large template", "rules: []\n".to_owned()),
    ] {
        let home = Home::new(CONFIG, &rules);
        if name == "a large template" {
            fs::create_dir_all(home.path("templates/alert")).unwrap();
            fs::write(home.path("templates/alert/email.txt.hbs"), "{{#each jobs}}".repeat(4_000)).unwrap();
        }
        let (said, most) = check(&home, false);
        assert!(most < MOST, "{name}: {most} kB");
        assert!(said.len() < 64 * 1024, "{name}: {} bytes are said", said.len());
    }
}
