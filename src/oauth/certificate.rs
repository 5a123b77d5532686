//! A certificate with its private key, in place of a client secret: read from PKCS#12 or PEM, and used to sign client
//! assertions (RFC 7523) in the form the vendor's page on its Graph API shows.

use std::{fmt, fs, path::Path};

use aws_lc_rs::{
    digest::{SHA1_FOR_LEGACY_USE_ONLY, digest},
    rand::SystemRandom,
    rsa::KeyPair as RsaKeyPair,
    signature::{KeyPair, RSA_PKCS1_SHA256},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{Timestamp, ToSpan};
use p12_keystore::Pkcs12Archive;
use pkcs8::EncryptedPrivateKeyInfoRef;
use serde_json::json;
use x509_parser::{certificate::X509Certificate, pem::Pem, prelude::FromDer};

use crate::domain::Secret;

/// The largest certificate file; one with a long chain has about ten thousand bytes.
pub const FILE_BYTES: u64 = 1024 * 1024;
/// How long an assertion may be used: long enough for clocks that differ, short enough to be of no use to a finder. The
/// vendor allows up to an hour.
const ASSERTION_SECONDS: i64 = 600;
/// From this long before its end on, a certificate is warned of.
const WARN_DAYS: i64 = 30;

/// A certificate and its key, ready to sign.
pub struct Certificate {
    file: String,
    key: RsaKeyPair,
    /// The SHA-1 digest of the certificate, by which the vendor knows it.
    thumbprint: Vec<u8>,
    /// The last instant at which it is valid.
    pub not_after: Timestamp,
}

/// Why a file gives no certificate to sign with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    /// What is wrong, naming the file.
    pub why: String,
    /// What to do.
    pub hint: &'static str,
    /// Whether it is about the password.
    pub password: bool,
}

const EXPORT: &str = "export the certificate with its private key as .pfx; the .cer is for the app registration only";
const CONVERT: &str = "write it anew: openssl pkcs12 -in app.pfx -nodes -out app.pem, and set `path: app.pem`";

impl Certificate {
    /// Reads a file: PEM by its first marker, else PKCS#12.
    ///
    /// # Errors
    /// See [`Unusable`].
    pub fn load(path: &Path, password: Option<&Secret>) -> Result<Self, Unusable> {
        let file = path.display().to_string();
        let wrong = |why: String, hint| Unusable { why, hint, password: false };
        let unread = |why: &dyn fmt::Display| {
            wrong(format!("can't read the certificate {file}: {why}"), "a relative path is relative to the config file's folder")
        };
        // A pipe would be waited for, a device read for ever.
        let about = fs::metadata(path).map_err(|error| unread(&error))?;
        if !about.is_file() {
            return Err(unread(&"it is no file"));
        }
        if about.len() > FILE_BYTES {
            return Err(unread(&format_args!("it has more than {FILE_BYTES} bytes")));
        }
        let bytes = fs::read(path).map_err(|error| unread(&error))?;
        let found = if bytes.windows(11).any(|window| window == b"-----BEGIN ") {
            of_pem(&bytes, &file, password)?
        } else {
            of_pkcs12(&bytes, &file, password)?
        };
        Self::of(found, file)
    }

    /// The key, and the certificate that belongs to it: a file may hold a whole chain, in any order.
    fn of(found: Found, file: String) -> Result<Self, Unusable> {
        let wrong = |why: String, hint| Unusable { why, hint, password: false };
        let Some(der) = found.key else {
            return Err(wrong(format!("{file} has no private key"), EXPORT));
        };
        let key = RsaKeyPair::from_pkcs8(&der).or_else(|_| RsaKeyPair::from_der(&der));
        let Ok(key) = key else {
            let hint = "the vendor takes RS256 signatures: make a certificate with an RSA key of 2048 bits or more";
            return Err(wrong(format!("the private key in {file} is no RSA key of 2048 to 8192 bits"), hint));
        };
        for der in &found.certificates {
            let Ok((_, certificate)) = X509Certificate::from_der(der) else { continue };
            if certificate.public_key().subject_public_key.data.as_ref() == key.public_key().as_ref() {
                let not_after = Timestamp::from_second(certificate.validity().not_after.timestamp()).unwrap_or(Timestamp::MAX);
                let thumbprint = digest(&SHA1_FOR_LEGACY_USE_ONLY, der).as_ref().to_vec();
                return Ok(Self { file, key, thumbprint, not_after });
            }
        }
        Err(wrong(format!("{file} has no certificate that belongs to its private key"), EXPORT))
    }

