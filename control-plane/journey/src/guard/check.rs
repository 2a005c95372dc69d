//! Types of a guard's parts.

use cel::common::ast::operators as op;
use cel::common::ast::{CallExpr, Expr, LiteralValue};

use super::{FUNCTIONS, Input, InvalidGuard, SYMBOLS, Type};
use emac_document::parse_duration;

/// The type of an expression. Recursive: the parser limits depth.
pub(super) fn type_of(expr: &Expr) -> Result<Type, InvalidGuard> {
    match expr {
        Expr::Ident(name) => symbol(name),
        Expr::Literal(literal) => literal_type(literal),
        Expr::Call(call) => call_type(call),
        Expr::Select(_) => Err(InvalidGuard::Unsupported("fields (a.b)")),
        Expr::List(_) => Err(InvalidGuard::Unsupported("lists but behind `in`")),
        Expr::Map(_) | Expr::Struct(_) => Err(InvalidGuard::Unsupported("maps")),
        Expr::Comprehension(_) => Err(InvalidGuard::Unsupported("macros")),
        Expr::Unspecified => Err(InvalidGuard::Unsupported("empty expressions")),
    }
}

fn symbol(name: &str) -> Result<Type, InvalidGuard> {
    let known = SYMBOLS.iter().find(|(known, ..)| *known == name);
    known.map(|&(_, kind, _)| kind).ok_or_else(|| InvalidGuard::UnknownSymbol(name.to_owned()))
}

fn literal_type(literal: &LiteralValue) -> Result<Type, InvalidGuard> {
    match literal {
        LiteralValue::Boolean(_) => Ok(Type::Bool),
        LiteralValue::Double(_) => Ok(Type::Double),
        LiteralValue::Int(_) => Ok(Type::Int),
        LiteralValue::String(_) => Ok(Type::Text),
        LiteralValue::UInt(_) => Err(InvalidGuard::Unsupported("unsigned numbers")),
        LiteralValue::Bytes(_) => Err(InvalidGuard::Unsupported("bytes")),
        LiteralValue::Null => Err(InvalidGuard::Unsupported("null")),
    }
}

fn call_type(call: &CallExpr) -> Result<Type, InvalidGuard> {
    if call.target.is_some() {
        return Err(InvalidGuard::Unsupported("methods"));
    }
    if FUNCTIONS.contains(&call.func_name.as_str()) {
        return function(call);
    }
    if call.func_name == op::IN {
        return membership(call);
    }
    let types = call.args.iter().map(|arg| type_of(&arg.expr)).collect::<Result<Vec<_>, _>>()?;
    operator(&call.func_name, &types)
}

fn function(call: &CallExpr) -> Result<Type, InvalidGuard> {
    let found =
        |what: String| InvalidGuard::Operands { operator: format!("{}()", call.func_name), found: what };
    let [argument] = call.args.as_slice() else {
        return Err(found(format!("{} arguments", call.args.len())));
    };
    if call.func_name == "conf" {
        return match type_of(&argument.expr)? {
            Type::Subject => Ok(Type::Double),
            other => Err(found(other.name().to_owned())),
        };
    }
    match &argument.expr {
        Expr::Literal(LiteralValue::String(window)) => match parse_duration(window.inner()) {
            Ok(_) => Ok(Type::Double),
            Err(error) => Err(found(error.to_string())),
        },
        other => Err(found(format!("{}; write burn(\"1h\")", type_of(other)?.name()))),
    }
}

/// `x in [a, b]`, all of one type.
fn membership(call: &CallExpr) -> Result<Type, InvalidGuard> {
    let found = |what: &str| InvalidGuard::Operands { operator: "in".to_owned(), found: what.to_owned() };
    let [item, list] = call.args.as_slice() else { return Err(found("this")) };
    let Expr::List(list) = &list.expr else { return Err(found("anything but a list behind it")) };
    let item = type_of(&item.expr)?;
    for element in &list.elements {
        let element = type_of(&element.expr)?;
        if element != item || element == Type::Subject {
            return Err(found(&format!("{} among {}", item.name(), element.name())));
        }
    }
    Ok(Type::Bool)
}

fn operator(name: &str, types: &[Type]) -> Result<Type, InvalidGuard> {
    use Type::{Bool, Double, Int, Subject, Text};
    let numbers = |a: Type, b: Type| matches!(a, Double | Int) && matches!(b, Double | Int);
    let result = match (name, types) {
        (op::LOGICAL_AND | op::LOGICAL_OR, [Bool, Bool]) | (op::LOGICAL_NOT, [Bool]) => Some(Bool),
        (op::CONDITIONAL, [Bool, yes, no]) if yes == no && *yes != Subject => Some(*yes),
        (op::LESS | op::LESS_EQUALS | op::GREATER | op::GREATER_EQUALS, &[a, b]) if numbers(a, b) => {
            Some(Bool)
        }
        (op::EQUALS | op::NOT_EQUALS, &[a, b]) if numbers(a, b) || (a == b && a != Subject) => Some(Bool),
        (op::ADD | op::SUBSTRACT | op::MULTIPLY | op::DIVIDE, [Double, Double]) | (op::NEGATE, [Double]) => {
            Some(Double)
        }
        (op::ADD | op::SUBSTRACT | op::MULTIPLY | op::DIVIDE | op::MODULO, [Int, Int])
        | (op::NEGATE, [Int]) => Some(Int),
        (op::ADD, [Text, Text]) => Some(Text),
        _ if !known(name) => return Err(InvalidGuard::UnknownFunction(name.to_owned())),
        _ => None,
    };
    let found = || types.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(" and ");
    result.ok_or_else(|| InvalidGuard::Operands { operator: written(name).to_owned(), found: found() })
}

fn known(name: &str) -> bool {
    written(name) != name
}

/// An operator as people write it.
fn written(name: &str) -> &str {
    match name {
        op::CONDITIONAL => "?:",
        op::INDEX => "[]",
        _ => {
            let inner = name.trim_matches('_');
            if inner.len() < name.len() { inner } else { name }
        }
    }
}

/// Collects what an expression asks for.
pub(super) fn inputs(expr: &Expr, found: &mut Vec<Input>) {
    match expr {
        Expr::Ident(name) => found.push(Input::Symbol(name.clone())),
        Expr::List(list) => list.elements.iter().for_each(|element| inputs(&element.expr, found)),
        Expr::Call(call) => match (call.func_name.as_str(), call.args.first().map(|arg| &arg.expr)) {
            ("conf", Some(Expr::Ident(subject))) => found.push(Input::Confidence(subject.clone())),
            ("burn", Some(Expr::Literal(LiteralValue::String(window)))) => {
                found.push(Input::Burn(window.inner().to_owned()));
            }
            _ => call.args.iter().for_each(|arg| inputs(&arg.expr, found)),
        },
        _ => {}
    }
}
