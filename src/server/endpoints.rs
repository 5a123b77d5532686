//! Every endpoint of the API: its method, its path, and the query parameters it takes.

/// One endpoint.
#[derive(Debug)]
pub struct Endpoint {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Its path; `{…}` stands for one part of it.
    pub path: &'static str,
    /// The query parameters it takes.
    pub takes: &'static [&'static str],
}

/// `GET /api/v1/sources`
pub const SOURCES: Endpoint = Endpoint { method: "GET", path: "/api/v1/sources", takes: &["name", "kind", "standing", "limit", "cursor"] };
/// `GET /api/v1/rules`
pub const RULES: Endpoint =
    Endpoint { method: "GET", path: "/api/v1/rules", takes: &["name", "kind", "severity", "enabled", "channel", "limit", "cursor"] };
/// `GET /api/v1/channels`
pub const CHANNELS: Endpoint =
    Endpoint { method: "GET", path: "/api/v1/channels", takes: &["name", "kind", "standing", "limit", "cursor"] };
/// `GET /api/v1/jobs`
pub const JOBS: Endpoint =
    Endpoint { method: "GET", path: "/api/v1/jobs", takes: &["source", "state", "profile", "id", "since", "limit", "cursor"] };
/// `GET /api/v1/alerts`
pub const ALERTS: Endpoint =
    Endpoint { method: "GET", path: "/api/v1/alerts", takes: &["rule", "source", "job", "since", "limit", "cursor"] };
/// `GET /api/v1/deliveries`
pub const DELIVERIES: Endpoint =
    Endpoint { method: "GET", path: "/api/v1/deliveries", takes: &["channel", "outcome", "id", "since", "limit", "cursor"] };
/// `POST /api/v1/deliveries/{id}/retry`
pub const RETRY: Endpoint = Endpoint { method: "POST", path: "/api/v1/deliveries/{id}/retry", takes: &[] };
/// `POST /api/v1/channels/{name}/test`
pub const TEST: Endpoint = Endpoint { method: "POST", path: "/api/v1/channels/{name}/test", takes: &["rule", "job"] };
/// `POST /api/v1/reload`
pub const RELOAD: Endpoint = Endpoint { method: "POST", path: "/api/v1/reload", takes: &[] };

/// All of them.
pub const ENDPOINTS: &[&Endpoint] = &[&SOURCES, &RULES, &CHANNELS, &JOBS, &ALERTS, &DELIVERIES, &RETRY, &TEST, &RELOAD];
