//! What an expression is made of, before any job is there: the kinds of its parts, which names and functions it uses, and
//! what it may cost.

use cel::{
    IdedExpr,
    common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, SelectExpr, operators},
};
use regex::Regex;

use crate::document::{Fault, Faults, Place, near};

use super::{
    job::{Field, TEXT_BYTES},
    kind::Kind,
    shape::{Shape, constant},
};

/// How deep the parts of an expression may lie in one another, for to work one out is to go down there.
const DEPTH_MOST: usize = 24;
/// The most an expression may cost: so many steps, of which one is an operation or the reading of 64 bytes of text. They
/// take some three milliseconds; `expr_takes_no_longer_than_its_bound` in the tests of this room measures it.
const COST_MOST: u64 = 20_000;

/// An expression that may be asked.
pub(super) struct Checked {
    pub tree: IdedExpr,
    pub fields: Vec<Field>,
    /// Each with the name of the function that stands for it in the tree.
    pub regexes: Vec<(String, Regex)>,
}

/// Checks an expression; none where a fault was told.
pub(super) fn check(tree: IdedExpr, place: &dyn Fn(u64, &str) -> Place, filled: bool, faults: &mut Faults) -> Option<Checked> {
    let mut tree = tree;
    let mut checker = Checker { place, filled, faults, names: Vec::new(), fields: Vec::new(), regexes: Vec::new(), times: 1, cost: 0 };
    let id = tree.id;
    let whole = checker.shape(&mut tree, 0)?;
    if !whole.kind.fits(Kind::Bool) {
        let message = format!("the expression gives {}, not true or false", whole.kind.words());
        return checker.wrong(id, message, "compare it, as in job.profile.size() > 20");
    }
    if checker.cost > COST_MOST {
        let message = format!("the expression may take {} steps for one job, and at most {COST_MOST} are allowed", checker.cost);
        return checker.wrong(id, message, "go through less in one go: no list within a list");
    }
    let Checker { fields, regexes, .. } = checker;
    Some(Checked { tree, fields, regexes })
}

pub(super) struct Checker<'c> {
    pub place: &'c dyn Fn(u64, &str) -> Place,
    pub filled: bool,
    pub faults: &'c mut Faults,
    /// The names that macros bind, the innermost last.
    names: Vec<(String, Shape)>,
    fields: Vec<Field>,
    pub regexes: Vec<(String, Regex)>,
    /// How often the part at hand is worked out, at most.
    times: u64,
    cost: u64,
}

