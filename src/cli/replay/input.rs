//! Saved jobs: responses of `/aos/jobs` one by one, in a list or a line each, bare rows, and what `jobs --format json` printed.

use std::{collections::HashMap, io::Read};

use jiff::Timestamp;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, value::RawValue};

use super::{
    lenient::{decoded, place, strict},
    sighting::{JOBS_MOST, Sighting},
};
use crate::{
    domain::{Category, Job, JobType, Name, State},
    source::read_row,
};

/// The most that is read of one input: three million rows of the vendor's.
pub const INPUT_BYTES: u64 = 1 << 30;
/// How many rows that can't be read are told one by one; the rest are counted.
pub const FAULTS_TOLD: usize = 20;
/// How deep lists may lie in one another: pages in a list, and once more for those who put several such lists together.
const LISTS: u32 = 4;
/// How many rows are read between two words on how far it has come.
const ROWS_A_WORD: u64 = 4_096;

/// What an input holds.
#[derive(Debug, Default)]
pub struct Input {
    /// Every row that can be read, in the input's order.
    pub sightings: Vec<Sighting>,
    /// The first rows that can't, as `file:line:column: why`.
    pub faults: Vec<String>,
    /// How many can't be read in all.
    pub unreadable: u64,
    /// Whether the last response names a next page, which is not in the input then.
    pub goes_on: bool,
    /// Whether a job did not say whose it is, and was taken for [`Whose::Silent`]'s.
    pub presumed: bool,
}

/// Whose jobs those are that don't say it themselves.
#[derive(Debug, Clone, Copy)]
pub enum Whose<'n> {
    /// Every job is this source's, whatever it says itself.
    All(&'n Name),
    /// Jobs that don't say are this one's.
    Silent(&'n Name),
}

/// Reads one input to its end. `name` is what its faults call it; `progress` hears now and then how many rows there are.
///
/// # Errors
/// It can't be read, is too large, or is no JSON, in one line with its place.
pub fn read(name: &str, from: impl Read, whose: Whose<'_>, input: &mut Input, progress: &mut dyn FnMut(u64)) -> Result<(), String> {
    let mut bytes = Vec::new();
    from.take(INPUT_BYTES + 1).read_to_end(&mut bytes).map_err(|error| format!("can't read {name}: {error}"))?;
    if bytes.len() as u64 > INPUT_BYTES {
        return Err(format!("{name} is larger than {} MiB: split it, and give the parts one by one", INPUT_BYTES >> 20));
    }
    let text = strict(decoded(bytes));
    let mut reader = Reader { name, text: &text, whose, input, progress, rows: 0, names: HashMap::new() };
    if is_lines(&text) {
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            match serde_json::from_str::<&RawValue>(line) {
                Ok(raw) => reader.value(raw, 0)?,
                Err(error) => {
                    let at = reader.offset(line) + error.column().saturating_sub(1);
                    reader.fault(at, &format!("the line is no JSON: {}", words(&error)));
                }
            }
        }
        return Ok(());
    }
    let values = serde_json::Deserializer::from_str(&text).into_iter::<&RawValue>();
    let mut any = false;
    for value in values {
        any = true;
        match value {
            Ok(raw) => reader.value(raw, 0)?,
            Err(error) => {
                let column = error.column().saturating_sub(1);
                let line = text.split_inclusive('\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
                let column = 1 + line.get(..column).unwrap_or(line).chars().count();
                return Err(format!("{name}:{}:{column}: no JSON: {}", error.line(), words(&error)));
            }
        }
    }
    if any {
        Ok(())
    } else {
        Err(format!("{name} is empty: it is to hold a response of /aos/jobs, or what `jobrelay jobs --format json` prints"))
    }
}

/// Whether every line is a value by itself: then one that can't be read costs no other.
fn is_lines(text: &str) -> bool {
    let text = text.trim_start();
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    !rest.trim_start().is_empty() && serde_json::from_str::<IgnoredAny>(first).is_ok()
}

/// A reader's complaint without the place it adds, which is one of its own counting.
fn words(error: &serde_json::Error) -> String {
    let said = error.to_string();
    said.rsplit_once(" at line ").map_or(said.as_str(), |(words, _)| words).to_owned()
}

struct Reader<'r, 't> {
    name: &'r str,
    text: &'t str,
    whose: Whose<'r>,
    input: &'r mut Input,
    progress: &'r mut dyn FnMut(u64),
    rows: u64,
    /// The sources that rows name, each text held once.
    names: HashMap<String, Name>,
}

/// As much of an object as tells what it is.
#[derive(Deserialize)]
struct Peek<'a> {
    #[serde(borrow)]
    jobs: Option<&'a RawValue>,
    #[serde(borrow, rename = "nextLink")]
    next_link: Option<&'a RawValue>,
    id: Option<IgnoredAny>,
    source: Option<IgnoredAny>,
    profile: Option<IgnoredAny>,
    started: Option<IgnoredAny>,
    finished: Option<IgnoredAny>,
}

