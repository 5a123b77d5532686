//! `expr`: an expression over `job` in the Common Expression Language.
//!
//! It is compiled, its types are checked and its cost is bounded when it is read ([`check`]); what then can still go wrong,
//! such as a key that the job's `extension` lacks, makes it not hold.
//!
//! Whatever the crate does, it does under [`contained`]: it is some 37,000 lines that others write, parts of it made by a
//! generator, and their list of changes tells of panics and overflows. One while a page is judged would stop a source for
//! good.

mod calls;
mod check;
mod functions;
mod job;
mod kind;
mod operators;
mod says;
mod shape;

#[cfg(test)]
mod tests;

use std::{
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, LazyLock},
};

use cel::{Context, Env, ExecutionError, IdedExpr, Value, common::ast::SourceInfo};

use crate::document::{Fault, Faults, Node, Place, text};

use super::{
    Known, codes,
    condition::{Facts, Lane, Test},
    possible::Allowed,
    unanswered::Silence,
    when::When,
};
use check::Checked;
use job::Field;

/// The longest expression, in characters.
const CHARS_MOST: usize = 1_000;
/// How deep brackets may nest, for the parser goes down with them.
const NESTED_MOST: u16 = 24;
/// The stack of the thread that parses: the parser takes some 100 KiB of it for each bracket, in a build for tests, and the
/// threads of the runtime have 2 MiB.
const PARSER_STACK: usize = 16 << 20;

/// What all expressions share: the standard functions, and the plainest of those on text.
static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib().with_optional_support(false);
    // It fails only where two functions have one name, and these have not.
    let _ = env.add_extension(cel::extensions::strings);
    Arc::new(env)
});

/// An expression, ready.
struct Expr {
    written: String,
    tree: IdedExpr,
    /// The functions that are its own: one for each regular expression.
    root: Context<'static, 'static>,
    /// What it looks at.
    fields: Vec<Field>,
    /// What it says of the job's codes.
    says: [Allowed<i64>; codes::Field::ALL.len()],
    /// Whether it has given no answer.
    silence: Arc<Silence>,
}

impl std::fmt::Debug for Expr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Expr").field(&self.written).finish()
    }
}

/// Runs what calls the crate; none if it panicked.
fn contained<T>(run: impl FnOnce() -> T) -> Option<T> {
    // Nothing that is written to in there is looked at afterwards.
    catch_unwind(AssertUnwindSafe(run)).ok()
}

impl Expr {
    /// Its answer for a job, or why there is none.
    fn answer(&self, facts: &Facts<'_>) -> Result<bool, String> {
        let answer = contained(|| {
            let mut scope = self.root.new_inner_scope();
            for field in &self.fields {
                scope.add_variable_as_val(field.variable(), field.value(facts)?);
            }
            match Value::resolve(&self.tree, &scope) {
                Ok(Value::Bool(answer)) => Ok(answer),
                Ok(other) => Err(format!("the answer is {}, not true or false", kind::word(&other.type_of().to_string()))),
                Err(error) => Err(why(&error)),
            }
        });
        answer.unwrap_or_else(|| Err("it can't be worked out".to_owned()))
    }
}

/// What went wrong, without the values: they come from outside.
fn why(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => format!("there is no key `{}`", key.escape_debug()),
        ExecutionError::NoSuchOverload(overload) => {
            let what = overload.function();
            let types: Vec<&str> = overload.argument_types().iter().map(|name| kind::word(name)).collect();
            format!("{} can't be applied to {}", functions::shown(what), types.join(" and "))
        }
        ExecutionError::ValuesNotComparable(a, b) => {
            format!("{} can't be compared to {}", kind::word(&a.type_of().to_string()), kind::word(&b.type_of().to_string()))
        }
        ExecutionError::UnsupportedBinaryOperator(what, a, b) => {
            format!("`{what}` can't be applied to {} and {}", kind::word(&a.type_of().to_string()), kind::word(&b.type_of().to_string()))
        }
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => "it divides by zero".to_owned(),
        ExecutionError::Overflow(..) => "a value is out of range".to_owned(),
        ExecutionError::IndexOutOfBounds(_) => "a list is shorter than that".to_owned(),
        ExecutionError::FunctionError { function, .. } => format!("`{function}` can't make anything of its value"),
        ExecutionError::UnexpectedType { got, want } => format!("{} stands where {} is wanted", kind::word(got), kind::word(want)),
        _ => "it can't be worked out".to_owned(),
    }
}

impl Test for Expr {
    fn holds(&self, facts: &Facts<'_>, _: &When) -> bool {
        match self.answer(facts) {
            Ok(answer) => answer,
            Err(why) => {
                self.silence.keep(why);
                false
            }
        }
    }

    fn wanted(&self) -> String {
        self.written.clone()
    }

    fn found(&self, facts: &Facts<'_>, _: &When) -> String {
        let answer = match self.answer(facts) {
            Ok(answer) => answer.to_string(),
            Err(why) => format!("no answer: {why}"),
        };
        let values: Vec<String> = self.fields.iter().map(|field| format!("job.{} {}", field.word(), field.shown(facts))).collect();
        if values.is_empty() { answer } else { format!("{answer}; {}", values.join(", ")) }
    }

