//! A source as its user tries it out: `check --connect` against every answer a cloud may give.

use serde_json::json;

use crate::common::{
    Home,
    sink::Sink,
    text,
    upstream::{CLIENT_SECRET, Fault, Upstream, job},
};

const RULES: &str = "rules: [{ name: failed, when: { state: failed }, notify: [hook] }]\n";

struct World {
    upstream: Upstream,
    elsewhere: Sink,
    home: Home,
}

impl World {
    /// With a config whose source part went through `edit`.
    async fn new(edit: impl FnOnce(String) -> String) -> Self {
        let (upstream, elsewhere) = (Upstream::start().await, Sink::start("").await);
        let config = format!(
            "{}channels:\n  hook: {{ kind: webhook, url: 'http://127.0.0.1:9/', secret: canary-hook-secret-0123456789 }}\n",
            edit(upstream.config())
        );
        Self { upstream, elsewhere, home: Home::new(&config, RULES) }
    }

    /// Runs `check --connect`, and returns whether it is content and all it said, in which no secret may stand.
    #[track_caller]
    fn check(&self) -> (bool, String) {
        let output = self.home.run(&["check", "--connect"]);
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert!(!said.contains("canary"), "{said}");
        (output.status.success(), said)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_answers_is_said_to_be_well() {
    let world = World::new(|config| config).await;
    world.upstream.put(job("Scan1", "sites", 2, 60, Some(30)));
    let (well, said) = world.check();
    assert!(well, "{said}");
    let shelf = world.upstream.shelf.lock().unwrap();
    assert_eq!((shelf.tokens, shelf.asked.len()), (1, 1));
    assert_eq!(shelf.asked[0]["top"], "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_source_answers_it_is_said_what_is_wrong_and_never_with_a_secret() {
    let world = World::new(|config| config).await;
    let echo = "Authorization: Bearer canary-token-1";
    let fault = |status: u16, body: &str| -> Fault { (status, vec![("request-id", "7f3a".to_owned())], body.to_owned()) };
    let to_elsewhere: Fault = (302, vec![("location", world.elsewhere.url.clone())], String::new());
    for (faults, expected) in [
        (vec![fault(403, echo)], "autodiscovery.readwrite.all"),
        (vec![fault(401, echo), fault(401, "")], "credentials refused"),
        (vec![fault(429, "slow down")], "HTTP 429: slow down (request-id 7f3a)"),
        (vec![fault(503, "<html>canary-token-1</html>")], "HTTP 503, with a body that repeats the token (request-id 7f3a)"),
        (vec![fault(404, "")], "check base_url"),
        (vec![to_elsewhere], "redirects are not followed"),
        (vec![fault(200, "<html>Sign in</html>")], "the body is no JSON object"),
        (vec![fault(200, "{}")], "the body has no `jobs` array"),
        (vec![fault(200, r#"{"jobs":null}"#)], "the body has no `jobs` array"),
        (vec![fault(200, r#"{"jobs":[{"id":"Sc"#)], "the body breaks off after 18 bytes"),
        (vec![fault(200, r#"{"jobs":[{"id":"Scan1","state":"odd"}]}"#)], "a row can't be read: `state` is no whole number"),
    ] {
        {
            // A new program asks for a new token each time; the stand-in starts counting anew with it.
            let mut shelf = world.upstream.shelf.lock().unwrap();
            (shelf.faults, shelf.tokens) = (faults, 0);
        }
        let (well, said) = world.check();
        assert!(!well && said.contains(expected), "{expected}: {said}");
    }
    assert!(world.elsewhere.taken().is_empty());
    assert!(world.check().0, "once the trouble is over, it is well");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_told_with_what_to_do() {
    let world = World::new(|config| config.replace(CLIENT_SECRET, "canary-of-yesterday")).await;
    let (well, said) = world.check();
    assert!(!well && said.contains("HTTP 400 invalid_client") && said.contains("has expired"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_elsewhere_costs_nothing_but_itself() {
    let world = World::new(|config| config).await;
    world.upstream.shelf.lock().unwrap().next_link = Some(json!(world.elsewhere.url));
    assert!(world.check().0);
    assert!(world.elsewhere.taken().is_empty());
}
