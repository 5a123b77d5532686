//! From text to the tree, by `serde-saphyr`, within bounds that no honest file meets.

use std::{fmt, sync::Arc};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::{Error, Location, Spanned, options::DuplicateKeyPolicy};

use super::{FILE_BYTES, Fault, Faults, Node, Place, Source, Value, slip};

/// How deep values may nest; reading recurses, and no rule of ours needs half of it.
const DEPTH: usize = 64;
/// The stack it is read on: three times what [`DEPTH`] needs in a build without optimisation, whatever thread asks.
const STACK: usize = 8 * 1024 * 1024;
/// How many nodes one file may hold: what fits into [`FILE_BYTES`] in honest YAML.
const NODES: usize = 1_000_000;
/// How many nodes aliases may repeat in all: enough for shared settings, too few for a file that unfolds without end.
const REPEATED: usize = 10_000;

/// Reads one document. A syntax error is added to `faults`, and there is no tree then.
pub fn parse(source: &Arc<Source>, faults: &mut Faults) -> Option<Node> {
    if source.text.len() > FILE_BYTES {
        faults.push(Fault::error(&start_of(source), format!("the file is larger than {FILE_BYTES} bytes")));
        return None;
    }
    let read = std::thread::scope(|scope| {
        let reader = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || read(source)).ok()?;
        reader.join().ok()
    });
    let fault = match read {
        Some(Ok(node)) => return Some(node),
        Some(Err(fault)) => fault,
        None => Fault::error(&start_of(source), "can't be read: the machine gives no thread to read it on"),
    };
    faults.break_off(source);
    faults.push(fault);
    None
}

fn read(source: &Arc<Source>) -> Result<Node, Fault> {
    let options = serde_yaml::options! {
        budget: serde_yaml::budget! { max_depth: DEPTH, flow_nesting_limit: DEPTH, max_nodes: NODES, max_events: 2 * NODES },
        alias_limits: serde_yaml::alias_limits! { max_total_replayed_events: REPEATED },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
        with_snippet: false,
    };
    let raw = serde_yaml::from_str_with_options::<Spanned<Raw>>(&source.text, options).map_err(|error| {
        let error = error.without_snippet();
        let place = error.location().map_or_else(|| start_of(source), |at| place_of(&at, source));
        let place = culprit(error, source, place.line).unwrap_or(place);
        let words = words(error);
        slip::tab(source, &words, &place).unwrap_or_else(|| {
            let hint = slip::hint(&words).map(str::to_owned);
            Fault { hint, ..Fault::error(&place, format!("not valid YAML: {words}")) }
        })
    })?;
    Ok(placed(raw, source))
}

/// What is wrong, in words that repeat nothing of the file: the text of a broken document may be a secret's.
fn words(error: &Error) -> String {
    let fixed = match error {
        Error::MultipleDocuments { .. } => "a second document begins here (`---`): a file holds one",
        Error::NonFiniteFloat { .. } => "`.nan` and `.inf` are no numbers here",
        Error::SerdeInvalidType { .. } | Error::SerdeInvalidValue { .. } | Error::QuotingRequired { .. } => "a value that can't be read",
        Error::Budget { .. } => "too many values, or nested too deep",
        Error::AliasReplayLimitExceeded { .. } | Error::AliasExpansionLimitExceeded { .. } => "aliases (`*name`) repeat too much",
        Error::AliasReplayStackDepthExceeded { .. } => "aliases (`*name`) lie within aliases too deep",
        Error::AliasError { error, .. } => return words(error),
        Error::RecursiveReferencesRequireWeakTypes { .. } => "an alias (`*name`) lies within what it stands for",
        other => {
            let message = other.to_string();
            // The place is shown by itself; the reader's own words for it are cut off.
            return message.split(" at line ").next().unwrap_or(&message).to_owned();
        }
    };
    fixed.to_owned()
}