impl Checker<'_> {
    /// Tells what is wrong with a part. What was filled in from outside is not repeated.
    pub fn wrong<T>(&mut self, id: u64, message: impl Into<String>, hint: impl Into<String>) -> Option<T> {
        self.wrong_word(id, "", message, hint)
    }

    /// The same, where it is a word beside the part's sign that is wrong.
    pub fn wrong_word<T>(&mut self, id: u64, word: &str, message: impl Into<String>, hint: impl Into<String>) -> Option<T> {
        let (message, hint) = (message.into(), hint.into());
        let mut fault = Fault::error(&(self.place)(id, word), message);
        if self.filled {
            "the value filled in is no right expression".clone_into(&mut fault.message);
        } else if !hint.is_empty() {
            fault.hint = Some(hint);
        }
        self.faults.push(fault);
        None
    }

    pub const fn spend(&mut self, steps: u64) {
        self.cost = self.cost.saturating_add(self.times.saturating_mul(steps));
    }

    pub fn shape(&mut self, node: &mut IdedExpr, depth: usize) -> Option<Shape> {
        if depth > DEPTH_MOST {
            return self.wrong(node.id, format!("the expression's parts lie deeper than {DEPTH_MOST} in one another"), "");
        }
        self.spend(1);
        let id = node.id;
        match &mut node.expr {
            Expr::Literal(literal) => Some(constant(id, literal)),
            Expr::Ident(name) => self.name(id, name),
            Expr::Select(select) => {
                let (shape, instead) = self.select(id, select, depth)?;
                if let Some(instead) = instead {
                    node.expr = instead;
                }
                Some(shape)
            }
            Expr::List(list) => {
                let shapes: Vec<Shape> = list.elements.iter_mut().map(|item| self.shape(item, depth + 1)).collect::<Option<_>>()?;
                let all_texts = shapes.iter().all(|shape| shape.texts.len() == 1);
                let items = shapes.iter().map(|shape| shape.kind).reduce(Kind::or).unwrap_or(Kind::Any);
                let bytes = shapes.iter().fold(0, |bytes: u64, shape| bytes.saturating_add(shape.bytes));
                let (len, below) = (shapes.len() as u64, shapes.iter().map(|shape| shape.len.max(shape.below)).max().unwrap_or_default());
                let may_be_null = shapes.iter().any(|shape| shape.may_be_null);
                let texts = if all_texts { shapes.into_iter().flat_map(|shape| shape.texts).collect() } else { Vec::new() };
                // What may be null may be an item of another kind.
                let items = if may_be_null { Kind::Any } else { items };
                Some(Shape { items, len, below, bytes, texts, ..Shape::of(Kind::List) })
            }
            Expr::Map(map) => {
                let mut whole = Shape::of(Kind::Map);
                for entry in &mut map.entries {
                    let EntryExpr::MapEntry(entry) = &mut entry.expr else { continue };
                    let (key, value) = (self.shape(&mut entry.key, depth + 1)?, self.shape(&mut entry.value, depth + 1)?);
                    if !matches!(key.kind, Kind::Text | Kind::Int | Kind::Uint | Kind::Bool | Kind::Any) {
                        return self.wrong(entry.key.id, format!("{} is no key of a mapping", key.kind.words()), "");
                    }
                    whole.len += 1;
                    whole.below = whole.below.max(value.len).max(value.below);
                    whole.bytes = whole.bytes.saturating_add(key.bytes).saturating_add(value.bytes);
                }
                Some(whole)
            }
            Expr::Comprehension(comprehension) => self.comprehension(comprehension, depth),
            Expr::Call(call) => self.call(id, call, depth),
            Expr::Struct(_) => self.wrong(id, "there are no types to make values of", ""),
            Expr::Unspecified => self.wrong(id, "not an expression", ""),
        }
    }

    fn name(&mut self, id: u64, name: &str) -> Option<Shape> {
        /// The names of types, for `type(x) == string`.
        const TYPES: [&str; 9] = ["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "uint"];
        if let Some((_, shape)) = self.names.iter().rev().find(|(known, _)| known == name) {
            return Some(shape.clone());
        }
        if TYPES.contains(&name) {
            return Some(Shape::of(Kind::Type));
        }
        if name == "job" {
            return self.wrong(id, "`job` stands here alone", "write one of its fields, as in job.profile");
        }
        let field = near(name, Field::ALL.iter().map(|field| field.word()));
        let known = near(name, self.names.iter().map(|(known, _)| known.as_str()).chain(["job"])).map(str::to_owned);
        let hint = match (field, known) {
            (Some(field), _) => format!("did you mean `job.{field}`?"),
            (None, Some(known)) => format!("did you mean `{known}`?"),
            (None, None) => format!("text stands in quotes; known here: {}", self.known().join(", ")),
        };
        self.wrong(id, format!("unknown name `{name}`"), hint)
    }

    fn known(&self) -> Vec<&str> {
        self.names.iter().map(|(name, _)| name.as_str()).filter(|name| !name.starts_with('@')).chain(["job"]).collect()
    }

    /// A field, or `has(…)` of one: then perhaps another expression stands in for it.
    fn select(&mut self, id: u64, select: &mut SelectExpr, depth: usize) -> Option<(Shape, Option<Expr>)> {
        let is_job =
            matches!(&select.operand.expr, Expr::Ident(name) if name == "job") && !self.names.iter().any(|(name, _)| name == "job");
        if is_job {
            let Some(field) = Field::ALL.into_iter().find(|field| field.word() == select.field) else {
                let words: Vec<&str> = Field::ALL.iter().map(|field| field.word()).collect();
                let hint = near(&select.field, words.iter().copied())
                    .map_or_else(|| format!("a job has {}", words.join(", ")), |near| format!("did you mean `job.{near}`?"));
                return self.wrong_word(id, &select.field, format!("unknown field `job.{}`", select.field), hint);
            };
            if !self.fields.contains(&field) {
                self.fields.push(field);
            }
            if select.test {
                // A job has every field; what is asked is whether there is something in it.
                let field = Expr::Select(SelectExpr { test: false, ..select.clone() });
                let args = vec![IdedExpr { id, expr: field }, IdedExpr { id, expr: Expr::Literal(LiteralValue::Null) }];
                let call = CallExpr { func_name: operators::NOT_EQUALS.to_owned(), target: None, args };
                return Some((Shape::of(Kind::Bool), Some(Expr::Call(call))));
            }
            let shape = match field.kind() {
                Kind::Text => Shape::text(TEXT_BYTES as u64),
                Kind::Any => Shape::any(),
                kind => Shape::of(kind),
            };
            return Some((Shape { may_be_null: field.may_be_null(), field: Some(field), ..shape }, None));
        }
        let whole = self.shape(&mut select.operand, depth + 1)?;
        if !matches!(whole.kind, Kind::Any | Kind::Map) {
            return self.wrong_word(id, &select.field, format!("{} has no field `{}`", whole.kind.words(), select.field), "");
        }
        let shape = if select.test { Shape::of(Kind::Bool) } else { Shape { bytes: whole.bytes, ..whole.part(Kind::Any) } };
        Some((shape, None))
    }

    /// What a macro stands for: a loop over a list or the keys of a mapping.
    fn comprehension(&mut self, parts: &mut ComprehensionExpr, depth: usize) -> Option<Shape> {
        let range = self.shape(&mut parts.iter_range, depth + 1)?;
        let item = match range.kind {
            Kind::List => range.items,
            Kind::Map | Kind::Any => Kind::Any,
            other => {
                let message = format!("{} can't be gone through: only a list or a mapping can", other.words());
                return self.wrong(parts.iter_range.id, message, "");
            }
        };
        let item = range.part(item);
        let before = self.shape(&mut parts.accu_init, depth + 1)?;
        let scope = self.names.len();
        self.names.push((parts.iter_var.clone(), item));
        self.names.push((parts.accu_var.clone(), before));
        let times = self.times;
        self.times = times.saturating_mul(range.len);
        // Each turn binds two names, which costs more than an operation.
        self.spend(3);
        self.truth(&mut parts.loop_cond, depth + 1)?;
        let step = self.shape(&mut parts.loop_step, depth + 1)?;
        self.times = times;
        let after = Shape { len: range.len, bytes: step.bytes.saturating_mul(range.len), texts: Vec::new(), field: None, ..step };
        self.names.truncate(scope);
        self.names.push((parts.accu_var.clone(), after));
        let result = self.shape(&mut parts.result, depth + 1);
        self.names.truncate(scope);
        result
    }

    /// A part that must be true or false.
    fn truth(&mut self, node: &mut IdedExpr, depth: usize) -> Option<Shape> {
        let shape = self.shape(node, depth)?;
        if shape.kind.fits(Kind::Bool) {
            return Some(Shape { may_be_null: false, ..shape });
        }
        self.wrong(node.id, format!("{} stands where true or false is wanted", shape.kind.words()), "")
    }

    fn call(&mut self, id: u64, call: &mut CallExpr, depth: usize) -> Option<Shape> {
        if call.target.is_some() {
            return self.function(id, call, depth);
        }
        match (call.func_name.as_str(), call.args.as_mut_slice()) {
            (operators::LOGICAL_AND | operators::LOGICAL_OR, [left, right]) => {
                self.truth(left, depth + 1)?;
                self.truth(right, depth + 1)?;
                Some(Shape::of(Kind::Bool))
            }
            (operators::LOGICAL_NOT | operators::NOT_STRICTLY_FALSE, [inner]) => {
                self.truth(inner, depth + 1)?;
                Some(Shape::of(Kind::Bool))
            }
            (operators::CONDITIONAL, [condition, yes, no]) => {
                self.truth(condition, depth + 1)?;
                let (yes, no) = (self.shape(yes, depth + 1)?, self.shape(no, depth + 1)?);
                Some(yes.or(&no))
            }
            (operators::NEGATE, [inner]) => {
                let shape = self.shape(inner, depth + 1)?;
                if matches!(shape.kind, Kind::Int | Kind::Double | Kind::Any) {
                    return Some(Shape::of(shape.kind));
                }
                self.wrong(id, format!("`-` can't be applied to {}", shape.kind.words()), "")
            }
            (name, [left, right]) if !is_word(name) => {
                let (left, right) = (self.shape(left, depth + 1)?, self.shape(right, depth + 1)?);
                let name = name.to_owned();
                let shape = self.operation(id, &name, &left, &right)?;
                self.names_of_codes(&left, &right);
                Some(shape)
            }
            _ => self.function(id, call, depth),
        }
    }
}

/// Whether it is the name of a function rather than an operator.
fn is_word(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic())
}
