//! What a mapping may hold, as a table: which keys, what each means, and what a value of it looks like. The readers read by
//! hand, for their errors' sake; `schema` is made of these tables, and a test holds the two against each other.

/// One key of a mapping.
#[derive(Debug)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What it is for, in one sentence.
    pub meaning: &'static str,
    /// What its value looks like.
    pub form: Form,
    /// Values in YAML, each of which the reader takes.
    pub examples: &'static [&'static str],
    /// Whether a mapping without it is refused.
    pub required: bool,
}

impl Key {
    /// One that may be left out.
    #[must_use]
    pub const fn new(name: &'static str, meaning: &'static str, form: Form, examples: &'static [&'static str]) -> Self {
        Self { name, meaning, form, examples, required: false }
    }

    /// The same, as one that must be there.
    #[must_use]
    pub const fn required(self) -> Self {
        Self { required: true, ..self }
    }
}

/// The keys of one mapping.
#[derive(Debug, Clone, Copy)]
pub struct Keys {
    /// Lists of keys: what several mappings share is one of them.
    pub lists: &'static [&'static [Key]],
    /// Of each of these, exactly one must be there.
    pub one_of: &'static [&'static [&'static str]],
}

impl Keys {
    /// These, each by itself.
    #[must_use]
    pub const fn new(lists: &'static [&'static [Key]]) -> Self {
        Self { lists, one_of: &[] }
    }

    /// Each key.
    pub fn all(&self) -> impl Iterator<Item = &'static Key> + use<> {
        self.lists.iter().flat_map(|list| list.iter())
    }
}

/// What a value looks like. Wherever a single value stands, a text with `${...}` in it does as well.
#[derive(Debug, Clone, Copy)]
pub enum Form {
    /// Any text; a bare number or boolean is taken as it is written.
    Text,
    /// A text in which one of these regular expressions (common to Rust and JavaScript) is found.
    Like(&'static [&'static str]),
    /// One of these words.
    Word(fn() -> Vec<String>),
    /// One of these words, capital letters or small.
    AnyCase(fn() -> Vec<String>),
    /// One of these words, or a number.
    Code(fn() -> Vec<String>),
    /// `true` or `false`.
    Boolean,
    /// A whole number from the first to the second.
    Integer(i64, i64),
    /// Any number of more than zero and at most this.
    Factor(f64),
    /// Such as `90s` or `1h30m`.
    Duration,
    /// One value, or a list of several.
    OneOrMany(&'static Form),
    /// A list of at least one.
    List(&'static Form),
    /// A list, of nothing too.
    AnyList(&'static Form),
    /// One of these.
    Either(&'static [Form]),
    /// The same, or nothing: all below the key may be commented out.
    OrNothing(&'static Form),
    /// Whatever there is.
    Anything,
    /// A mapping with these keys.
    Mapping(&'static Keys),
    /// A mapping whose keys are the user's own names.
    Named(&'static Form),
    /// What stands elsewhere under this name, for what holds itself or is used more than once.
    Defined(&'static str),
}

/// A duration as a regular expression.
pub const DURATION: &str = r"(?:[0-9]+(?:ms|[smhdw])\s*)+";
/// A range of durations, likewise: `> 30m`, `10m..1h`.
pub const DURATION_PAIR: &[&str] =
    &[r"^\s*(?:>=|>|<=|<)\s*(?:[0-9]+(?:ms|[smhdw])\s*)+$", r"^\s*(?:[0-9]+(?:ms|[smhdw])\s*)+\.\.\s*(?:[0-9]+(?:ms|[smhdw])\s*)+$"];
