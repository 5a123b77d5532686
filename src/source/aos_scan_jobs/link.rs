//! The addresses asked: the source's own, and what a page names as the next one, in every form the vendor's feeds use.
//!
//! A link is a hint from outside. The token goes nowhere but to the configured origin, whatever a page says.

use url::{ParseError, Url, form_urlencoded};

use crate::{http, source::Next};

/// A longer link is no link.
pub const LINK_BYTES: usize = 8 * 1024;

/// `{base}/aos/jobs`.
pub fn jobs_url(base: &Url) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/aos/jobs", base.path().trim_end_matches('/')));
    url
}

/// The list from `skip` on, newest jobs first.
pub fn list(jobs: &Url, top: u32, skip: u32) -> Url {
    with_query(jobs, &[("top", &top.to_string()), ("skip", &skip.to_string()), ("orderby", "StartTime"), ("sortorder", "1")])
}

/// The jobs that the service's search finds for an id.
pub fn search(jobs: &Url, top: u32, id: &str) -> Url {
    with_query(jobs, &[("search", id), ("top", &top.to_string())])
}

fn after_token(jobs: &Url, top: u32, token: &str) -> Url {
    with_query(jobs, &[("top", &top.to_string()), ("orderby", "StartTime"), ("sortorder", "1"), ("skiptoken", token)])
}

fn with_query(jobs: &Url, pairs: &[(&str, &str)]) -> Url {
    let mut url = jobs.clone();
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    // A blank as `%20` is read alike everywhere; a plus sign itself is already `%2B` here.
    url.set_query(Some(&query.replace('+', "%20")));
    url
}

/// What a page's `nextLink` comes to: an absolute URL, a path with or without its prefix, or a token to be sent back as
/// `skiptoken`.
pub fn next(jobs: &Url, top: u32, said: &str) -> Next {
    let said = said.trim();
    if said.is_empty() {
        return Next::None;
    }
    match resolve(jobs, top, said) {
        Ok(url) => Next::Link(url.into()),
        Err(why) => Next::Unusable(why),
    }
}

fn resolve(jobs: &Url, top: u32, said: &str) -> Result<Url, String> {
    if said.len() > LINK_BYTES {
        return Err(format!("nextLink is longer than {LINK_BYTES} bytes"));
    }
    if said.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("nextLink is no URL: it has blanks in it".into());
    }
    match Url::parse(said) {
        Ok(url) => return own(jobs, url),
        Err(ParseError::RelativeUrlWithoutBase) if !said.contains("://") => {}
        Err(_) => return Err("nextLink is no URL".into()),
    }
    let (path, query) = match said.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (said, None),
    };
    if names(jobs, path) {
        // The vendor's sibling feeds leave out a part of their own path: only the query is new.
        let mut url = jobs.clone();
        url.set_query(query.map(|query| query.split('#').next().unwrap_or_default()));
        return Ok(url);
    }
    let is_path = path.starts_with(['/', '\\']) || (query.is_some() && !path.starts_with(['{', '[']));
    if is_path {
        let url = jobs.join(said).map_err(|_| "nextLink is no URL".to_owned())?;
        return own(jobs, url);
    }
    Ok(after_token(jobs, top, said))
}

/// Whether a path is the list's own, or the end of it.
fn names(jobs: &Url, path: &str) -> bool {
    let path = path.trim_start_matches("./").trim_matches('/');
    path.is_empty() || jobs.path().strip_suffix(path).is_some_and(|before| before.ends_with('/'))
}

/// The link a cursor holds, proved anew to be one that may be followed.
///
/// # Errors
/// Why it may not.
pub fn follow(jobs: &Url, link: &str) -> Result<Url, String> {
    own(jobs, Url::parse(link).map_err(|_| "the link to the next page is no URL".to_owned())?)
}