impl Reader<'_, '_> {
    fn value(&mut self, raw: &RawValue, depth: u32) -> Result<(), String> {
        match raw.get().as_bytes().first() {
            Some(b'[') if depth < LISTS => self.list(raw, depth),
            Some(b'{') => match serde_json::from_str::<Peek<'_>>(raw.get()) {
                // In a response there are rows alone, or there would be no end to it.
                Ok(Peek { jobs: Some(jobs), next_link, .. }) if depth <= LISTS => {
                    self.input.goes_on = next_link.is_some_and(|link| link.get().len() > "\"\"".len());
                    if jobs.get().starts_with('[') {
                        return self.list(jobs, LISTS);
                    }
                    self.fault(self.offset(jobs.get()), "`jobs` is no list");
                    Ok(())
                }
                Ok(Peek { id: None, .. }) => {
                    self.fault(self.offset(raw.get()), "neither a response of /aos/jobs (with `jobs`) nor a job (with `id`)");
                    Ok(())
                }
                Ok(peek) => self.row(raw, [peek.source, peek.profile, peek.started, peek.finished].iter().any(Option::is_some)),
                // A key that stands twice: the row's own reader knows what to make of it.
                Err(_) => self.row(raw, false),
            },
            _ => {
                self.fault(self.offset(raw.get()), "neither a response of /aos/jobs nor a job");
                Ok(())
            }
        }
    }

    fn list(&mut self, raw: &RawValue, depth: u32) -> Result<(), String> {
        let items: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(|error| format!("{}: {}", self.name, words(&error)))?;
        items.into_iter().try_for_each(|item| self.value(item, depth + 1))
    }

    fn row(&mut self, raw: &RawValue, is_view: bool) -> Result<(), String> {
        self.rows += 1;
        if self.rows.is_multiple_of(ROWS_A_WORD) {
            (self.progress)(self.rows);
        }
        let read = if is_view { self.view(raw.get()) } else { self.vendors(raw) };
        match read {
            Ok(_) if self.input.sightings.len() >= JOBS_MOST => {
                Err(format!("{} holds more than {JOBS_MOST} jobs: give a part of it", self.name))
            }
            Ok(sighting) => {
                self.input.sightings.push(sighting);
                Ok(())
            }
            Err(why) => {
                self.fault(self.offset(raw.get()), &why);
                Ok(())
            }
        }
    }

    /// A row as the vendor's API gives it.
    fn vendors(&mut self, raw: &RawValue) -> Result<Sighting, String> {
        let source = self.unsaid();
        let job = read_row(raw, &source).map_err(|bad| bad.why)?;
        Ok(Sighting { job, run: None })
    }

    /// Whose a row is that does not say it.
    fn unsaid(&mut self) -> Name {
        let (Whose::All(name) | Whose::Silent(name)) = self.whose;
        self.input.presumed |= matches!(self.whose, Whose::Silent(_));
        name.clone()
    }

    /// A row as `jobs --format json` prints it.
    fn view(&mut self, raw: &str) -> Result<Sighting, String> {
        let row: View = serde_json::from_str(raw).map_err(|error| words(&error))?;
        let source = match (self.whose, row.source) {
            (Whose::All(_), _) | (_, None) => self.unsaid(),
            (_, Some(said)) => self.names.entry(said).or_insert_with_key(|said| Name::from(said.as_str())).clone(),
        };
        if row.id.trim().is_empty() || row.id.contains(char::is_control) {
            return Err("`id` is empty, or has control characters".into());
        }
        let state = State::parse(&row.state.text()).ok_or("`state` is none of the known ones, and no number")?;
        let code = |said: Option<Code>| said.map(Code::text);
        let job = Job {
            source,
            id: row.id,
            kind: code(row.kind).and_then(|text| JobType::parse(&text)),
            state,
            started: row.started,
            // The state has the last word, as in the feed.
            finished: row.finished.filter(|_| state != State::Running),
            profile: row.profile.unwrap_or_default(),
            category: code(row.category).and_then(|text| Category::parse(&text)),
            extension: row.extension,
        };
        Ok(Sighting { job, run: row.run })
    }

    /// Where a part of the text stands in it.
    fn offset(&self, part: &str) -> usize {
        part.as_ptr().addr().saturating_sub(self.text.as_ptr().addr())
    }

    fn fault(&mut self, offset: usize, why: &str) {
        self.input.unreadable += 1;
        if self.input.faults.len() < FAULTS_TOLD {
            let (line, column) = place(self.text, offset);
            self.input.faults.push(format!("{}:{line}:{column}: {why}", self.name));
        }
    }
}

