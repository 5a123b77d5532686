//! Calls of functions in an expression.

use std::sync::Arc;

use cel::{
    Context, IdedExpr, Value,
    common::ast::{CallExpr, Expr, LiteralValue},
};
use regex::RegexBuilder;

use crate::document::near;

use super::{
    ENV,
    check::Checker,
    functions::{FUNCTIONS, MACROS, Signature},
    kind::Kind,
    shape::Shape,
};

/// How large a regular expression in one may become when compiled, in bytes.
const REGEX_BYTES: usize = 1 << 18;

impl Checker<'_> {
    pub fn function(&mut self, id: u64, call: &mut CallExpr, depth: usize) -> Option<Shape> {
        let name = call.func_name.clone();
        let named: Vec<&Signature> = FUNCTIONS.iter().filter(|known| known.name == name).collect();
        if named.is_empty() {
            let known = FUNCTIONS.iter().map(|known| known.name).chain(MACROS);
            let hint = near(&name, known).map_or_else(String::new, |near| format!("did you mean `{near}`?"));
            let hint =
                if MACROS.contains(&name.as_str()) { format!("`{name}` is called as in job.extension.{name}(x, x > 1)") } else { hint };
            return self.wrong_word(id, &name, format!("unknown function `{name}`"), hint);
        }
        let styled: Vec<&&Signature> = named.iter().filter(|known| known.on.is_some() == call.target.is_some()).collect();
        if styled.is_empty() {
            let hint = if call.target.is_some() { format!("write {name}(x)") } else { format!("write x.{name}(…)") };
            return self.wrong_word(id, &name, format!("`{name}` is not called in this way"), hint);
        }
        let target = match &mut call.target {
            Some(target) => Some(self.shape(target, depth + 1)?),
            None => None,
        };
        let args: Vec<Shape> = call.args.iter_mut().map(|arg| self.shape(arg, depth + 1)).collect::<Option<_>>()?;
        let given: Vec<Kind> = target.iter().chain(&args).map(|shape| shape.kind).collect();
        let fitting = styled.iter().filter(|known| {
            let takes: Vec<Kind> = known.on.iter().chain(known.takes).copied().collect();
            takes.len() == given.len() && takes.iter().zip(&given).all(|(wanted, given)| given.fits(*wanted))
        });
        let Some(gives) = fitting.map(|known| known.gives).reduce(Kind::or) else {
            let given: Vec<&str> = given.iter().map(|kind| kind.words()).collect();
            let given = if given.is_empty() { "nothing".to_owned() } else { given.join(" and ") };
            return self.wrong_word(id, &name, format!("`{name}` can't be applied to {given}"), "");
        };
        let bytes = target.iter().chain(&args).fold(0, |bytes: u64, shape| bytes.saturating_add(shape.bytes));
        self.spend(bytes / 16);
        let shape = match gives {
            // A number or a time as text is short; of bytes that are no text, each becomes at most three.
            Kind::Text => Shape::text(bytes.saturating_mul(3).max(64)),
            Kind::Bytes => Shape { bytes, ..Shape::of(Kind::Bytes) },
            // `dyn(x)` is x; nothing else gives what is not known.
            Kind::Any => Shape { kind: Kind::Any, texts: Vec::new(), ..args.first().cloned().unwrap_or_else(Shape::any) },
            kind => Shape::of(kind),
        };
        if name == "matches" {
            let pattern = args.last().map(|shape| shape.texts.clone()).unwrap_or_default();
            self.spend(bytes);
            self.matches(id, call, &pattern)?;
        } else {
            self.try_out(id, call, target.is_some(), &args)?;
        }
        Some(shape)
    }

    /// Compiles a pattern once, in place of for every job, and puts a function of its own where `matches` was called.
    fn matches(&mut self, id: u64, call: &mut CallExpr, pattern: &[(u64, String)]) -> Option<()> {
        let [(at, pattern)] = pattern else {
            let id = call.args.last().map_or(id, |pattern| pattern.id);
            return self.wrong(id, "the pattern of `matches` must stand in the expression", "write it in quotes");
        };
        let regex = match RegexBuilder::new(pattern).size_limit(REGEX_BYTES).build() {
            Ok(regex) => regex,
            Err(regex::Error::CompiledTooBig(limit)) => {
                return self.wrong(*at, format!("this regular expression is too large: compiled, it takes more than {limit} bytes"), "");
            }
            Err(error) => {
                let told = error.to_string();
                let last = told.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                return self.wrong(*at, format!("not a regular expression: {last}"), "");
            }
        };
        let name = format!("@matches{}", self.regexes.len());
        call.args.pop();
        if let Some(target) = call.target.take() {
            call.args = vec![*target];
        }
        call.func_name.clone_from(&name);
        self.regexes.push((name, regex));
        Some(())
    }

    /// Works out what hangs on no job: `duration("1 hour")` is wrong whatever comes, and so is a time zone that is none.
    fn try_out(&mut self, id: u64, call: &CallExpr, on_target: bool, args: &[Shape]) -> Option<()> {
        let Some((at, text)) = args.last().and_then(|last| last.texts.first()).filter(|_| args.len() == 1) else { return Some(()) };
        let mut call = call.clone();
        let zone = on_target && call.func_name.starts_with("get");
        if zone {
            let epoch = IdedExpr { id, expr: Expr::Literal(LiteralValue::Int(0.into())) };
            let moment = CallExpr { func_name: "timestamp".to_owned(), target: None, args: vec![epoch] };
            call.target = Some(Box::new(IdedExpr { id, expr: Expr::Call(moment) }));
        } else if on_target {
            return Some(());
        }
        let name = call.func_name.clone();
        let tried = Value::resolve(&IdedExpr { id, expr: Expr::Call(call) }, &Context::with_env(Arc::clone(&ENV)));
        if tried.is_ok() {
            return Some(());
        }
        let hint = match name.as_str() {
            "duration" => "its units are h, m, s and ms, as in duration(\"1h30m\"); a day is 24h",
            "timestamp" => "write it as in timestamp(\"2026-01-31T08:00:00Z\")",
            _ if zone => "write a name such as Europe/Zurich or UTC",
            _ => "",
        };
        let message = if zone { format!("unknown time zone \"{text}\"") } else { format!("`{name}` can't make anything of \"{text}\"") };
        self.wrong(*at, message, hint)
    }
}