    fn silence(&self) -> Option<&Arc<Silence>> {
        Some(&self.silence)
    }

    fn lane(&self) -> Lane<'_> {
        Lane::Says(&self.says)
    }
}

pub(super) fn read(node: &Node, _: &Known<'_>, faults: &mut Faults) -> Option<Box<dyn Test>> {
    let written = text(node, faults)?;
    let hint = "write what is true of the jobs that are meant, as in job.profile.size() > 20";
    if written.trim().is_empty() {
        faults.push(Fault::error(&node.place, "the expression is empty").hint(hint));
        return None;
    }
    if written.chars().count() > CHARS_MOST {
        faults.error(node, format!("the expression is longer than {CHARS_MOST} characters"));
        return None;
    }
    let Some(parsed) = parsed(&written) else {
        faults.error(node, "this expression can't be read");
        return None;
    };
    let spots = Spots { node, written: &written };
    match parsed {
        Ok((tree, source)) => {
            let checked = contained(|| check::check(tree, &|id, word| spots.part(source.offset_for(id), word), node.filled, faults));
            let Checked { tree, fields, regexes } = match checked {
                Some(checked) => checked?,
                None => {
                    faults.error(node, "this expression can't be checked");
                    return None;
                }
            };
            let mut root = Context::with_env(Arc::clone(&ENV));
            for (name, regex) in regexes {
                // No other function has such a name.
                let _ = root.add_function(&name, move |text: Arc<String>| regex.is_match(&text));
            }
            if fields.is_empty() {
                let fault = Fault::warning(&node.place, "this expression looks at nothing of the job: it says the same of every one");
                faults.push(fault.hint(hint));
            }
            let says = says::says(&tree);
            Some(Box::new(Expr { written, tree, root, fields, says, silence: Silence::of(node.place.clone()) }))
        }
        Err((told, at)) => {
            let message = if node.filled { "the value filled in is no expression".to_owned() } else { syntax(&told) };
            faults.push(Fault::error(&spots.at_line(at), message).hint(hint));
            None
        }
    }
}

/// What the parser says is wrong, and in which line and column.
type Wrong = (String, (isize, isize));

/// What the parser makes of an expression: its tree and where the parts of it stand, or the first thing that is wrong, with
/// its line and column. None if the parser broke.
fn parsed(written: &str) -> Option<Result<(IdedExpr, SourceInfo), Wrong>> {
    let parse = || {
        ENV.parser().max_recursion_depth(NESTED_MOST).parse_with_source_info(written).map_err(|errors| {
            let first = errors.errors.into_iter().next();
            first.map_or_else(|| ("nothing can be made of it".to_owned(), (1, 1)), |error| (error.msg, error.pos))
        })
    };
    // A thread that panicked is joined like any other.
    std::thread::scope(|scope| std::thread::Builder::new().stack_size(PARSER_STACK).spawn_scoped(scope, parse).ok()?.join().ok())
}

/// What the parser says, in one line.
fn syntax(told: &str) -> String {
    let line = told.lines().next().unwrap_or_default();
    let what = line.strip_prefix("Syntax error: ").unwrap_or(line);
    // The parser lists every token that might have followed.
    let what = what.split(" expecting ").next().unwrap_or(what);
    if told.contains("Recursion limit") {
        return format!("the expression nests deeper than {NESTED_MOST}");
    }
    format!("not an expression: {what}")
}

/// Where in a file the parts of an expression stand.
struct Spots<'n> {
    node: &'n Node,
    written: &'n str,
}

impl Spots<'_> {
    /// The place of a part. The parser gives the bytes of its first sign, the dot of a field and the bracket of a call: beside
    /// it stands the word that is meant.
    fn part(&self, sign: Option<(u32, u32)>, word: &str) -> Place {
        let Some((from, to)) = sign else { return self.node.place.clone() };
        let (from, to) = (from as usize, to as usize + 1);
        let before = self.written.get(..from).map(str::trim_end).filter(|before| before.ends_with(word));
        let after = self.written.get(to..).filter(|after| after.trim_start().starts_with(word));
        match (after, before) {
            _ if word.is_empty() => self.place(from..to),
            (Some(after), _) => {
                let from = self.written.len() - after.trim_start().len();
                self.place(from..from + word.len())
            }
            (None, Some(before)) => self.place(before.len() - word.len()..before.len()),
            (None, None) => self.place(from..to),
        }
    }

    /// The place of some bytes of the expression.
    fn place(&self, range: Range<usize>) -> Place {
        self.node.part(self.written, range)
    }

    /// The place of a line and column as the parser counts them, both from 1.
    fn at_line(&self, (line, column): (isize, isize)) -> Place {
        let count = |from_one: isize| usize::try_from(from_one - 1).unwrap_or_default();
        let above: usize = self.written.split_inclusive('\n').take(count(line)).map(str::len).sum();
        let rest = self.written.get(above..).unwrap_or_default();
        let within = rest.char_indices().nth(count(column)).map_or(rest.len(), |(at, _)| at);
        self.place(above + within..above + within + 1)
    }
}
