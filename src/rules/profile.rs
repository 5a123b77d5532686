//! `profile`: globs and regular expressions over the scan profile's name.

use regex::{Regex, RegexBuilder};

use crate::{
    document::{Fault, Faults, Node, text_list},
    domain::Job,
};

use super::{
    Known,
    condition::{Facts, Lane, Test, either, twice},
    glob::{Folded, Glob},
    when::When,
};

/// How large a regular expression may become when compiled, in bytes; a larger one (`\w{1000}{1000}`) is refused.
pub(super) const REGEX_BYTES: usize = 1 << 20;

/// One of these patterns.
#[derive(Debug)]
pub(super) struct Patterns(Vec<Pattern>);

/// A pattern as it is written, and what it means.
#[derive(Debug)]
pub(super) struct Pattern {
    pub written: String,
    pub matcher: Matcher,
}

#[derive(Debug)]
pub(super) enum Matcher {
    /// Over the whole name, case ignored.
    Glob(Glob),
    /// Anywhere in the name, as written: `(?i)` ignores case.
    Regex(Regex),
}

impl Pattern {
    fn matches(&self, name: &str, folded: &Folded) -> bool {
        match &self.matcher {
            Matcher::Glob(glob) => glob.matches(folded),
            Matcher::Regex(regex) => regex.is_match(name),
        }
    }

    /// The one name that it matches, if it is that of a glob without signs.
    pub fn literal(&self) -> Option<&str> {
        let is_glob = matches!(self.matcher, Matcher::Glob(_));
        (is_glob && !self.written.contains(['*', '?', '[', ']', '{', '}', '\\', '!'])).then_some(self.written.as_str())
    }

    /// Whether it surely matches every name. Of a regular expression: it matches the empty text, and has nothing in it that
    /// looks at what stands around; then it matches an empty piece of any name.
    fn matches_all(&self) -> bool {
        const LOOKING_AROUND: [&str; 8] = ["^", "$", r"\b", r"\B", r"\A", r"\z", r"\<", r"\>"];
        match &self.matcher {
            Matcher::Glob(glob) => glob.matches_all(),
            Matcher::Regex(regex) => {
                let text = regex.as_str();
                ["^", "$", "^.*", ".*$"].contains(&text) || (regex.is_match("") && !LOOKING_AROUND.iter().any(|part| text.contains(part)))
            }
        }
    }
}

impl Patterns {
    pub fn matches(&self, name: &str) -> bool {
        self.matches_folded(name, &Folded::new(name))
    }

    fn matches_folded(&self, name: &str, folded: &Folded) -> bool {
        self.0.iter().any(|pattern| pattern.matches(name, folded))
    }

    pub fn all(&self) -> &[Pattern] {
        &self.0
    }

    /// Reads one pattern or a list of them. `all` is what to write in place of a pattern that matches every name, if that is odd.
    pub fn read(node: &Node, all: Option<&str>, faults: &mut Faults) -> Option<Self> {
        let mut patterns = Vec::new();
        for (item, written) in text_list(node, faults) {
            match matcher(&written) {
                Ok(matcher) => {
                    let pattern = Pattern { written, matcher };
                    if let Some(hint) = all.filter(|_| pattern.matches_all()) {
                        let fault = Fault::warning(&item.place, "this pattern matches every scan profile");
                        faults.push(fault.hint(hint));
                    }
                    if half_a_regex(&pattern.written) {
                        let fault = Fault::warning(&item.place, "this begins with `/` and does not end with one, so it is read as a glob");
                        faults.push(fault.hint("a regular expression stands between two: `/^scan .*/`"));
                    }
                    if patterns.iter().any(|known: &Pattern| known.written == pattern.written) {
                        twice(item, "pattern", &pattern.written, faults);
                    }
                    patterns.push(pattern);
                }
                // What the reader of patterns says repeats pieces of the text.
                Err(_) if item.filled => faults.error(item, "the value filled in is no glob and no /regular expression/"),
                Err(why) => faults.error(item, why),
            }
        }
        (!patterns.is_empty()).then_some(Self(patterns))
    }
}

fn matcher(written: &str) -> Result<Matcher, String> {
    let Some(rest) = written.strip_prefix('/') else {
        return Glob::new(written).map(Matcher::Glob).map_err(|why| format!("not a glob: {why}"));
    };
    match rest.rsplit_once('/') {
        Some((text, "")) => compile(text).map(Matcher::Regex),
        Some((text, flags)) if flags.chars().all(|c| "gimsuxy".contains(c)) => {
            Err(format!("no flags stand behind a /regular expression/: write `/(?{flags}){text}/`"))
        }
        // A name may begin with a slash.
        _ => Glob::new(written).map(Matcher::Glob).map_err(|why| format!("not a glob: {why}")),
    }
}

/// Whether a glob looks like a regular expression whose last slash was forgotten.
fn half_a_regex(written: &str) -> bool {
    written.len() > 1 && written.starts_with('/') && !written.ends_with('/') && written.contains(['(', ')', '^', '$', '+', '|', '.', '\\'])
}

fn compile(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(text).size_limit(REGEX_BYTES).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(limit) => format!("this regular expression is too large: compiled, it takes more than {limit} bytes"),
        other => {
            // The crate draws a picture over several lines; its last line says what is wrong.
            let told = other.to_string();
            let last = told.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            format!("not a regular expression: {last}")
        }
    })
}

pub(super) fn read(node: &Node, _: &Known<'_>, faults: &mut Faults) -> Option<Box<dyn Test>> {
    Patterns::read(node, Some("leave `profile` out to mean every one"), faults).map(|patterns| Box::new(patterns) as Box<dyn Test>)
}

impl Test for Patterns {
    fn holds(&self, facts: &Facts<'_>, _: &When) -> bool {
        self.0.iter().any(|pattern| match &pattern.matcher {
            Matcher::Glob(glob) => glob.matches(facts.folded()),
            Matcher::Regex(regex) => regex.is_match(&facts.job.profile),
        })
    }

    fn wanted(&self) -> String {
        either(self.0.iter().map(|pattern| &pattern.written))
    }

    fn found(&self, Facts { job: Job { profile, .. }, .. }: &Facts<'_>, _: &When) -> String {
        if profile.is_empty() { "no name".to_owned() } else { profile.clone() }
    }

    fn lane(&self) -> Lane<'_> {
        Lane::Profile(self)
    }
}