/// A row of `jobs --format json`, and what people write by its example.
#[derive(Deserialize)]
struct View {
    source: Option<String>,
    id: String,
    #[serde(rename = "type")]
    kind: Option<Code>,
    state: Code,
    started: Option<Timestamp>,
    finished: Option<Timestamp>,
    profile: Option<String>,
    category: Option<Code>,
    #[serde(default)]
    extension: Value,
    run: Option<u32>,
}

/// A name, or the API's number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Code {
    Number(i64),
    Word(String),
}

impl Code {
    fn text(self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Word(word) => word,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = r#"{"id":"a","type":0,"state":3,"startTime":"2024-09-26T05:58:40Z","finishTime":"2024-09-26T05:59:12Z","scanProfileName":"sites","category":0}"#;

    fn input(text: &str) -> Result<Input, String> {
        let mut input = Input::default();
        read("in.json", text.as_bytes(), Whose::Silent(&Name::from("contoso")), &mut input, &mut |_| {}).map(|()| input)
    }

    fn ids(input: &Input) -> Vec<&str> {
        input.sightings.iter().map(|sighting| sighting.job.id.as_str()).collect()
    }

    #[test]
    fn every_shape_of_input_gives_its_jobs() {
        let other = ROW.replace("\"a\"", "\"b\"");
        for text in [
            format!("{{\"jobs\":[{ROW},{other}],\"nextLink\":null,\"totalCount\":2}}"),
            format!("[{{\"jobs\":[{ROW}]}},{{\"jobs\":[{other}]}}]"),
            format!("[{ROW},{other}]"),
            format!("[[{ROW}],[{{\"jobs\":[{other},]}}],]"),
            format!("{{\"jobs\":[{ROW}]}}\n\n{{\"jobs\":[{other}]}}\n"),
            format!("{ROW}\n{other}"),
            format!("{{\n\"jobs\":[{ROW}]\n}}\n{{\n\"jobs\":[{other}]\n}}"),
            format!("\u{feff}// saved\n{{\"jobs\": [\n  {ROW}, // one\n  {other},\n]}}"),
        ] {
            let input = input(&text).unwrap();
            assert_eq!((ids(&input), input.unreadable), (vec!["a", "b"], 0), "{text}");
            let job = &input.sightings[0].job;
            assert_eq!((job.source.as_str(), job.profile.as_str(), job.state), ("contoso", "sites", State::Failed));
        }
    }

    #[test]
    fn what_the_list_of_jobs_prints_reads_back() {
        let job = input(ROW).unwrap().sightings.remove(0).job;
        let mut view = serde_json::to_value(crate::domain::JobView::from(&job)).unwrap();
        view["source"] = "fabrikam".into();
        view["run"] = 3.into();
        let read = input(&serde_json::to_string_pretty(&[view]).unwrap()).unwrap();
        assert_eq!(read.sightings[0], Sighting { job: Job { source: Name::from("fabrikam"), ..job }, run: Some(3) });
    }

    #[test]
    fn a_name_given_counts_for_every_job_and_one_presumed_for_those_that_need_it() {
        let text = format!("[{ROW}, {{\"source\":\"fabrikam\",\"id\":\"b\",\"state\":\"failed\"}}]");
        let read = |whose: Whose<'_>| {
            let mut input = Input::default();
            read("in.json", text.as_bytes(), whose, &mut input, &mut |_| {}).unwrap();
            input
        };
        let acme = Name::from("acme");
        let sources = |input: &Input| input.sightings.iter().map(|s| s.job.source.to_string()).collect::<Vec<_>>();
        assert_eq!(sources(&read(Whose::All(&acme))), ["acme", "acme"]);
        assert_eq!(sources(&read(Whose::Silent(&acme))), ["acme", "fabrikam"]);
        assert!(read(Whose::Silent(&acme)).presumed && !read(Whose::All(&acme)).presumed);
    }

