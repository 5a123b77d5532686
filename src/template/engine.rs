//! The registries: one for each way of escaping, so that no template can be rendered with another's.

use std::{
    collections::{BTreeMap, HashMap},
    fmt, io,
    sync::{Arc, LazyLock},
};

use handlebars::{Context, Handlebars, RenderContext, RenderError, RenderErrorReason, Renderable, Template, WriteOutput};
use serde_json::Value;

use super::{
    compile,
    escape::escape,
    helpers,
    part::{BuiltIn, Landing, Part},
    steps::{self, Budget},
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

/// Compiled templates, and the files they came from.
#[derive(Debug, Clone)]
pub(super) struct Engine {
    registries: BTreeMap<Landing, Handlebars<'static>>,
    sources: HashMap<String, Arc<Source>>,
}

/// Compiled once: they are the same for each config that is read.
static BUILT_IN: LazyLock<Engine> = LazyLock::new(|| {
    let mut engine = Engine::empty();
    for (set, part) in BuiltIn::ALL.iter().flat_map(|set| Part::ALL.iter().map(|part| (*set, *part))) {
        let path = format!("templates/{}/{} (built in)", set.name(), part.file());
        let source = Arc::new(Source { path: path.into(), text: part.built_in(set).to_owned() });
        // The tests compile and check every one of them; one that does not would be missing, and its rendering fail.
        if let Ok(template) = Template::compile(&source.text) {
            engine.put(part.landing(), &built_in_name(set, part), template, source);
        }
    }
    engine
});

/// A user's template's name in the registry. No folder's name holds a slash, so it can't be a built-in one's.
pub(super) fn name(set: &str, part: Part) -> String {
    format!("{set}/{}", part.file())
}

/// A built-in template's name in the registry.
pub(super) fn built_in_name(set: BuiltIn, part: Part) -> String {
    format!("/{}/{}", set.name(), part.file())
}

fn is_built_in(name: &str) -> bool {
    name.starts_with('/')
}

impl Engine {
    /// With no templates.
    pub(super) fn empty() -> Self {
        let registries = Landing::ALL.iter().map(|landing| (*landing, registry(*landing))).collect();
        Self { registries, sources: HashMap::new() }
    }

    /// With the built-in templates alone.
    pub(super) fn built_in() -> Self {
        BUILT_IN.clone()
    }

    pub(super) fn put(&mut self, landing: Landing, name: &str, mut template: Template, source: Arc<Source>) {
        template.name = Some(name.to_owned());
        steps::count(&mut template);
        if let Some(registry) = self.registries.get_mut(&landing) {
            registry.register_template(name, template);
        }
        self.sources.insert(name.to_owned(), source);
    }

    pub(super) fn remove(&mut self, landing: Landing, name: &str) {
        if let Some(registry) = self.registries.get_mut(&landing) {
            registry.unregister_template(name);
        }
        self.sources.remove(name);
    }

    pub(super) fn render(&self, landing: Landing, name: &str, view: &Value) -> Result<String, RenderFailure> {
        self.try_render(landing, name, view).map_err(|error| {
            if is_too_large(&error) {
                return RenderFailure::TooLarge;
            }
            let file = self.sources.get(name).map_or_else(|| name.to_owned(), |source| source.path.display().to_string());
            let place = error.line_no.map(|line| format!(":{line}:{}", error.column_no.unwrap_or(1))).unwrap_or_default();
            RenderFailure::Failed(format!("{file}{place}: {}", said(&error)))
        })
    }

    fn try_render(&self, landing: Landing, name: &str, view: &Value) -> Result<String, RenderError> {
        let missing = || RenderErrorReason::TemplateNotFound(name.to_owned());
        let registry = self.registries.get(&landing).ok_or_else(missing)?;
        let template = registry.get_template(name).ok_or_else(missing)?;
        let budget = if is_built_in(name) { Budget::of_built_in() } else { Budget::of_users() };
        let context = Context::wraps(view)?;
        let mut rendering = RenderContext::new(template.name.as_ref());
        budget.govern(&mut rendering);
        let mut capped = Capped(Vec::new());
        template.render(registry, &context, &mut rendering, &mut WriteOutput::new(&mut capped))?;
        // Only whole texts are written to it.
        String::from_utf8(capped.0).map_err(RenderError::from)
    }

    /// Renders a user's template with sample data, and reads the result where it is to be JSON.
    pub(super) fn try_out(&self, landing: Landing, name: &str, view: &Value, what: &str, source: &Arc<Source>) -> Result<(), Fault> {
        let text = self.try_render(landing, name, view).map_err(|error| {
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
