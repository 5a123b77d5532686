//! The registries: one for each way of escaping, so that no template can be rendered with another's.

use std::{
    collections::{BTreeMap, HashMap},
    fmt, io,
    sync::{Arc, OnceLock},
};

use handlebars::{Handlebars, RenderContext, RenderError, RenderErrorReason, Renderable, Template, WriteOutput};

use super::{
    compile,
    escape::escape,
    helpers,
    part::{BuiltIn, Landing, Part},
    steps::{self, Budget},
    view::View,
    whole,
};
use crate::document::{Fault, Source};

/// The most a template may render to. No channel takes a quarter of it; it keeps one that loops within a loop from filling
/// the memory.
pub const RENDERED_BYTES: usize = 1024 * 1024;

/// Why there is no text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RenderFailure {
    /// It would exceed [`RENDERED_BYTES`], or, built in, the bound on steps; with fewer jobs shown it may not.
    TooLarge,
    /// The template failed: file, line and what was wrong, in one line.
    Failed(String),
}

impl fmt::Display for RenderFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(f, "the template makes more than {RENDERED_BYTES} bytes"),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

impl From<RenderFailure> for String {
    fn from(failure: RenderFailure) -> Self {
        failure.to_string()
    }
}

/// A compiled template, and the file it came from.
#[derive(Debug)]
struct Compiled {
    template: Template,
    source: Arc<Source>,
}

impl Compiled {
    fn new(name: &str, mut template: Template, source: Arc<Source>) -> Self {
        template.name = Some(name.to_owned());
        steps::count(&mut template);
        Self { template, source }
    }
}

/// The ways of escaping, and the user's compiled templates by their names.
#[derive(Debug)]
pub(super) struct Engine {
    registries: BTreeMap<Landing, Handlebars<'static>>,
    templates: HashMap<String, Compiled>,
}

/// A built-in template, compiled when it is first used, once for all configs: to compile all of them would take most of a start's
/// time.
fn built_in(set: BuiltIn, part: Part) -> Option<&'static Compiled> {
    const PARTS: usize = Part::ALL.len();
    static COMPILED: [[OnceLock<Option<Compiled>>; PARTS]; BuiltIn::ALL.len()] =
        [const { [const { OnceLock::new() }; PARTS] }; BuiltIn::ALL.len()];
    let compile = || {
        let path = format!("templates/{}/{} (built in)", set.name(), part.file());
        let source = Arc::new(Source { path: path.into(), text: part.built_in(set).to_owned() });
        // The tests compile and check every one of them; of one that does not, the rendering would fail.
        let template = Template::compile(&source.text).ok()?;
        Some(Compiled::new(&name(set.name(), part), template, source))
    };
    COMPILED.get(set as usize)?.get(part as usize)?.get_or_init(compile).as_ref()
}

/// A user's template's name.
pub(super) fn name(set: &str, part: Part) -> String {
    format!("{set}/{}", part.file())
}

impl Default for Engine {
    /// Without templates of the user's.
    fn default() -> Self {
        let registries = Landing::ALL.iter().map(|landing| (*landing, registry(*landing))).collect();
        Self { registries, templates: HashMap::new() }
    }
}

impl Engine {
    pub(super) fn put(&mut self, name: &str, template: Template, source: Arc<Source>) {
        self.templates.insert(name.to_owned(), Compiled::new(name, template, source));
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.templates.remove(name);
    }

    pub(super) fn render(&self, landing: Landing, name: &str, view: &View) -> Result<String, RenderFailure> {
        let missing = || RenderFailure::Failed(format!("the template {name} is not there"));
        self.said_of(landing, self.templates.get(name).ok_or_else(missing)?, view, &Budget::of_users())
    }

    pub(super) fn render_built_in(&self, set: BuiltIn, part: Part, view: &View) -> Result<String, RenderFailure> {
        let missing = || RenderFailure::Failed(format!("the built-in template {} is not there", name(set.name(), part)));
        self.said_of(part.landing(), built_in(set, part).ok_or_else(missing)?, view, &Budget::of_built_in())
    }