    #[test]
    fn a_row_that_can_t_be_read_is_told_with_its_place_and_costs_no_other() {
        let text = format!(
            "{{ \"jobs\": [\n  {ROW},\n  /* e */ {{\"id\":7}},\n  null, {{\"x\":1}},\n  {{\"id\":\"v\",\"profile\":\"p\",\"state\":\"fail\"}} ] }}"
        );
        let read = input(&text).unwrap();
        assert_eq!(ids(&read), ["a"]);
        let expected = [
            "in.json:3:11: `id` is no text",
            "in.json:4:3: neither a response of /aos/jobs nor a job",
            "in.json:4:9: neither a response of /aos/jobs (with `jobs`) nor a job (with `id`)",
            "in.json:5:3: `state` is none of the known ones, and no number",
        ];
        assert_eq!((read.faults.as_slice(), read.unreadable), (&expected.map(str::to_owned)[..], 4));
    }

    #[test]
    fn a_line_that_is_broken_costs_no_other() {
        let read = input(&format!("{ROW}\n{{\"id\": \"b\", \n{}\n", ROW.replace("\"a\"", "\"c\""))).unwrap();
        assert_eq!(ids(&read), ["a", "c"]);
        assert_eq!(read.unreadable, 1);
        assert!(read.faults[0].starts_with("in.json:2:"), "{:?}", read.faults);
    }

    #[test]
    fn what_is_no_json_at_all_is_refused_with_its_place() {
        for (text, part) in [
            ("", "in.json is empty"),
            ("// nothing\n", "in.json is empty"),
            ("<html>", "in.json:1:1: no JSON: "),
            ("{\"jobs\": [\n  {\"id\": é}", "in.json:2:10: no JSON: expected value"),
            ("{\"jobs\": [", "in.json:1:10: no JSON: EOF while parsing"),
        ] {
            let why = input(text).unwrap_err();
            assert!(why.starts_with(part), "{text}: {why}");
        }
    }

    #[test]
    fn what_lies_too_deep_is_a_fault_like_any_other() {
        for (open, close) in [("[", "]"), ("{\"jobs\":[", "]}"), ("[{\"jobs\":[", "]}]")] {
            let read = input(&format!("{}{ROW}{}", open.repeat(100_000), close.repeat(100_000))).unwrap();
            assert_eq!((read.sightings.len(), read.unreadable), (0, 1), "{open}");
        }
    }

    #[test]
    fn more_faults_than_are_told_are_counted() {
        let read = input(&format!("[{}{ROW}]", "1,".repeat(FAULTS_TOLD + 5))).unwrap();
        assert_eq!((ids(&read).len(), read.faults.len(), read.unreadable), (1, FAULTS_TOLD, FAULTS_TOLD as u64 + 5));
    }

    #[test]
    fn a_next_page_that_is_not_there_is_noticed() {
        let page = |link: &str| format!("{{\"jobs\":[{ROW}],\"nextLink\":{link}}}");
        assert!(input(&page("\"https://a.example/aos/jobs?skip=1\"")).unwrap().goes_on);
        for link in ["null", "\"\""] {
            assert!(!input(&page(link)).unwrap().goes_on);
        }
        assert!(!input(&format!("[{},{}]", page("\"x\""), page("null"))).unwrap().goes_on);
    }
}