fn own(jobs: &Url, mut url: Url) -> Result<Url, String> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err("nextLink is no http(s) URL".into());
    }
    if url.origin() != jobs.origin() {
        return Err(format!("nextLink leads to {}, not to {}: it is not followed", http::origin(&url), http::origin(jobs)));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("nextLink names a user: it is not followed".into());
    }
    url.set_fragment(None);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn jobs(base: &str) -> Url {
        jobs_url(&base.parse().unwrap())
    }

    #[track_caller]
    fn check(base: &str, said: &str, expected: &str) {
        assert_eq!(next(&jobs(base), 50, said), Next::Link(expected.into()), "{said}");
    }

    const BASE: &str = "https://graph.example";

    #[test]
    fn asks_for_the_list_newest_first_and_for_one_job() {
        let at = |base| list(&jobs(base), 2, 4).to_string();
        assert_eq!(at(BASE), "https://graph.example/aos/jobs?top=2&skip=4&orderby=StartTime&sortorder=1");
        assert_eq!(at("http://127.0.0.1:81/gw/"), "http://127.0.0.1:81/gw/aos/jobs?top=2&skip=4&orderby=StartTime&sortorder=1");
        let found = search(&jobs(BASE), 9, "a b&top=1#é+%/?").to_string();
        assert_eq!(found, "https://graph.example/aos/jobs?search=a%20b%26top%3D1%23%C3%A9%2B%25%2F%3F&top=9");
    }

    #[test]
    fn follows_every_form_the_vendor_uses() {
        let own = "https://graph.example/aos/jobs?orderby=StartTime&sortorder=1&top=2&skip=1";
        check(BASE, own, own);
        check(BASE, &format!(" {own}#x "), own);
        check(BASE, "https://GRAPH.example:443/aos/jobs?skip=1", "https://graph.example/aos/jobs?skip=1");
        check(BASE, "/aos/jobs?skip=1", "https://graph.example/aos/jobs?skip=1");
        check(BASE, "aos/jobs?skip=1#x", "https://graph.example/aos/jobs?skip=1");
        check(BASE, "/jobs?pageIndex=2", "https://graph.example/aos/jobs?pageIndex=2");
        check(BASE, "jobs?pageIndex=2", "https://graph.example/aos/jobs?pageIndex=2");
        check(BASE, "?skip=1", "https://graph.example/aos/jobs?skip=1");
        check(BASE, "/other/list?skip=1", "https://graph.example/other/list?skip=1");
        check("https://gw.example/avepoint", "/aos/jobs?skip=1", "https://gw.example/avepoint/aos/jobs?skip=1");
        check("https://gw.example/avepoint", "/avepoint/aos/jobs?skip=1", "https://gw.example/avepoint/aos/jobs?skip=1");
        let token = |text: &str| format!("https://graph.example/aos/jobs?top=50&orderby=StartTime&sortorder=1&skiptoken={text}");
        check(BASE, "1231", &token("1231"));
        check(BASE, "eyJhIjoxfQ+/==", &token("eyJhIjoxfQ%2B%2F%3D%3D"));
        check(BASE, r#"{"a":"b?c"}"#, &token("%7B%22a%22%3A%22b%3Fc%22%7D"));
        check(BASE, "a&top=1", &token("a%26top%3D1"));
    }

    #[test]
    fn an_empty_link_is_the_end() {
        for said in ["", " ", "\n"] {
            assert_eq!(next(&jobs(BASE), 50, said), Next::None);
        }
    }

    #[test]
    fn never_follows_a_link_elsewhere() {
        for said in [
            "https://evil.example/aos/jobs?skip=1",
            "http://graph.example/aos/jobs",
            "https://graph.example:8443/aos/jobs",
            "https://graph.example.evil.example/aos/jobs",
            "https://graph.example@evil.example/aos/jobs",
            "https://user@graph.example/aos/jobs",
            "https://user:password@graph.example/aos/jobs",
            "//evil.example/aos/jobs?skip=1",
            "/\\evil.example/aos/jobs",
            "\\\\evil.example\\aos",
            "https:evil.example",
            "https:/evil.example/x",
            "ftp://graph.example/aos/jobs",
            "javascript:alert(1)",
            "data:,x",
            "file:///etc/passwd",
            "https://",
            "https://graph.example:bad/",
            "1://graph.example/",
            "not a url",
            "ht\ntps://graph.example/",
            "https://graph.example/aos/jobs?a\u{0}",
        ] {
            assert!(matches!(next(&jobs(BASE), 50, said), Next::Unusable(_)), "{said:?}: {:?}", next(&jobs(BASE), 50, said));
            assert!(follow(&jobs(BASE), said).is_err() || said.contains(['\n', '\u{0}']), "{said:?}");
        }
        let said = "https://evil.example/canary?token=canary";
        let why = "nextLink leads to https://evil.example, not to https://graph.example: it is not followed";
        assert_eq!(next(&jobs(BASE), 50, said), Next::Unusable(why.into()));
        assert!(matches!(next(&jobs(BASE), 50, &"a".repeat(LINK_BYTES + 1)), Next::Unusable(_)));
    }

    proptest! {
        #[test]
        fn whatever_is_said_the_origin_stays(said in prop_oneof![".{0,60}", r"(https?:)?[/\\]{0,3}[a-z@.:/?#\\]{0,30}", r"[?./\\a-z]{0,9}jobs[?#].{0,9}"]) {
            let jobs = jobs(BASE);
            if let Next::Link(link) = next(&jobs, 50, &said) {
                let url = Url::parse(&link).unwrap();
                prop_assert_eq!(url.origin(), jobs.origin());
                prop_assert!(url.username().is_empty() && url.password().is_none());
                prop_assert!(follow(&jobs, &link).is_ok());
            }
        }
    }
}
