//! docs/api.md is run: each of its requests is sent, and answered by what stands below it, in form if not in every value.

use std::{fs, path::Path};

use jobrelay::server::{ENDPOINTS, LIMIT_DEFAULT, LIMIT_MOST};
use regex::Regex;
use serde_json::{Value, json};

use crate::common::{sink::Answer, until};

use super::World;

fn page() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/api.md")).unwrap()
}

/// Each request on the page, as its method and path, and the answer below it.
fn examples(page: &str) -> Vec<(String, String, Value)> {
    let form = Regex::new(r"(?s)```console\n\$ curl -sS (-X POST )?'http://127\.0\.0\.1:8080(/[^'\n]*)'\n```\n```json\n(.*?)```").unwrap();
    let read = |found: regex::Captures<'_>| {
        let method = if found.get(1).is_some() { "POST" } else { "GET" };
        let answer = serde_json::from_str(&found[3]).unwrap_or_else(|error| panic!("{}: {error}", &found[2]));
        (method.to_owned(), found[2].to_owned(), answer)
    };
    form.captures_iter(page).map(read).collect()
}

/// Whose keys are names, of which there may be any.
const FREE: [&str; 3] = ["jobs", "labels", "channels"];

/// Fails where an answer has not the form of the one on the page: its keys, in their order, and its kinds of values. What is `null` in one may
/// be anything in the other, but the page's lists are not empty in the answer.
fn compare(at: &str, shown: &Value, found: &Value) {
    match (shown, found) {
        (Value::Object(shown), Value::Object(found)) => {
            let is_free = FREE.iter().any(|free| at.ends_with(&format!(".{free}")));
            let keys = |object: &serde_json::Map<String, Value>| object.keys().cloned().collect::<Vec<_>>();
            assert!(is_free || keys(shown) == keys(found), "{at}: the page shows {:?}, there are {:?}", keys(shown), keys(found));
            for (key, value) in shown {
                if let Some(other) = found.get(key) {
                    compare(&format!("{at}.{key}"), value, other);
                }
            }
        }
        (Value::Array(shown), Value::Array(found)) => {
            assert_eq!(shown.is_empty(), found.is_empty(), "{at}: {found:?}");
            if let (Some(shown), Some(found)) = (shown.first(), found.first()) {
                compare(&format!("{at}[]"), shown, found);
            }
        }
        (Value::Null, _) | (_, Value::Null) => {}
        (shown, found) => {
            let kind = |value: &Value| (value.is_string(), value.is_number(), value.is_boolean());
            assert_eq!(kind(shown), kind(found), "{at}: the page shows {shown}, there is {found}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_on_the_page_is_answered_as_it_says() {
    let world = World::new().await;
    world.upstream.shelf.lock().unwrap().faults.push((503, Vec::new(), "try later".into()));
    world.ticketing.next([Answer::new(400, "no such field"), Answer::new(400, "no such field")]);
    let service = world.start(2).await;
    let dead = || world.home.json(&["deliveries", "--outcome", "dead", "--format", "json"]).as_array().unwrap().clone();
    until("two are dead", || dead().len() == 2).await;
    let id = dead()[0]["id"].to_string();
    let page = page();
    let examples = examples(&page);
    let blocks = page.matches("```console").count();
    assert!(examples.len() == blocks && blocks >= 11, "{} of {blocks} requests are read", examples.len());
    for (method, path, shown) in examples {
        let (status, found) = service.ask(&method, &path.replace("/42/", &format!("/{id}/"))).await;
        let expected = if shown.get("error").is_some() {
            400
        } else if path.ends_with("/retry") {
            202
        } else {
            200
        };
        assert_eq!(status, expected, "{path}: {found}");
        compare(&path, &shown, &found);
        for exact in ["error", "hint", "answers"] {
            assert_eq!(shown.get(exact), found.get(exact), "{path}");
        }
    }
    assert_eq!(service.stop().await, 0);
}

#[test]
fn the_page_names_every_endpoint_and_every_parameter() {
    let page = page();
    for endpoint in ENDPOINTS {
        let row = page.lines().find(|line| line.starts_with(&format!("| [`{} {}`](#", endpoint.method, endpoint.path)));
        let row = row.unwrap_or_else(|| panic!("{} {} has no row", endpoint.method, endpoint.path));
        let named: Vec<&str> = row.rsplit(" | ").next().unwrap().split('`').skip(1).step_by(2).collect();
        let filters: Vec<&str> = endpoint.takes.iter().copied().filter(|name| !["limit", "cursor"].contains(name)).collect();
        assert_eq!(named, filters, "{}", endpoint.path);
        let anchor = row.split("](#").nth(1).unwrap().split(')').next().unwrap().replace('-', " ");
        assert!(page.lines().any(|line| line.strip_prefix("## ").is_some_and(|heading| heading.to_lowercase() == anchor)), "{anchor}");
    }
    assert!(page.contains(&format!("`limit` is {LIMIT_DEFAULT} where nothing is said, {LIMIT_MOST} at most")));
    assert_eq!(json!(examples(&page).len() > 8), json!(true));
}
