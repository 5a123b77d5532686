//! The check of a compiled template against what is known of the data: every branch, not only those a sample takes.

use std::sync::Arc;

use handlebars::{
    Path, PathSeg, Template,
    template::{BlockParam, HelperTemplate, Parameter, TemplateElement},
};
use serde_json::Value;

use super::{
    compile::place_at,
    helpers::{self, SIGNS, Sign},
    sample,
    shape::{ROOT, Shape, Unknown},
};
use crate::document::{Fault, Faults, Source, near};

/// How deep loops may stand in one another: rendering must end in good time however many jobs there are.
const LOOPS: usize = 3;

/// Tells everything wrong with a template; whether there was nothing.
pub(super) fn check(template: &Template, source: &Arc<Source>, faults: &mut Faults) -> bool {
    let root = Scope { shape: ROOT.clone(), names: Vec::new(), loops: false, deep: 0, over_jobs: false };
    let mut walk = Walk { source, faults, scopes: vec![root], at: (1, 1), sound: true };
    walk.template(template);
    walk.sound
}

/// One block's inside: what `this` is, and the names given with `as |name|`.
struct Scope {
    shape: Shape,
    names: Vec<(String, Shape)>,
    /// Whether `@index` and its like stand.
    loops: bool,
    /// How many loops it stands in.
    deep: usize,
    /// Whether it is a loop over jobs.
    over_jobs: bool,
}

struct Walk<'w> {
    source: &'w Arc<Source>,
    faults: &'w mut Faults,
    scopes: Vec<Scope>,
    at: (usize, usize),
    sound: bool,
}