    fn said_of(&self, landing: Landing, compiled: &Compiled, view: &View, budget: &Budget) -> Result<String, RenderFailure> {
        self.try_render(landing, &compiled.template, view, budget).map_err(|error| {
            if is_too_large(&error) {
                return RenderFailure::TooLarge;
            }
            let place = error.line_no.map(|line| format!(":{line}:{}", error.column_no.unwrap_or(1))).unwrap_or_default();
            RenderFailure::Failed(format!("{}{place}: {}", compiled.source.path.display(), said(&error)))
        })
    }

    fn try_render(&self, landing: Landing, template: &Template, view: &View, budget: &Budget) -> Result<String, RenderError> {
        let missing = || RenderErrorReason::Other("there is no way to write it".into());
        let registry = self.registries.get(&landing).ok_or_else(missing)?;
        let mut rendering = RenderContext::new(template.name.as_ref());
        budget.govern(&mut rendering);
        let mut capped = Capped(Vec::new());
        template.render(registry, view.context(), &mut rendering, &mut WriteOutput::new(&mut capped))?;
        // Only whole texts are written to it.
        String::from_utf8(capped.0).map_err(RenderError::from)
    }

    /// Renders a user's template with sample data, and reads the result where it is to be JSON.
    pub(super) fn try_out(&self, landing: Landing, name: &str, view: &View, what: &str) -> Result<(), Fault> {
        let Some(Compiled { template, source }) = self.templates.get(name) else { return Ok(()) };
        let text = self.try_render(landing, template, view, &Budget::of_users()).map_err(|error| {
            let place = compile::place_at(source, error.line_no.unwrap_or(1), error.column_no.unwrap_or(1), "");
            let why = if is_too_large(&error) { RenderFailure::TooLarge.to_string() } else { said(&error) };
            Fault::error(&place, format!("with sample data ({what}): {why}"))
        })?;
        if !landing.is_json() {
            return Ok(());
        }
        serde_json::from_str::<serde::de::IgnoredAny>(&text).map(|_| ()).map_err(|error| {
            let why = error.to_string();
            let why = why.split(" at line ").next().unwrap_or(&why).to_owned();
            whole(source, format!("with sample data ({what}) the result is not valid JSON: {why}")).hint(format!(
                "line {} of the result reads: {}",
                error.line(),
                Snippet::of(&text, error.line(), error.column())
            ))
        })
    }
}

/// The registry of one way of escaping.
///
/// It is not strict: an unknown variable is found when a template is read, in every branch, which Handlebars' own strict mode
/// does not do. In service the only ones that can be missing are a rule's labels and the vendor's `extension`, and those are
/// then nothing.
fn registry(landing: Landing) -> Handlebars<'static> {
    let mut registry = Handlebars::new();
    registry.register_escape_fn(move |text| escape(landing, text));
    helpers::register(&mut registry, landing);
    registry
}

/// A writer that refuses more than [`RENDERED_BYTES`].
struct Capped(Vec<u8>);

impl io::Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > RENDERED_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is_too_large(error: &RenderError) -> bool {
    matches!(error.reason(), RenderErrorReason::IOError(io) if io.kind() == io::ErrorKind::FileTooLarge)
}

/// Handlebars' error in one line of our own words.
fn said(error: &RenderError) -> String {
    match error.reason() {
        RenderErrorReason::Other(why) => why.clone(),
        RenderErrorReason::MissingVariable(Some(name)) => format!("there is no variable `{name}`"),
        RenderErrorReason::HelperNotFound(name) => format!("there is no helper `{name}`"),
        RenderErrorReason::InvalidJsonIndex(key) => format!("a list has no `{key}`"),
        RenderErrorReason::TemplateNotFound(name) => format!("the template {name} is not there"),
        other => other.to_string().split_whitespace().collect::<Vec<_>>().join(" "),
    }
}

/// A piece of a longer text around a place, in one line.
pub struct Snippet;

impl Snippet {
    /// Characters shown on each side of the place.
    const AROUND: usize = 40;

    /// The piece of `text` around a line and a column (in bytes), both from 1.
    #[must_use]
    pub fn of(text: &str, line: usize, column: usize) -> String {
        let line = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
        let mut at = column.min(line.len());
        while !line.is_char_boundary(at) {
            at -= 1;
        }
        let before: Vec<char> = line[..at].chars().rev().take(Self::AROUND).collect();
        before.into_iter().rev().chain(line[at..].chars().take(Self::AROUND)).collect::<String>().trim().to_owned()
    }
}
