//! What the demo's program is configured with: a config and rules as a person would write them.

use std::{collections::HashMap, path::Path};

use crate::document::Environment;

/// The rules of the day.
pub const RULES: &str = r#"rules:
  - name: scan-failed
    description: A scan failed, so nothing new came under management.
    when: { state: failed }
    severity: critical
    notify: [oncall, scans, admins, ticketing]
    limit: 1 per 1h
    labels: { team: collaboration, runbook: "https://wiki.contoso.example/scan-failed" }

  - name: scan-incomplete
    description: A scan finished, but could not read all it should.
    when: { state: finished_with_exception }
    notify: [scans, admins]
    labels: { team: collaboration, runbook: "https://wiki.contoso.example/scan-incomplete" }

  - name: slow-scan
    description: A scan took more than two hours.
    when: { state: finished, duration: "> 2h" }
    severity: info
    notify: [scans]

  - name: stuck-scan
    description: A scan has been running for more than six hours.
    when: { state: running, duration: "> 6h" }
    severity: critical
    notify: [oncall, ticketing]
    labels: { team: messaging, runbook: "https://wiki.contoso.example/stuck-scan" }

  - name: scan-recovered
    description: It is well again after a failure.
    when: { state: finished, previous: [failed, finished_with_exception] }
    severity: info
    notify: [scans]

  - name: gmail-scan-missing
    description: Gmail has not been scanned for a day.
    missing: { profile: "scan google gmail", every: 24h, grace: 1h }
    notify: [oncall]
"#;

/// The config: addresses and secrets come from the environment, as they should.
pub const CONFIG: &str = r#"sources:
  contoso:
    kind: aos_scan_jobs
    base_url: ${TENANT_URL}
    token_url: ${TENANT_URL}/connect/token
    client_id: ${AOS_CLIENT_ID}
    client_secret: ${AOS_CLIENT_SECRET}
    page_size: 50
    start: now

# On loopback nobody asks for patience, so the rates that the real channels publish are switched off.
channels:
  oncall:
    kind: slack
    url: ${SLACK_WEBHOOK_URL}
    rate: unlimited
  scans:
    kind: teams
    url: ${TEAMS_WORKFLOW_URL}
    rate: unlimited
  admins:
    kind: email
    smtp: ${SMTP_URL}
    from: "Scan alerts <jobrelay@contoso.example>"
    to: [m365-admins@contoso.example]
    rate: unlimited
  ticketing:
    kind: webhook
    url: ${TICKET_HOOK_URL}
    secret: ${TICKET_HOOK_SECRET}
    rate: unlimited

server: { listen: "127.0.0.1:0" }
storage: { url: "sqlite:jobrelay.db" }
"#;

/// The environment of the demo's program: nothing of the process's own gets in.
#[derive(Debug, Default)]
pub struct Props(HashMap<&'static str, String>);

impl Props {
    /// The same with a variable more.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.0.insert(name, value.into());
        self
    }
}

impl Environment for Props {
    fn variable(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }

    fn file(&self, path: &Path) -> Result<String, String> {
        std::fs::read_to_string(path).map_err(|error| error.to_string())
    }
}