    /// What is soon or already wrong with it, for a warning.
    #[must_use]
    pub fn trouble(&self, now: Timestamp) -> Option<String> {
        let day = self.not_after.strftime("%Y-%m-%d");
        let renew = "make a new one and upload its .cer to the app registration";
        if self.not_after <= now {
            Some(format!("the certificate {} expired on {day}: {renew}", self.file))
        } else if self.not_after <= now + (WARN_DAYS * 24).hours() {
            Some(format!("the certificate {} expires on {day}: {renew}", self.file))
        } else {
            None
        }
    }

    /// A signed statement that this is the app `client_id`, good for one request to `audience` about now.
    ///
    /// # Errors
    /// The key can't sign.
    pub fn assertion(&self, client_id: &str, audience: &str, now: Timestamp) -> Result<Secret, String> {
        let kid = self.thumbprint.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02X}"));
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": kid, "x5t": URL_SAFE_NO_PAD.encode(&self.thumbprint) });
        let at = now.as_second();
        let claims = json!({
            "iss": client_id, "sub": client_id, "aud": audience, "jti": fresh_id(),
            "nbf": at, "iat": at, "exp": at.saturating_add(ASSERTION_SECONDS),
        });
        let encode = |part: &serde_json::Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| format!("the private key in {} can't sign", self.file))?;
        Ok(Secret::new(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("file", &self.file).field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

/// A version 4 UUID.
fn fresh_id() -> String {
    let bits: u128 = rand::random();
    let bits = (bits & !(0xf << 76) & !(0b11 << 62)) | (4 << 76) | (0b10 << 62);
    // Always 32 digits, so that every cut lies within.
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// What a file holds, in DER.
struct Found {
    /// PKCS#8 or PKCS#1.
    key: Option<Vec<u8>>,
    certificates: Vec<Vec<u8>>,
}

fn of_pkcs12(bytes: &[u8], file: &str, password: Option<&Secret>) -> Result<Found, Unusable> {
    let archive = Pkcs12Archive::from_pkcs12(bytes, password.map_or("", Secret::expose)).map_err(|error| {
        use p12_keystore::error::Error;
        match error {
            Error::MacError(_) | Error::Pkcs5Error(_) | Error::UnpadError => wrong_password(file, password),
            Error::UnsupportedEncryptionScheme | Error::UnsupportedMacAlgorithm => {
                Unusable { why: format!("{file} is encrypted in a way that is not known here"), hint: CONVERT, password: false }
            }
            _ => Unusable { why: format!("{file} is neither PKCS#12 (.pfx) nor PEM"), hint: EXPORT, password: false },
        }
    })?;
    Ok(Found {
        key: archive.keys.first().map(|bag| bag.key.as_der().to_vec()),
        certificates: archive.certs.iter().map(|bag| bag.cert.as_der().to_vec()).collect(),
    })
}

fn of_pem(bytes: &[u8], file: &str, password: Option<&Secret>) -> Result<Found, Unusable> {
    let broken = |why: &str, hint| Unusable { why: format!("{file} {why}"), hint, password: false };
    let text = String::from_utf8_lossy(bytes);
    if text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(broken("has its private key encrypted in an old way", "write the key anew: openssl pkcs8 -topk8 -in app.pem"));
    }
    let mut found = Found { key: None, certificates: Vec::new() };
    for section in Pem::iter_from_buffer(text.as_bytes()) {
        let Pem { label, contents } = section.map_err(|_| broken("is not valid PEM", EXPORT))?;
        match label.as_str() {
            "CERTIFICATE" => found.certificates.push(contents),
            // Any other key is found to be no RSA key further on.
            "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY" => found.key = found.key.or(Some(contents)),
            "ENCRYPTED PRIVATE KEY" => {
                let encrypted = EncryptedPrivateKeyInfoRef::try_from(contents.as_slice());
                let encrypted = encrypted.map_err(|_| broken("has a private key that can't be read", EXPORT))?;
                let key = encrypted.decrypt(password.map_or("", Secret::expose)).map_err(|_| wrong_password(file, password))?;
                found.key = found.key.or_else(|| Some(key.as_bytes().to_vec()));
            }
            _ => {}
        }
    }
    Ok(found)
}

fn wrong_password(file: &str, password: Option<&Secret>) -> Unusable {
    match password {
        Some(_) => Unusable { why: format!("the password does not open {file}"), hint: "set the one it was exported with", password: true },
        None => Unusable { why: format!("{file} needs a password"), hint: "set `password` beside `path`", password: false },
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, process::Command};

    use serde_json::Value;

    use super::*;

    /// A folder in which the `openssl` command, which shares no code with this room, makes and checks everything.
    struct Folder(tempfile::TempDir);

    impl Folder {
        /// With an RSA key `key.pem` and its certificate `cert.pem`.
        fn new() -> Self {
            let folder = Self(tempfile::tempdir().unwrap());
            folder.openssl("req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 365 -subj /CN=app");
            folder
        }

        #[track_caller]
        fn openssl(&self, args: &str) -> Vec<u8> {
            let output = Command::new("openssl").args(args.split(' ')).current_dir(self.0.path()).output().expect("openssl is there");
            assert!(output.status.success(), "openssl {args}: {}", String::from_utf8_lossy(&output.stderr));
            output.stdout
        }

        fn join(&self, parts: &[&str], into: &str) {
            let parts = parts.iter().map(|part| fs::read_to_string(self.0.path().join(part)).unwrap());
            fs::write(self.0.path().join(into), parts.collect::<String>()).unwrap();
        }

        fn load(&self, file: &str, password: Option<&str>) -> Result<Certificate, Unusable> {
            Certificate::load(&self.0.path().join(file), password.map(Secret::new).as_ref())
        }

        /// Why a file is unusable, without its folder.
        #[track_caller]
        fn why(&self, file: &str, password: Option<&str>) -> String {
            let wrong = self.load(file, password).unwrap_err();
            assert!(!wrong.hint.is_empty());
            wrong.why.replace(&format!("{}/", self.0.path().display()), "")
        }

        /// Checks an assertion by `openssl` and the public half of `cert.pem`, and returns its header and claims.
        #[track_caller]
        fn verified(&self, assertion: &Secret) -> (Value, Value) {
            let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
            let (signed, signature) = assertion.expose().rsplit_once('.').unwrap();
            fs::write(self.0.path().join("signed"), signed).unwrap();
            fs::write(self.0.path().join("signature"), decode(signature)).unwrap();
            self.openssl("x509 -in cert.pem -pubkey -noout -out public.pem");
            self.openssl("dgst -sha256 -verify public.pem -signature signature signed");
            let (header, claims) = signed.split_once('.').unwrap();
            (serde_json::from_slice(&decode(header)).unwrap(), serde_json::from_slice(&decode(claims)).unwrap())
        }
    }

    fn now() -> Timestamp {
        "2024-09-26T06:00:00.5Z".parse().unwrap()
    }

    #[test]
    fn signs_what_the_vendors_page_asks_for_from_every_form_of_file() {
        let folder = Folder::new();
        folder.openssl("req -x509 -newkey rsa:2048 -nodes -keyout other.key -out other.pem -days 9 -subj /CN=other");
        folder.openssl("pkcs12 -export -inkey key.pem -in cert.pem -certfile other.pem -passout pass:canary -out new.pfx");
        folder.openssl(
            "pkcs12 -export -inkey key.pem -in cert.pem -keypbe PBE-SHA1-3DES -certpbe PBE-SHA1-3DES -macalg sha1 -passout pass:canary -out old.p12",
        );
        folder.openssl("pkcs12 -export -inkey key.pem -in cert.pem -passout pass: -out open.pfx");
        folder.openssl("rsa -in key.pem -traditional -out pkcs1.key");
        folder.openssl("pkcs8 -topk8 -in key.pem -passout pass:canary -out locked.key");
        folder.openssl("pkcs12 -in new.pfx -passin pass:canary -nodes -out dumped.pem");
        folder.join(&["other.pem", "cert.pem", "key.pem"], "pkcs8.pem");
        folder.join(&["pkcs1.key", "cert.pem"], "pkcs1.pem");
        folder.join(&["locked.key", "cert.pem"], "locked.pem");
        let shown = String::from_utf8(folder.openssl("x509 -in cert.pem -noout -fingerprint -sha1")).unwrap();
        let kid = shown.trim().split_once('=').unwrap().1.replace(':', "");
        folder.openssl("x509 -in cert.pem -outform DER -out cert.der");
        let x5t = URL_SAFE_NO_PAD.encode(folder.openssl("dgst -sha1 -binary cert.der"));
        let mut ids = HashSet::new();
        for (file, password) in [
            ("new.pfx", Some("canary")),
            ("old.p12", Some("canary")),
            ("open.pfx", None),
            ("pkcs8.pem", None),
            ("pkcs8.pem", Some("not needed")),
            ("pkcs1.pem", None),
            ("locked.pem", Some("canary")),
            ("dumped.pem", None),
        ] {
            let certificate = folder.load(file, password).unwrap_or_else(|wrong| panic!("{file}: {wrong:?}"));
            let (header, claims) = folder.verified(&certificate.assertion("app", "https://id.example/token", now()).unwrap());
            assert_eq!(header, json!({ "alg": "RS256", "typ": "JWT", "kid": kid, "x5t": x5t }), "{file}");
            let jti = claims["jti"].as_str().unwrap();
            let expected = json!({
                "iss": "app", "sub": "app", "aud": "https://id.example/token", "jti": jti,
                "nbf": 1_727_330_400, "iat": 1_727_330_400, "exp": 1_727_331_000,
            });
            assert_eq!(claims, expected, "{file}");
            assert_eq!((jti.len(), &jti[14..15]), (36, "4"), "{jti}");
            assert!(ids.insert(jti.to_owned()), "an id came twice");
            let debug = format!("{certificate:?}");
            assert!(debug.contains(file) && debug.len() < file.len() + folder.0.path().display().to_string().len() + 80, "{debug}");
        }
    }

    #[test]
    fn says_what_is_wrong_with_a_file_and_warns_before_its_end() {
        let folder = Folder::new();
        folder.openssl("pkcs12 -export -inkey key.pem -in cert.pem -passout pass:canary -out app.pfx");
        folder.openssl("pkcs12 -export -nokeys -in cert.pem -passout pass:canary -out nokey.pfx");
        folder.openssl("x509 -in cert.pem -outform DER -out cert.cer");
        folder.openssl("pkcs8 -topk8 -in key.pem -passout pass:canary -out locked.key");
        folder.openssl("rsa -in key.pem -traditional -aes128 -passout pass:canary -out older.key");
        folder.openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ec.key -out ec.cert -subj /CN=ec");
        folder.join(&["locked.key", "cert.pem"], "locked.pem");
        folder.join(&["older.key", "cert.pem"], "older.pem");
        folder.join(&["ec.key", "ec.cert"], "ec.pem");
        folder.join(&["key.pem", "ec.cert"], "strange.pem");
        fs::write(folder.0.path().join("rubbish.pfx"), "rubbish").unwrap();
        fs::write(folder.0.path().join("cut.pem"), "-----BEGIN CERTIFICATE-----\nAAAA").unwrap();
        fs::write(folder.0.path().join("large.pfx"), vec![0; 1024 * 1024 + 1]).unwrap();
        for (file, password, why) in [
            ("app.pfx", Some("canary-wrong"), "the password does not open app.pfx"),
            ("app.pfx", None, "app.pfx needs a password"),
            ("locked.pem", Some("canary-wrong"), "the password does not open locked.pem"),
            ("locked.pem", None, "locked.pem needs a password"),
            ("older.pem", Some("canary"), "older.pem has its private key encrypted in an old way"),
            ("nokey.pfx", Some("canary"), "nokey.pfx has no private key"),
            ("cert.pem", None, "cert.pem has no private key"),
            ("cert.cer", None, "cert.cer is neither PKCS#12 (.pfx) nor PEM"),
            ("rubbish.pfx", None, "rubbish.pfx is neither PKCS#12 (.pfx) nor PEM"),
            ("cut.pem", None, "cut.pem is not valid PEM"),
            ("key.pem", None, "key.pem has no certificate that belongs to its private key"),
            ("strange.pem", None, "strange.pem has no certificate that belongs to its private key"),
            ("ec.pem", None, "the private key in ec.pem is no RSA key of 2048 to 8192 bits"),
            ("none.pfx", None, "can't read the certificate none.pfx: No such file or directory (os error 2)"),
            (".", None, "can't read the certificate .: it is no file"),
            ("large.pfx", None, "can't read the certificate large.pfx: it has more than 1048576 bytes"),
        ] {
            assert_eq!(folder.why(file, password), why);
        }
        let certificate = folder.load("app.pfx", Some("canary")).unwrap();
        let end = certificate.not_after;
        let day = end.strftime("%Y-%m-%d").to_string();
        assert_eq!(certificate.trouble(end - 721.hours()), None);
        assert!(certificate.trouble(end - 719.hours()).unwrap().contains(&format!("app.pfx expires on {day}: ")));
        assert!(certificate.trouble(end).unwrap().contains(&format!("app.pfx expired on {day}: ")));
    }
}
