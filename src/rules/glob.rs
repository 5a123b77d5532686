//! Globs over whole names, case ignored.
//!
//! Own code, and not the globset crate: that one matches paths byte by byte, so that its `?` is no `ü`, its case no `Ü`, and
//! its `**` a folder. The tests hold the two against each other where they must agree.

/// How many ways `{a,b}` may multiply into; a glob with more is refused.
const ALTERNATIVES: usize = 256;

/// A glob: `*` any text, `?` one character, `[a-z]` one of these, `[!a-z]` one of the others, `{a,b}` either, `\` takes the
/// next character as it is.
#[derive(Debug)]
pub(super) struct Glob(Vec<Vec<Token>>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Char(char),
    One,
    Many,
    Class { but: bool, ranges: Vec<(char, char)> },
}

/// A name in the form globs match: a character each, case folded.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Folded(Vec<char>);

impl Folded {
    pub fn new(name: &str) -> Self {
        Self(name.chars().map(fold).collect())
    }

    pub fn chars(&self) -> &[char] {
        &self.0
    }
}

/// One character for one, so that `?` counts what a person counts: of upper and lower case, the lower one.
fn fold(c: char) -> char {
    if c.is_ascii() {
        return c.to_ascii_lowercase();
    }
    let single = |mut it: Box<dyn Iterator<Item = char>>| match (it.next(), it.next()) {
        (Some(one), None) => Some(one),
        _ => None,
    };
    // By way of the upper case, which joins what has two lower ones (the two sigmas).
    let upper = single(Box::new(c.to_uppercase())).unwrap_or(c);
    single(Box::new(upper.to_lowercase())).unwrap_or(upper)
}

impl Glob {
    /// Reads a glob.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &str) -> Result<Self, String> {
        let mut reader = Reader { chars: text.chars().collect(), at: 0 };
        let ways = reader.sequence(0)?;
        match reader.peek() {
            None => Ok(Self(ways)),
            Some(c) => Err(format!("`{c}` closes nothing; write `\\{c}` for the character itself")),
        }
    }

    /// Whether the whole name matches.
    pub fn matches(&self, name: &Folded) -> bool {
        self.0.iter().any(|tokens| matches(tokens, &name.0))
    }

    /// Whether every name matches.
    pub fn matches_all(&self) -> bool {
        self.0.iter().any(|tokens| !tokens.is_empty() && tokens.iter().all(|t| *t == Token::Many))
    }

    /// What its matches begin with, and whether they are just that; one for each alternative.
    pub fn heads(&self) -> impl Iterator<Item = (Vec<char>, bool)> + '_ {
        self.0.iter().map(|tokens| {
            let head: Vec<char> = tokens.iter().map_while(|t| if let Token::Char(c) = t { Some(*c) } else { None }).collect();
            let whole = head.len() == tokens.len();
            (head, whole)
        })
    }

    /// What its matches end with; one for each alternative.
    pub fn tails(&self) -> impl Iterator<Item = Vec<char>> + '_ {
        self.0.iter().map(|tokens| {
            let mut tail: Vec<char> = tokens.iter().rev().map_while(|t| if let Token::Char(c) = t { Some(*c) } else { None }).collect();
            tail.reverse();
            tail
        })
    }
}

/// Each `*` takes as little as it can; only the last one met is ever widened, which is enough, since what an earlier one
/// would take more the later one can take too.
fn matches(tokens: &[Token], name: &[char]) -> bool {
    let (mut t, mut n) = (0, 0);
    let mut widen: Option<(usize, usize)> = None;
    loop {
        match (tokens.get(t), name.get(n)) {
            (None, None) => return true,
            (Some(Token::Many), _) => {
                widen = Some((t + 1, n));
                t += 1;
                continue;
            }
            (Some(token), Some(c)) if token.takes(*c) => {
                t += 1;
                n += 1;
                continue;
            }
            _ => {}
        }
        match &mut widen {
            Some((after, from)) if *from < name.len() => {
                *from += 1;
                (t, n) = (*after, *from);
            }
            _ => return false,
        }
    }
}

impl Token {
    fn takes(&self, folded: char) -> bool {
        match self {
            Self::Char(c) => *c == folded,
            Self::One | Self::Many => true,
            Self::Class { but, ranges } => {
                let within = |c: char| ranges.iter().any(|(from, to)| (*from..=*to).contains(&c));
                // The ranges are as written: `[A-Z]` takes `a`.
                *but != (within(folded) || folded.to_uppercase().any(within))
            }
        }
    }
}

struct Reader {
    chars: Vec<char>,
    at: usize,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    /// Up to the end, or to what ends an alternative of the braces around it.
    fn sequence(&mut self, braces: usize) -> Result<Vec<Vec<Token>>, String> {
        let mut ways: Vec<Vec<Token>> = vec![Vec::new()];
        while let Some(c) = self.peek() {
            if c == '}' || (c == ',' && braces > 0) {
                break;
            }
            self.at += 1;
            let token = match c {
                '*' => Token::Many,
                '?' => Token::One,
                '[' => self.class()?,
                '\\' => Token::Char(fold(self.next().ok_or("a `\\` at the end takes no character; write `\\\\` for a `\\`")?)),
                '{' => {
                    let inner = self.braces(braces + 1)?;
                    if ways.len() * inner.len() > ALTERNATIVES {
                        return Err(format!("its braces make more than {ALTERNATIVES} alternatives"));
                    }
                    ways = ways.iter().flat_map(|way| inner.iter().map(|end| [way.as_slice(), end].concat())).collect();
                    continue;
                }
                other => Token::Char(fold(other)),
            };
            for way in &mut ways {
                // Two stars are as good as one.
                if token != Token::Many || way.last() != Some(&Token::Many) {
                    way.push(token.clone());
                }
            }
        }
        Ok(ways)
    }

