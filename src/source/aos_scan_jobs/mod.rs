//! The scan jobs of one tenant of AvePoint Online Services: `GET /aos/jobs` of the AvePoint Graph API.
//!
//! What the vendor's pages promise is taken as said, what they leave open as hostile: see "Retrieve Scan Job Information"
//! and "Use AvePoint Graph API" on learn.avepoint.com.

mod feed;
mod keys;
mod link;
mod page;
mod row;
mod settings;
#[cfg(test)]
mod tests;
mod time;

pub use page::{PageBody, read_page};
pub use row::read as read_row;

/// The kind's line in the list of sources.
pub const KIND: super::Kind = super::Kind { name: "aos_scan_jobs", example: EXAMPLE, keys: keys::KEYS, read: settings::read };

const EXAMPLE: &str = "\
kind: aos_scan_jobs
# Your data centre: au, sg, ca, ne, we, fr, de, jp, kr, ch, uk or us. Leave it out if you don't know it.
region: us
# environment: us_government   # instead of a region; or aos2, or fedramp
# An app of AvePoint Online Services > App registrations with the permission autodiscovery.readwrite.all.
client_id: ${AOS_CLIENT_ID:-replace-me}
client_secret: ${AOS_CLIENT_SECRET:-replace-me}
# certificate: { path: app.pfx, password: \"${AOS_CERT_PASSWORD}\" }   # instead of a secret; .pfx or .pem
poll_every: 60s                # 5s to 1h
start: now                     # on the first run: `now` alerts on nothing that finished before it; `24h` looks back
# page_size: 100               # how many jobs to ask for at a time, 1 to 1000
# base_url, token_url and scope take the place of what region and environment give.
";
