//! Rules that look at the past, through the real program.

use jobrelay::failpoint::{Point, VARIABLE};

use crate::common::{
    Home,
    process::{Process, SIGABRT},
    sink::Sink,
    upstream::{Upstream, job},
};

const RULES: &str = "\
rules:
  - { name: recovered, when: { state: finished, previous: failed }, notify: [hook] }
  - { name: again, when: { state: failed, streak: '>= 3' }, notify: [hook] }
";

struct World {
    upstream: Upstream,
    hook: Sink,
    home: Home,
}

impl World {
    async fn new(rules: &str, more: &str) -> Self {
        let (upstream, hook) = (Upstream::start().await, Sink::start("").await);
        let config = format!(
            "{}{more}channels:\n  hook: {{ kind: webhook, url: '{}' }}\nserver: {{ listen: '127.0.0.1:0' }}\n",
            upstream.config(),
            hook.url
        );
        Self { home: Home::new(&config, rules), upstream, hook }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_taken_in_by_a_program_that_dies_before_it_is_judged_is_judged_by_the_next_one() {
    let world = World::new(RULES, "").await;
    // What ended before the first start counts as past.
    world.upstream.put(job("Scan-0", "scan sites", 3, 900, Some(800)));
    let mut command = world.home.under(&[]);
    // The first page is the list as it stands; the second brings the ends, which no one will have judged.
    command.env(VARIABLE, format!("{}:2", Point::PageCommitted.name()));
    let mut process = Process::spawn(command);
    world.upstream.polled(1).await;
    process.ready_is(200).await;
    world.upstream.put(job("Scan-1", "scan sites", 2, 100, Some(0)));
    assert_eq!(process.ends().await, SIGABRT);
    let ids = world.home.json(&["jobs", "--state", "finished", "--format", "json"]);
    assert_eq!((ids[0]["id"].as_str(), world.home.json(&["alerts", "--format", "json"]).as_array().unwrap().len()), (Some("Scan-1"), 0));
    let service = world.home.start().await;
    let taken = world.hook.holds(1).await;
    assert!(taken[0].body.contains("Scan-1") && taken[0].body.contains("recovered"), "{}", taken[0].body);
    world.upstream.polled(2).await;
    assert_eq!(world.hook.taken().len(), 1);
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_whose_state_changes_has_later_ones_judged_by_what_that_changes() {
    let rules = RULES.replace("'>= 3'", "'>= 2'");
    let world = World::new(&rules, "    start: 24h\n").await;
    let [one, mut two, three] = [("Scan-1", 3, 900), ("Scan-2", 2, 800), ("Scan-3", 3, 700)]
        .map(|(id, state, ago)| job(id, "scan sites", state, ago + 30, Some(ago)));
    for row in [one, two.clone(), three] {
        world.upstream.put(row);
    }
    let service = world.home.start().await;
    let first = world.hook.holds(1).await;
    assert!(first[0].body.contains("recovered") && first[0].body.contains("Scan-2"), "{}", first[0].body);
    world.upstream.polled(1).await;
    // No recovery, then: three failures in a row, of which the third was told as the first of its row.
    two["state"] = 3.into();
    world.upstream.put(two);
    let told: Vec<String> = world.hook.holds(3).await.into_iter().map(|message| message.body).collect();
    for (body, id) in told[1..].iter().zip(["Scan-2", "Scan-3"]) {
        assert!(body.contains("\"again\"") && body.contains(id), "{id}: {body}");
    }
    world.upstream.polled(2).await;
    assert_eq!(world.hook.taken().len(), 3);
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_taken_in_at_once_is_judged_as_if_each_end_had_been_seen() {
    let world = World::new(RULES, "    start: 24h\n    page_size: 5\n").await;
    // By state: three failures in a row twice, then a recovery. Long runs end out of the order in which they began.
    let ends = [(3, 90), (3, 80), (2, 70), (3, 60), (3, 50), (3, 40), (3, 30), (2, 20)];
    for (n, (state, ago)) in ends.into_iter().enumerate() {
        let started = ago * 60 + if n % 2 == 0 { 40_000 - i64::try_from(n).unwrap() } else { 30 };
        world.upstream.put(job(&format!("Scan-{n}"), "scan sites", state, started, Some(ago * 60)));
        world.upstream.put(job(&format!("Other-{n}"), "scan teams", 2, started + 7, Some(ago * 60)));
    }
    let service = world.home.start().await;
    world.hook.holds(4).await;
    world.upstream.polled(2).await;
    let told: Vec<String> = world.hook.taken().iter().map(|message| message.body.clone()).collect();
    let told: Vec<&str> = told.iter().map(|body| body.split('"').find(|text| text.starts_with("Scan-")).unwrap()).collect();
    assert_eq!(told, ["Scan-2", "Scan-5", "Scan-6", "Scan-7"], "in the order of the ends");
    assert_eq!(service.stop().await, 0);
}