/// Where the reader names the line in which it noticed, and the cause stands in another: the `---` above what follows it, the tab
/// below the value that it was in.
fn culprit(error: &Error, source: &Arc<Source>, noticed: usize) -> Option<Place> {
    let mut begin = 0;
    let lines: Vec<(usize, usize, &str)> = (1..)
        .zip(source.text.split_inclusive('\n'))
        .map(|(line, text)| {
            begin += text.len();
            (line, begin - text.len(), text)
        })
        .collect();
    let (line, from, column, width) = if matches!(error, Error::MultipleDocuments { .. }) {
        let (line, from, _) = lines.iter().rev().find(|(line, _, text)| *line <= noticed && text.starts_with("---"))?;
        (*line, *from, 1, 3)
    } else if error.to_string().contains("found a tab") {
        let indent = |text: &&str| text.chars().take_while(|c| [' ', '\t'].contains(c)).position(|c| c == '\t');
        let (line, from, tab) =
            lines.iter().filter(|(line, ..)| *line > noticed).find_map(|(line, from, text)| Some((line, from, indent(text)?)))?;
        (*line, *from + tab, tab + 1, 1)
    } else {
        return None;
    };
    Some(Place { source: Arc::clone(source), line, column, bytes: from..from + width })
}

fn start_of(source: &Arc<Source>) -> Place {
    Place { source: Arc::clone(source), line: 1, column: 1, bytes: 0..0 }
}

fn place_of(at: &Location, source: &Arc<Source>) -> Place {
    let line = usize::try_from(at.line()).unwrap_or(1).max(1);
    let column = usize::try_from(at.column()).unwrap_or(1).max(1);
    let bytes = match (at.span().byte_offset(), at.span().byte_len()) {
        (Some(start), Some(len)) => {
            let start = usize::try_from(start).unwrap_or(0);
            start..start + usize::try_from(len).unwrap_or(0)
        }
        _ => 0..0,
    };
    let bytes = if source.text.get(bytes.clone()).is_some() { bytes } else { 0..0 };
    Place { source: Arc::clone(source), line, column, bytes }
}

fn placed(raw: Spanned<Raw>, source: &Arc<Source>) -> Node {
    let place = place_of(&raw.referenced, source);
    let value = match raw.value {
        Raw::Null => Value::Null,
        Raw::Bool(b) => Value::Bool(b),
        Raw::Int(i) => Value::Int(i),
        Raw::Float(f) => Value::Float(f),
        Raw::Text(t) => Value::Text(t),
        Raw::List(items) => Value::List(items.into_iter().map(|item| placed(item, source)).collect()),
        Raw::Map(entries) => Value::Map(entries.into_iter().map(|(k, v)| (placed(k, source), placed(v, source))).collect()),
    };
    Node { value, place, filled: false }
}

