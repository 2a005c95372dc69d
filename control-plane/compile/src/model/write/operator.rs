//! Expressions to the tree that `spec.operator` of an intent holds; its reader reads it back.

use emac_core::journey::{Alternative, Choice, Expr, Join, Probability};
use emac_core::units::{Millis, Ratio};
use serde_json::{Map, Value, json};

/// The tree. Its depth is that of the expression, which is limited.
pub(super) fn operator(expr: &Expr) -> Value {
    match expr {
        Expr::Leaf(name) => json!({"ref": name.as_str()}),
        Expr::Series(steps) => json!({"type": "series", "steps": all(steps)}),
        Expr::Parallel { join, branches } => {
            let join = match join {
                Join::All => json!("all"),
                Join::AtLeast(k) => json!({"atLeast": k}),
            };
            json!({"type": "parallel", "join": join, "branches": all(branches)})
        }
        Expr::Race { delay, branches } => {
            let delay = Some(*delay).filter(|delay| delay.0 > 0);
            with("race", [("delay", delay.map(millis)), ("branches", Some(all(branches)))])
        }
        Expr::Fallback { primary, alternates } => {
            let alternates: Value = alternates.iter().map(alternate).collect();
            json!({"type": "fallback", "primary": operator(primary), "alternates": alternates})
        }
        Expr::Branch(choices) => {
            json!({"type": "branch", "choices": choices.iter().map(choice).collect::<Value>()})
        }
        Expr::Retry { attempts, per_try_timeout, body } => {
            let (attempts, per_try) = (Some(json!(attempts)), per_try_timeout.map(millis));
            over(with("retry", [("attempts", attempts), ("perTryTimeout", per_try)]), body)
        }
        Expr::Timeout { after, body } => over(with("timeout", [("after", Some(millis(*after)))]), body),
        Expr::Repeat { count, body } => over(with("repeat", [("count", Some(json!(count)))]), body),
        Expr::Async(body) => over(json!({"type": "async"}), body),
    }
}

fn all(operands: &[Expr]) -> Value {
    operands.iter().map(operator).collect()
}

fn millis(millis: Millis) -> Value {
    json!(format!("{}ms", millis.0))
}

fn with<const N: usize>(operator: &str, parameters: [(&str, Option<Value>); N]) -> Value {
    let mut json = Map::new();
    json.insert("type".to_owned(), json!(operator));
    json.extend(parameters.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
    Value::Object(json)
}

/// The operand beside its operator's parameters: `ref` for a component, else `operator`.
fn over(mut parameters: Value, operand: &Expr) -> Value {
    match operand {
        Expr::Leaf(name) => parameters["ref"] = json!(name.as_str()),
        other => parameters["operator"] = operator(other),
    }
    parameters
}

fn alternate(alternate: &Alternative) -> Value {
    let weight = Some(alternate.weight).filter(|weight| *weight != Ratio::ONE);
    over(weight.map_or_else(|| json!({}), |weight| json!({"weight": weight.get()})), &alternate.expr)
}

fn choice(choice: &Choice) -> Value {
    over(json!({"probability": probability(choice.probability)}), &choice.expr)
}

fn probability(probability: Probability) -> Value {
    if probability.is_exact() { json!(probability.lo()) } else { json!([probability.lo(), probability.hi()]) }
}
