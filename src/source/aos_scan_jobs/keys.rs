//! The kind's keys, for the schema.

use super::settings::{CLOUDS, PAGE_SIZES, REGIONS};
use crate::document::{Form, Key, Keys};

/// The kind's own keys.
pub const KEYS: Keys = Keys {
    lists: &[&[
        Key::new("region", "the commercial data centre", Form::AnyCase(|| REGIONS.map(str::to_owned).to_vec()), &["us"]),
        Key::new(
            "environment",
            "the cloud; commercial where nothing is said, and the only one with regions",
            Form::AnyCase(|| CLOUDS.each_ref().map(|cloud| cloud.name.to_owned()).to_vec()),
            &["us_government"],
        ),
        Key::new("client_id", "the app registration's id", Form::Text, &["${AOS_CLIENT_ID:-app}"]).required(),
        Key::new("client_secret", "the app registration's secret", Form::Text, &["${AOS_CLIENT_SECRET:-x}"]),
        Key::new("certificate", "a certificate in place of the secret", Form::Mapping(&CERTIFICATE), &[]),
        Key::new("page_size", "how many jobs are asked for at a time", Form::Integer(*PAGE_SIZES.start(), *PAGE_SIZES.end()), &["100"]),
        Key::new(
            "base_url",
            "the API's address, without /aos/jobs, in place of what region and environment give",
            Form::Text,
            &["https://graph-us.avepointonlineservices.com"],
        ),
        Key::new(
            "token_url",
            "where tokens are had, in place of what the environment gives",
            Form::Text,
            &["https://identity.avepointonlineservices.com/connect/token"],
        ),
        Key::new("scope", "the permission that is asked for", Form::Text, &["autodiscovery.readwrite.all"]),
        Key::new("allow_insecure", "let the addresses be plain http elsewhere than on loopback", Form::Boolean, &["true"]),
    ]],
    one_of: &[&["client_secret", "certificate"]],
};

/// The keys of `certificate`.
const CERTIFICATE: Keys = Keys::new(&[&[
    Key::new("path", "a .pfx or .pem file with the key in it", Form::Text, &["app.pfx"]).required(),
    Key::new("password", "what the file is locked with", Form::Text, &["\"${AOS_CERT_PASSWORD:-x}\""]),
]]);