    fn braces(&mut self, depth: usize) -> Result<Vec<Vec<Token>>, String> {
        /// How deep braces may nest: deeper ones say nothing that flat ones can't.
        const NESTED: usize = 8;
        if depth > NESTED {
            return Err(format!("its braces nest deeper than {NESTED}"));
        }
        let mut all = Vec::new();
        loop {
            all.extend(self.sequence(depth)?);
            if all.len() > ALTERNATIVES {
                return Err(format!("its braces make more than {ALTERNATIVES} alternatives"));
            }
            match self.next() {
                Some(',') => {}
                Some(_) => return Ok(all),
                None => return Err("a `{` is not closed; write `\\{` for the character itself".into()),
            }
        }
    }

    fn class(&mut self) -> Result<Token, String> {
        let open = || "a `[` is not closed; write `\\[` for the character itself".to_owned();
        let but = matches!(self.peek(), Some('!' | '^'));
        self.at += usize::from(but);
        let mut ranges = Vec::new();
        loop {
            let from = match self.next().ok_or_else(open)? {
                // The first one is a member, as in a shell.
                ']' if !ranges.is_empty() => return Ok(Token::Class { but, ranges }),
                '\\' => self.next().ok_or_else(open)?,
                c => c,
            };
            let range = self.peek() == Some('-') && self.chars.get(self.at + 1).is_some_and(|c| *c != ']');
            if !range {
                ranges.push((from, from));
                continue;
            }
            self.at += 1;
            let to = match self.next().ok_or_else(open)? {
                '\\' => self.next().ok_or_else(open)?,
                c => c,
            };
            if from > to {
                return Err(format!("the range `{from}-{to}` runs backwards"));
            }
            ranges.push((from, to));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(glob: &str, yes: &[&str], no: &[&str]) {
        let compiled = Glob::new(glob).unwrap();
        for name in yes {
            assert!(compiled.matches(&Folded::new(name)), "`{glob}` must match `{name}`");
        }
        for name in no {
            assert!(!compiled.matches(&Folded::new(name)), "`{glob}` must not match `{name}`");
        }
    }

    #[test]
    fn a_glob_covers_the_whole_name_and_ignores_case() {
        check(
            "scan sharepoint*",
            &["scan sharepoint", "Scan SharePoint Sites", "SCAN SHAREPOINT/a\nb"],
            &["a scan sharepoint", "scan share"],
        );
        check("*site?", &["Sites", "my/sites", "siteß"], &["site", "sites!x"]);
        check("**", &["", "x/y"], &[]);
        check("", &[""], &["x"]);
        check("a*b*c", &["abc", "aXbXbc", "abcbc"], &["ab", "acb"]);
        check("größe ?", &["GRÖSSE x".replace("SS", "ẞ").as_str(), "Größe Ü"], &["größe "]);
        check("ΟΔΟΣ*", &["οδος 1", "οδοσ"], &["οδο"]);
        check("[A-C]x[!0-9]", &["ax_", "BXé"], &["dx_", "ax5"]);
        check("[ä]{,s}", &["Ä", "äs"], &["a"]);
        check("{nightly,weekly} {eu,us}", &["Nightly EU", "weekly us"], &["nightly", "monthly eu"]);
        check(r"what\? \[1\]", &["What? [1]"], &["whatx [1]"]);
        check("[]]a[a-]", &["]a-", "]aa"], &["xa-"]);
        check("a,b", &["a,b"], &["a"]);
    }

    #[test]
    fn a_bad_glob_says_what_is_wrong() {
        for (glob, part) in [
            ("[a", "`[` is not closed"),
            ("{a,b", "`{` is not closed"),
            ("a}", "`}` closes nothing"),
            ("a\\", "at the end"),
            ("[z-a]", "backwards"),
        ] {
            let error = Glob::new(glob).unwrap_err();
            assert!(error.contains(part), "{glob}: {error}");
        }
        assert!(Glob::new(&"{a,b}".repeat(9)).unwrap_err().contains("256"));
        assert!(Glob::new(&"{".repeat(100_000)).is_err());
    }

    #[test]
    fn what_matches_all_is_known() {
        for (glob, all) in [("*", true), ("**", true), ("{a,*}", true), ("", false), ("?*", false), ("a*", false)] {
            assert_eq!(Glob::new(glob).unwrap().matches_all(), all, "{glob}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_globset_on_plain_text(glob in "[ab*?]{0,12}", name in "[abAB]{0,20}") {
            let ours = Glob::new(&glob).unwrap().matches(&Folded::new(&name));
            let theirs = globset::GlobBuilder::new(&glob).case_insensitive(true).build().unwrap().compile_matcher().is_match(&name);
            prop_assert_eq!(ours, theirs);
        }

        #[test]
        fn reads_anything_and_stays_quick(glob in "\\PC{0,60}", name in "\\PC{0,60}") {
            if let Ok(glob) = Glob::new(&glob) {
                let _ = glob.matches(&Folded::new(&name));
            }
        }

        #[test]
        fn every_match_has_its_head_and_tail(glob in "[ab*?{},]{0,12}", name in "[ab]{0,12}") {
            if let Ok(glob) = Glob::new(&glob) {
                let name = Folded::new(&name);
                if glob.matches(&name) {
                    let begins = |(head, whole): (Vec<char>, bool)| if whole { head == name.chars() } else { name.chars().starts_with(&head) };
                    prop_assert!(glob.heads().any(begins));
                    prop_assert!(glob.tails().any(|tail| name.chars().ends_with(&tail)));
                }
            }
        }
    }
}