enum Raw {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<Raw>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }
    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }
    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        deserializer.deserialize_any(self)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Int(value))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        // A number past i64 is no count, port or code of ours; as a float it fails the reader that wanted a whole one.
        Ok(i64::try_from(value).map_or(Raw::Float(value as f64), Raw::Int))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Float(value))
    }
    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = access.next_key()? {
            entries.push((key, access.next_value()?));
        }
        Ok(Raw::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> (Option<Node>, Vec<String>) {
        let source = Arc::new(Source { path: "x.yaml".into(), text: text.to_owned() });
        let mut faults = Faults::default();
        let node = parse(&source, &mut faults);
        let told = faults.sorted().iter().map(|f| format!("{}:{} {}", f.place.line, f.place.column, f.message)).collect();
        (node, told)
    }

    /// Every scalar as `line:column text-it-covers`, in the file's order.
    fn scalars(node: &Node, found: &mut Vec<String>) {
        match &node.value {
            Value::List(items) => items.iter().for_each(|item| scalars(item, found)),
            Value::Map(entries) => entries.iter().for_each(|(key, value)| {
                scalars(key, found);
                scalars(value, found);
            }),
            _ => {
                let covered = node.place.source.text.get(node.place.bytes.clone()).unwrap();
                found.push(format!("{}:{} {covered}", node.place.line, node.place.column));
            }
        }
    }

    #[test]
    fn every_value_knows_its_place_in_characters() {
        let text = "a: 'q x' # c\nä: [b, \"c\"]\nm: { ü: 1, y: ~ }\nz:\n  - plain\r\nw: &w v\nu: *w\n";
        let mut found = Vec::new();
        scalars(&parsed(text).0.unwrap(), &mut found);
        let expected = [
            "1:1 a",
            "1:4 'q x'",
            "2:1 ä",
            "2:5 b",
            "2:8 \"c\"",
            "3:1 m",
            "3:6 ü",
            "3:9 1",
            "3:12 y",
            "3:15 ~",
            "4:1 z",
            "5:5 plain",
            "6:1 w",
            "6:7 v",
            "7:1 u",
            "7:4 *w",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn the_extent_of_a_value_takes_in_all_below_it() {
        let (node, _) = parsed("k:\n  - {a: 1, b: [x, y]}\n  - \"two\n    lines\"\nl: 2\n");
        let extent = node.unwrap().peek("k").unwrap().extent();
        assert!(extent.start <= 5 && extent.end >= 44, "{extent:?}");
        for value in ["[a, {b: [c, d], e: {}}, ]", "{ x: [] }", "[]", "plain", "'quoted'", "[[1], {a: b }\n ]"] {
            let text = format!("k: {value} # ]\nl: 2\n");
            let (node, _) = parsed(&text);
            let extent = node.unwrap().peek("k").unwrap().extent();
            assert_eq!(text.get(extent), Some(value));
        }
    }

    #[test]
    fn syntax_errors_have_a_place_and_repeat_nothing_of_the_file() {
        for (text, expected) in [
            ("a: [canary, b\nc: d\n", "2:2 not valid YAML: illegal placement of ':' indicator"),
            ("a: canary: b\n", "1:10 not valid YAML: mapping values are not allowed in this context"),
            ("a: 'canary\n", "1:4 not valid YAML: unclosed quote"),
            ("a: *canary\n", "1:4 not valid YAML: alias references unknown anchor"),
            ("a: \"canary\\q\"\n", "1:4 not valid YAML: while parsing a quoted scalar, found unknown escape character"),
            ("a: @canary\n", "1:4 not valid YAML: unexpected character: `@'"),
            ("a: !!int canary\n", "1:10 not valid YAML: invalid u64"),
            ("a: 1\n---\nb: canary\n", "2:1 not valid YAML: a second document begins here (`---`): a file holds one"),
            ("a: 1\n# x\n--- # canary\n\n# y\nb: canary\n", "3:1 not valid YAML: a second document begins here (`---`): a file holds one"),
            ("a:\n  b: canary\n\tc: d\n", "3:1 not valid YAML: a tab stands in the indentation of this line"),
            ("a:\n  b: canary\n \tc: d\n", "3:2 not valid YAML: a tab stands in the indentation of this line"),
            ("a: &x { b: *x }\n", "1:12 not valid YAML: an alias (`*name`) lies within what it stands for"),
            ("a: .nan\n", "1:4 not valid YAML: `.nan` and `.inf` are no numbers here"),
        ] {
            let (node, told) = parsed(text);
            assert!(node.is_none(), "{text}");
            assert_eq!(told, [expected], "{text}");
        }
    }

    #[test]
    fn what_would_unfold_or_nest_without_end_is_refused_at_once() {
        let aliases = |of: char| vec![format!("*{of}"); 9].join(",");
        let bomb: String = ('b'..='m').fold("a: &a [x,x,x,x,x,x,x,x,x]\n".into(), |text, name| {
            let before = char::from_u32(name as u32 - 1).unwrap();
            format!("{text}{name}: &{name} [{}]\n", aliases(before))
        });
        let deep_block = (0..2_000).map(|depth| " ".repeat(depth) + "a:\n").collect::<String>();
        let keys = (0..1_000).map(|n| n.to_string() + ": 1, ").collect::<String>();
        let wide_merge = format!("a: &a {{{keys}}}\nb:\n{}", "  - <<: *a\n".repeat(1_000));
        for text in [bomb, "[".repeat(100_000), "{a: ".repeat(100_000), deep_block, "- ".repeat(100_000), wide_merge, "? ".repeat(50_000)] {
            let began = Instant::now();
            let (node, told) = parsed(&text);
            assert!(node.is_none() && told.len() == 1, "{told:?}");
            // Unbounded, each takes minutes or all memory.
            assert!(began.elapsed() < Duration::from_secs(20), "{:?} for {}", began.elapsed(), &text[..40]);
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[ -~\nä\t]{0,80}|([a-c]: |- |\\[|\\]|\\{|\\}|&a|\\*a|<<: |'|\"|#| |\n|\\||>|!!|%|---\n|~|1){0,40}") {
            let (node, told) = parsed(&text);
            prop_assert_eq!(node.is_some(), told.is_empty());
            if let Some(node) = node {
                scalars(&node, &mut Vec::new());
                prop_assert!(text.get(node.extent()).is_some());
            }
        }
    }
}
