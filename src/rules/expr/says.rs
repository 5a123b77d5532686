//! What an expression says of a job's state, type and category, as far as that can be told without a job.

use cel::{
    IdedExpr,
    common::ast::{CallExpr, Expr, LiteralValue, operators},
};

use super::super::{codes, possible::Allowed};

/// For each code, the values that a job must have for the expression to be true. One that gives no answer is not true.
pub(super) fn says(tree: &IdedExpr) -> [Allowed<i64>; codes::Field::ALL.len()] {
    codes::Field::ALL.map(|field| allowed(tree, field, false))
}

/// The values of one code with which a part may be true or, where `negated`, false.
fn allowed(part: &IdedExpr, field: codes::Field, negated: bool) -> Allowed<i64> {
    let Expr::Call(CallExpr { func_name, target: None, args }) = &part.expr else { return Allowed::all() };
    match (func_name.as_str(), args.as_slice()) {
        (operators::LOGICAL_NOT, [inner]) => allowed(inner, field, !negated),
        (operators::LOGICAL_AND | operators::LOGICAL_OR, [left, right]) => {
            let (left, right) = (allowed(left, field, negated), allowed(right, field, negated));
            if (func_name == operators::LOGICAL_AND) == negated { left.join(&right) } else { left.meet(&right) }
        }
        (operators::CONDITIONAL, [condition, yes, no]) => {
            let way = |turned, part| allowed(condition, field, turned).meet(&allowed(part, field, negated));
            way(false, yes).join(&way(true, no))
        }
        (operators::EQUALS | operators::NOT_EQUALS, [one, other]) => {
            let codes = match (is_field(one, field), is_field(other, field)) {
                (true, _) => code(other, field),
                (_, true) => code(one, field),
                _ => None,
            };
            codes.map_or_else(Allowed::all, |code| Allowed::of(&[code], (func_name == operators::NOT_EQUALS) != negated))
        }
        (operators::IN, [one, list]) if is_field(one, field) => match &list.expr {
            Expr::List(list) => {
                let codes: Option<Vec<i64>> = list.elements.iter().map(|item| code(item, field)).collect();
                codes.map_or_else(Allowed::all, |codes| Allowed::of(&codes, negated))
            }
            _ => Allowed::all(),
        },
        _ => Allowed::all(),
    }
}

/// Whether a part is that field of the job.
fn is_field(part: &IdedExpr, field: codes::Field) -> bool {
    match &part.expr {
        Expr::Select(select) => {
            !select.test && select.field == field.word() && matches!(&select.operand.expr, Expr::Ident(name) if name == "job")
        }
        _ => false,
    }
}

/// The code that a text names as an expression sees it: by its name, or the digits of one that has none.
fn code(part: &IdedExpr, field: codes::Field) -> Option<i64> {
    let Expr::Literal(LiteralValue::String(text)) = &part.expr else { return None };
    field.parse(text.inner()).filter(|code| field.name(*code) == text.inner())
}