impl Walk<'_> {
    fn tell(&mut self, word: &str, message: String, hint: Option<String>) {
        let place = place_at(self.source, self.at.0, self.at.1, word);
        let mut fault = Fault::error(&place, message);
        fault.hint = hint;
        self.faults.push(fault);
        self.sound = false;
    }

    fn template(&mut self, template: &Template) {
        for (index, element) in template.elements.iter().enumerate() {
            if let Some(mapping) = template.mapping.get(index) {
                self.at = (mapping.0, mapping.1);
            }
            let at = self.at;
            self.element(element);
            self.at = at;
        }
    }

    fn element(&mut self, element: &TemplateElement) {
        match element {
            TemplateElement::RawString(_) | TemplateElement::Comment(_) => {}
            TemplateElement::HtmlExpression(_) => self.tell(
                "",
                "three braces, or `{{&…}}`, would write a value without escaping it".into(),
                Some("write it with two braces".into()),
            ),
            TemplateElement::Expression(expression) => self.expression(expression),
            TemplateElement::HelperBlock(block) => self.block(block),
            // Partials, decorators, and whatever a later Handlebars may bring.
            _ => {
                self.tell("", "a template can't take in another one".into(), Some("write the text here".into()));
            }
        }
    }

    fn expression(&mut self, expression: &HelperTemplate) {
        let alone = expression.params.is_empty() && expression.hash.is_empty();
        match &expression.name {
            Parameter::Path(path) if alone && sign_of(raw(path)).is_none() => {
                let Some(shape) = self.path(path) else { return };
                if matches!(shape, Shape::Object(_) | Shape::List(_) | Shape::Labels) {
                    let name = raw(path).to_owned();
                    let (what, how) = if matches!(shape, Shape::List(_)) { ("a list", "each") } else { ("an object", "with") };
                    self.tell(
                        &name,
                        format!("`{name}` is {what}, not a text"),
                        Some(format!("write {{{{#{how} {name}}}}}, or {{{{json {name}}}}}")),
                    );
                }
            }
            Parameter::Path(path) => {
                self.call(raw(path), expression, Use::Written);
            }
            Parameter::Name(name) => {
                self.call(name, expression, Use::Written);
            }
            _ => {
                self.tell(
                    "",
                    "parentheses stand around a helper inside another one only".into(),
                    Some("write {{upper job.profile}}".into()),
                );
            }
        }
    }

    fn block(&mut self, block: &HelperTemplate) {
        let Some(name) = block.name.as_name() else {
            return self.tell("", "a block begins with the name of its helper".into(), None);
        };
        let inner = self.call(name, block, Use::Block);
        let known = matches!(name, "each" | "with");
        if known {
            let shape = inner.unwrap_or(Shape::Any);
            let item = match (name, shape) {
                ("each", Shape::List(item)) => *item,
                ("each", Shape::Labels) => Shape::Single,
                ("each", Shape::Any | Shape::Object(_)) => Shape::Any,
                (_, shape) => shape,
            };
            let named = |parameter: &Parameter| parameter.as_name().unwrap_or_default().to_owned();
            let names = match &block.block_param {
                Some(BlockParam::Single(value)) => vec![(named(value), item.clone())],
                Some(BlockParam::Pair((value, key))) => vec![(named(value), item.clone()), (named(key), Shape::Single)],
                _ => Vec::new(),
            };
            // Inside `with`, the counters of the loop around it still stand.
            let loops = name == "each" || self.scopes.last().is_some_and(|scope| scope.loops);
            let deep = self.scopes.last().map_or(0, |scope| scope.deep) + usize::from(name == "each");
            let over_jobs = name == "each" && matches!(&item, Shape::Object(_));
            if deep > LOOPS || (over_jobs && self.scopes.iter().any(|scope| scope.over_jobs)) {
                self.tell("each", format!("loops stand too deep in one another: at most {LOOPS}, and one of them over jobs"), None);
            }
            self.scopes.push(Scope { shape: item, names, loops, deep, over_jobs });
        }
        if let Some(template) = &block.template {
            self.template(template);
        }
        if known {
            self.scopes.pop();
        }
        if let Some(inverse) = &block.inverse {
            self.template(inverse);
        }
    }

    /// Checks a call of a helper; gives the shape that `each` and `with` go into, and that of a call's result.
    fn call(&mut self, name: &str, call: &HelperTemplate, how: Use) -> Option<Shape> {
        let shapes: Vec<Option<Shape>> = call.params.iter().map(|parameter| self.parameter(parameter)).collect();
        for value in call.hash.values() {
            self.parameter(value);
        }
        let Some(sign) = sign_of(name) else {
            let hint = match near(name, SIGNS.iter().map(|sign| sign.name)) {
                Some(near) => format!("did you mean `{near}`?"),
                None if how == Use::Block && ROOT.get(name).is_ok() => format!("write {{{{#each {name}}}}} or {{{{#if {name}}}}}"),
                None => format!("known helpers: {}", SIGNS.iter().map(|sign| sign.name).collect::<Vec<_>>().join(", ")),
            };
            self.tell(name, format!("there is no helper `{name}`"), Some(hint));
            return None;
        };
        self.manner(sign, how);
        if !sign.arguments.contains(&call.params.len()) {
            let hint = if call.params.is_empty() && self.scopes.last().is_some_and(|scope| scope.shape.get(name).is_ok()) {
                format!("for the variable write {{{{this.{name}}}}}; for the helper {}", sign.usage)
            } else {
                format!("write {}", sign.usage)
            };
            let count = call.params.len();
            let takes = sign.arguments.start();
            self.tell(name, format!("`{name}` takes {takes} argument{}, not {count}", if *takes == 1 { "" } else { "s" }), Some(hint));
            return None;
        }
        for key in call.hash.keys().filter(|key| !sign.options.contains(&key.as_str())) {
            let hint = near(key, sign.options.iter().copied()).map(|near| format!("did you mean `{near}`?"));
            self.tell(key, format!("`{name}` has no option `{key}`"), hint.or_else(|| Some(format!("write {}", sign.usage))));
        }
        if sign.single {
            for (parameter, shape) in call.params.iter().zip(&shapes) {
                if matches!(shape, Some(Shape::Object(_) | Shape::List(_) | Shape::Labels)) {
                    let word = parameter.as_name().unwrap_or_default();
                    self.tell(
                        word,
                        format!("`{name}` takes a single value, not a list or an object"),
                        Some(format!("write {}", sign.usage)),
                    );
                }
            }
        }
        self.literals(name, call);
        self.result(name, call, &shapes)
    }

    /// Whether a helper may be used in this way.
    fn manner(&mut self, sign: &Sign, how: Use) {
        let name = sign.name;
        let wrong = match how {
            Use::Block => sign.block.is_none().then(|| format!("`{name}` opens no block")),
            Use::Written => (sign.block == Some(true)).then(|| format!("`{name}` opens a block")),
            Use::Inside if sign.block == Some(true) => Some(format!("`{name}` opens a block and gives no value")),
            Use::Inside => {
                matches!(name, "json" | "url" | "plain").then(|| format!("`{name}` writes by itself and can't stand inside another helper"))
            }
        };
        if let Some(message) = wrong {
            self.tell(name, message, Some(format!("write {}", sign.usage)));
        }
    }

    /// Checks what is written out in the template and would fail on every message.
    fn literals(&mut self, name: &str, call: &HelperTemplate) {
        if name == "date" {
            let given = |key: &str| call.hash.get(key).and_then(literal);
            let sample = Value::from(sample::now().to_string());
            if let Err(why) = helpers::date(&sample, given("timezone"), given("format")) {
                let word =
                    given("timezone").filter(|zone| helpers::timezone(Some(zone)).is_err()).and_then(Value::as_str).unwrap_or("format");
                self.tell(word, why, None);
            }
        }
        if name == "truncate" && call.params.get(1).and_then(literal).is_some_and(|length| length.as_u64().is_none_or(|n| n == 0)) {
            self.tell("truncate", "`truncate` takes a text and a length of at least 1".into(), None);
        }
    }

    fn result(&mut self, name: &str, call: &HelperTemplate, shapes: &[Option<Shape>]) -> Option<Shape> {
        let first = shapes.first().cloned().flatten();
        match name {
            "with" => first,
            "each" => match first {
                Some(Shape::Single) => {
                    let word = call.params.first().and_then(Parameter::as_name).unwrap_or_default().to_owned();
                    self.tell(&word, format!("`{word}` is no list"), Some("lists here: jobs, rule.labels".into()));
                    None
                }
                shape => shape,
            },
            "lookup" => {
                let shape = first?;
                match (&shape, call.params.get(1).and_then(literal)) {
                    (Shape::List(item), None) => Some((**item).clone()),
                    (Shape::Labels | Shape::Any, None) => Some(if shape == Shape::Any { Shape::Any } else { Shape::Single }),
                    (_, Some(key)) => {
                        let key = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
                        self.found(shape.get(&key), &key)
                    }
                    (_, None) => {
                        self.tell("lookup", "`lookup` in an object takes a key in quotes".into(), None);
                        None
                    }
                }
            }
            "default" => match first {
                Some(Shape::Single) | None => Some(Shape::Single),
                shape => shape,
            },
            _ => Some(Shape::Single),
        }
    }

    fn parameter(&mut self, parameter: &Parameter) -> Option<Shape> {
        match parameter {
            Parameter::Path(path) => self.path(path),
            Parameter::Literal(value) => Some(Shape::of(value)),
            Parameter::Name(name) => {
                self.tell(name, format!("there is no variable `{name}`"), None);
                None
            }
            Parameter::Subexpression(sub) => match sub.as_element() {
                TemplateElement::Expression(call) => match call.name.as_name() {
                    Some(name) => self.call(name, call, Use::Inside),
                    None => {
                        self.tell("", "the name of a helper can't be worked out".into(), None);
                        None
                    }
                },
                _ => None,
            },
            _ => None,
        }
    }

    /// What a path leads to, by the same steps as Handlebars takes in service.
    fn path(&mut self, path: &Path) -> Option<Shape> {
        let (segments, name) = match path {
            Path::Local((level, name, raw)) => {
                let depth = self.scopes.len().checked_sub(level + 1);
                let known = matches!(name.as_str(), "index" | "first" | "last" | "key");
                if known && depth.is_some_and(|depth| self.scopes[depth].loops) {
                    return Some(Shape::Single);
                }
                let hint = if known { "it stands inside {{#each}} only" } else { "known: @index, @first, @last, @key, @root.…" };
                self.tell(raw, format!("there is no variable `{raw}`"), Some(hint.into()));
                return None;
            }
            Path::Relative((segments, raw)) => (segments, raw),
        };
        let (mut ups, mut root, mut keys) = (0, false, Vec::new());
        for segment in segments {
            match segment {
                PathSeg::Named(key) => keys.push(key.as_str()),
                // The grammar's own type has no public name; its debug form is the rule's.
                PathSeg::Ruled(rule) => match format!("{rule:?}").as_str() {
                    "path_up" => ups += 1,
                    "path_root" => root = true,
                    _ => {}
                },
                _ => {}
            }
        }
        let given = keys.first().filter(|_| !root).and_then(|first| {
            self.scopes.iter().rev().flat_map(|scope| &scope.names).find(|(name, _)| name == first).map(|(_, shape)| shape.clone())
        });
        let mut shape = match given {
            Some(shape) => {
                keys.remove(0);
                shape
            }
            None if root => self.scopes[0].shape.clone(),
            None => match self.scopes.len().checked_sub(ups + 1) {
                Some(depth) => self.scopes[depth].shape.clone(),
                None => {
                    self.tell(name, format!("`{name}` goes up further than there are blocks"), None);
                    return None;
                }
            },
        };
        for key in keys {
            shape = self.found(shape.get(key), name)?;
        }
        Some(shape)
    }

    fn found(&mut self, result: Result<Shape, Unknown>, name: &str) -> Option<Shape> {
        match result {
            Ok(shape) => Some(shape),
            Err(unknown) => {
                self.tell(name, format!("there is no variable `{name}`"), Some(unknown.hint()));
                None
            }
        }
    }
}

/// How a helper is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// `{{helper …}}`
    Written,
    /// `(helper …)`
    Inside,
    /// `{{#helper …}}`
    Block,
}

fn sign_of(name: &str) -> Option<&'static Sign> {
    SIGNS.iter().find(|sign| sign.name == name)
}

const fn literal(parameter: &Parameter) -> Option<&Value> {
    match parameter {
        Parameter::Literal(value) => Some(value),
        _ => None,
    }
}

fn raw(path: &Path) -> &str {
    match path {
        Path::Relative((_, raw)) | Path::Local((_, _, raw)) => raw,
    }
}
