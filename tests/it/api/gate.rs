//! Whom the server refuses.

use crate::common::{Service, text};

use super::World;

const TOKEN: &str = "canary-server-token";

/// Names and values.
type Headers<'h> = &'h [(&'h str, &'h str)];

/// The status and the words of an answer to a request with these headers, and a body.
async fn send(service: &Service, method: &str, path: &str, headers: Headers<'_>, body: &str) -> (u16, String) {
    let mut request = reqwest::Client::new().request(method.parse().unwrap(), format!("http://{}{path}", service.address));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if !body.is_empty() {
        request = request.body(body.to_owned());
    }
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["cache-control"], "no-store", "{method} {path} {headers:?}");
    assert!(!response.headers().contains_key("access-control-allow-origin"), "{method} {path} {headers:?}");
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_web_page_can_read_or_do_anything_on_a_loopback_address() {
    let world = World::new().await;
    let service = world.start(1).await;
    let own = format!("http://{}", service.address);
    let json = ("content-type", "application/json");
    let table: &[(&str, &str, Headers<'_>, u16)] = &[
        ("GET", "/api/v1/jobs", &[], 200),
        ("GET", "/api/v1/jobs", &[("host", "localhost:1234")], 200),
        ("GET", "/api/v1/jobs", &[("host", "evil.example")], 403),
        ("GET", "/metrics", &[("host", "evil.example:8080")], 403),
        ("GET", "/readyz", &[("host", "127.0.0.1.evil.example")], 403),
        ("OPTIONS", "/api/v1/reload", &[("origin", "https://evil.example"), ("access-control-request-method", "POST")], 405),
        ("POST", "/api/v1/channels/oncall/test", &[("origin", "https://evil.example")], 403),
        ("POST", "/api/v1/channels/oncall/test", &[("origin", "null")], 403),
        ("POST", "/api/v1/channels/oncall/test", &[("sec-fetch-site", "cross-site"), json], 403),
        ("POST", "/api/v1/channels/oncall/test", &[("sec-fetch-site", "same-site")], 403),
        ("POST", "/api/v1/channels/oncall/test", &[("host", "evil.example"), ("origin", "http://evil.example")], 403),
        ("POST", "/api/v1/deliveries/1/retry", &[("origin", "https://evil.example")], 403),
        ("POST", "/api/v1/deliveries/1/retry", &[("content-type", "text/plain")], 415),
        ("POST", "/api/v1/deliveries/1/retry", &[("content-type", "application/x-www-form-urlencoded")], 415),
        // It may, and there is nothing to do: it is delivered.
        ("POST", "/api/v1/deliveries/1/retry", &[json, ("sec-fetch-site", "same-origin"), ("origin", &own)], 409),
        ("POST", "/api/v1/reload", &[("sec-fetch-site", "cross-site")], 403),
        ("POST", "/api/v1/reload", &[json], 200),
    ];
    for (method, path, headers, expected) in table {
        let (status, body) = send(&service, method, path, headers, "").await;
        assert_eq!(status, *expected, "{method} {path} {headers:?}: {body}");
        assert!(status == 200 || serde_json::from_str::<serde_json::Value>(&body).unwrap()["error"].is_string(), "{body}");
    }
    for (body, expected) in [("{}", 200), (" ", 200), ("{\"rule\": \"scan-failed\"}", 400), (&*"x".repeat(20_000), 413)] {
        let (status, told) = send(&service, "POST", "/api/v1/reload", &[json], body).await;
        assert_eq!(status, expected, "{told}");
    }
    assert_eq!(world.oncall.taken().len(), 1, "no sample went out");
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_token_nothing_but_the_health_checks_is_answered_without_it() {
    let world = World::new().await;
    let config = std::fs::read_to_string(world.home.path("jobrelay.yaml")).unwrap();
    let config = config.replace("listen: '127.0.0.1:0'", &format!("listen: '0.0.0.0:0', token: {TOKEN}"));
    std::fs::write(world.home.path("jobrelay.yaml"), &config).unwrap();
    let service = world.start(0).await;
    let bearer = format!("Bearer {TOKEN}");
    let paths = [
        ("GET", "/metrics"),
        ("GET", "/api/v1/jobs"),
        ("GET", "/api/v1/sources"),
        ("GET", "/nowhere"),
        ("POST", "/api/v1/reload"),
        ("POST", "/api/v1/channels/oncall/test"),
        ("POST", "/api/v1/deliveries/1/retry"),
    ];
    for (method, path) in paths {
        for wrong in
            [None, Some("Bearer canary-server-tokem"), Some("Bearer canary-server-token0"), Some("Basic canary-server-token"), Some("")]
        {
            let headers: Vec<(&str, &str)> = wrong.iter().map(|wrong| ("authorization", *wrong)).collect();
            let (status, body) = send(&service, method, path, &headers, "").await;
            assert_eq!(status, 401, "{method} {path} {wrong:?}: {body}");
            assert!(!body.contains(TOKEN), "{body}");
        }
        let (status, body) = send(&service, method, path, &[("authorization", &bearer), ("host", "jobrelay.contoso.example")], "").await;
        assert_eq!(status, if path.ends_with("retry") || path == "/nowhere" { 404 } else { 200 }, "{method} {path}: {body}");
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(send(&service, "GET", path, &[], "").await.0, 200);
    }
    assert_eq!(service.stop().await, 0);

    let open = config.replace(&format!(", token: {TOKEN}"), "");
    std::fs::write(world.home.path("jobrelay.yaml"), open).unwrap();
    let output = world.home.run(&["run"]);
    assert!(!output.status.success() && text(&output.stderr).contains("needs a `token`"), "{}", text(&output.stderr));
}
