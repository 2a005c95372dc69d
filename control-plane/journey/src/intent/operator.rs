//! `spec.operator`: from YAML to a checked [`Journey`].
//!
//! A node is `{ref: name}` or `{type: series, steps: [...]}` and so on, or the canonical text `Series(a, b)`. Where an operator takes one operand with a number of its own (a choice
//! and its probability, an alternate and its weight, what is retried), the operand is `ref: name` or `operator: {...}` beside the number.
//! A shadow tree of places is built along, because the rules of the language are checked on the finished expression.

use emac_core::journey::{self, Alternative, Choice, ComponentName, Expr, Join, Journey, Probability};
use emac_core::units::{Millis, Ratio};

use super::component::{Declaration, Declared, Meaning};
use super::share::{named, owned, small};
use emac_document::{Fields, Problem, Reader, Span, Value, did_you_mean};

/// An operator's expression and the places of its parts.
struct Built {
    expr: Expr,
    places: Places,
}

/// Where an expression stands, and its operands in the order of [`Expr::children`].
struct Places {
    span: Span,
    operands: Vec<Places>,
}

impl Built {
    fn new(expr: Expr, reader: Reader<'_>, operands: Vec<Places>) -> Self {
        Self { expr, places: Places { span: reader.span(), operands } }
    }
}

/// Reads the operator and checks every rule; problems point at the operator that breaks it.
pub(super) fn structure(reader: Reader<'_>, declared: &Declared<'_>) -> Option<Journey> {
    build(reader, Some(declared))
}

/// The operator of a model: every name is a component.
pub fn free_structure(reader: Reader<'_>) -> Option<Journey> {
    build(reader, None)
}

fn build(reader: Reader<'_>, declared: Option<&Declared<'_>>) -> Option<Journey> {
    if reader.is_null() {
        return reader.refuse("`operator` is empty");
    }
    let mut builder = Builder { declared, within: Vec::new(), leaves: 0 };
    let built = builder.operator(reader)?;
    let invalid = match Journey::new(built.expr) {
        Ok(journey) => return Some(journey),
        Err(invalid) => invalid,
    };
    for problem in invalid {
        let place = problem.path.iter().try_fold(&built.places, |place, &step| place.operands.get(step));
        let span = place.map_or(reader.span(), |place| place.span);
        reader.problems().push(Problem::error(problem.to_string()).at(reader.source(), span));
    }
    None
}

struct Builder<'d, 'a> {
    /// `None`: every name is a component.
    declared: Option<&'d Declared<'a>>,
    /// Composite components that are being written out, outermost first.
    within: Vec<&'a str>,
    /// Leaves so far: a composite used often could grow without bound.
    leaves: usize,
}

/// What `type` may be.
#[derive(Clone, Copy)]
enum Type {
    Series,
    Parallel,
    Race,
    Fallback,
    Branch,
    Retry,
    Timeout,
    Repeat,
    Async,
}

const TYPES: [(&str, Type); 9] = [
    ("series", Type::Series),
    ("parallel", Type::Parallel),
    ("race", Type::Race),
    ("fallback", Type::Fallback),
    ("branch", Type::Branch),
    ("retry", Type::Retry),
    ("timeout", Type::Timeout),
    ("repeat", Type::Repeat),
    ("async", Type::Async),
];

impl<'a> Builder<'_, 'a> {
    fn operator(&mut self, reader: Reader<'a>) -> Option<Built> {
        if matches!(reader.node().value, Value::String(_)) {
            return self.canonical(reader);
        }
        reader.fields(|fields| {
            let _ = (fields.optional("id", owned), fields.optional("description", owned));
            if fields.has("type") {
                let operator = fields.required("type", |kind| kind.choice(&TYPES));
                // Without its type, its other fields cannot be judged.
                let Some(operator) = operator else {
                    fields.accept_rest();
                    return None;
                };
                self.of_type(operator, fields)
            } else {
                let message = "an operator needs `type`, a component needs `ref`";
                match fields.get("ref") {
                    Some(name) => self.reference(name),
                    None => {
                        fields.get("type");
                        reader.refuse(message)
                    }
                }
            }
        })
    }

    fn of_type(&mut self, operator: Type, fields: &mut Fields<'a>) -> Option<Built> {
        let reader = fields.reader();
        match operator {
            Type::Series => {
                let steps = fields.required("steps", |steps| self.operands(steps))?;
                let (exprs, places) = split(steps);
                Some(Built::new(Expr::Series(exprs), reader, places))
            }
            Type::Parallel => {
                let join = fields.optional("join", join);
                let stated = fields.has("join");
                let (branches, places) = split(fields.required("branches", |all| self.operands(all))?);
                let join = if stated { join? } else { Join::All };
                Some(Built::new(Expr::Parallel { join, branches }, reader, places))
            }
            Type::Race => self.race(fields),
            Type::Fallback => self.fallback(fields),
            Type::Branch => self.branch(fields),
            Type::Retry => {
                let attempts = fields.required("attempts", |attempts| small(attempts, 0..=u32::MAX));
                let per_try_timeout = fields.optional("perTryTimeout", Reader::millis);
                let body = self.operand(fields)?;
                let expr = Expr::Retry { attempts: attempts?, per_try_timeout, body: Box::new(body.expr) };
                Some(Built::new(expr, reader, vec![body.places]))
            }
            Type::Timeout => {
                let after = fields.required("after", Reader::millis);
                let body = self.operand(fields)?;
                let expr = Expr::Timeout { after: after?, body: Box::new(body.expr) };
                Some(Built::new(expr, reader, vec![body.places]))
            }
            Type::Repeat => {
                let count = fields.required("count", |count| small(count, 0..=u32::MAX));
                let body = self.operand(fields)?;
                let expr = Expr::Repeat { count: count?, body: Box::new(body.expr) };
                Some(Built::new(expr, reader, vec![body.places]))
            }
            Type::Async => {
                let body = self.operand(fields)?;
                Some(Built::new(Expr::Async(Box::new(body.expr)), reader, vec![body.places]))
            }
        }
    }

    fn race(&mut self, fields: &mut Fields<'a>) -> Option<Built> {
        let _ = fields.optional("semantics", |semantics| semantics.choice(&[("hedged", ())]));
        let delay = fields.optional("delay", Reader::millis).unwrap_or(Millis(0));
        let (branches, places) = split(fields.required("branches", |all| self.operands(all))?);
        Some(Built::new(Expr::Race { delay, branches }, fields.reader(), places))
    }

    fn fallback(&mut self, fields: &mut Fields<'a>) -> Option<Built> {
        let primary = fields.required("primary", |primary| self.operator(primary));
        let alternates = fields.required("alternates", |all| {
            all.list(|alternate| alternate.fields(|fields| self.alternate(fields)))
        });
        let (primary, alternates) = (primary?, alternates?);
        let mut places = vec![primary.places];
        let mut alternatives = Vec::new();
        for (weight, built) in alternates {
            alternatives.push(Alternative { weight, expr: built.expr });
            places.push(built.places);
        }
        let expr = Expr::Fallback { primary: Box::new(primary.expr), alternates: alternatives };
        Some(Built::new(expr, fields.reader(), places))
    }

    fn alternate(&mut self, fields: &mut Fields<'a>) -> Option<(Ratio, Built)> {
        let weight = fields.optional("weight", Reader::ratio);
        let wrong = weight.is_none() && fields.has("weight");
        let built = self.operand(fields)?;
        (!wrong).then(|| (weight.unwrap_or(Ratio::ONE), built))
    }

    fn branch(&mut self, fields: &mut Fields<'a>) -> Option<Built> {
        let choices = fields.required("choices", |all| {
            all.list(|choice| {
                choice.fields(|fields| {
                    let _ = fields.optional("description", owned);
                    let probability = fields.required("probability", probability);
                    let built = self.operand(fields)?;
                    Some((probability?, built))
                })
            })
        })?;
        let mut places = Vec::new();
        let mut all = Vec::new();
        for (probability, built) in choices {
            all.push(Choice { probability, expr: built.expr });
            places.push(built.places);
        }
        Some(Built::new(Expr::Branch(all), fields.reader(), places))
    }

    fn operands(&mut self, reader: Reader<'a>) -> Option<Vec<Built>> {
        reader.list(|operand| self.operator(operand))
    }

    /// `ref` or `operator`, beside other fields.
    fn operand(&mut self, fields: &mut Fields<'a>) -> Option<Built> {
        let name = fields.get("ref").filter(|name| !name.is_null());
        let operator = fields.get("operator").filter(|operator| !operator.is_null());
        match (name, operator) {
            (Some(name), None) => self.reference(name),
            (None, Some(operator)) => self.operator(operator),
            (Some(_), Some(_)) => fields.reader().refuse("give `ref` or `operator`, not both"),
            (None, None) => fields.reader().refuse("one of the fields `ref` and `operator` is missing"),
        }
    }

    fn reference(&mut self, reader: Reader<'a>) -> Option<Built> {
        let name = reader.word()?;
        let Some(declared) = self.declared else {
            let name = named(reader, ComponentName::new)?;
            return self.leaf(name, reader);
        };
        match declared.get(name) {
            None => dangling(declared, reader, name),
            Some(Declaration { meaning: Meaning::Composite(operator), .. }) => {
                self.composite(name, reader, *operator)
            }
            Some(declaration) => self.leaf(declaration.name.clone(), reader),
        }
    }

    fn leaf(&mut self, name: ComponentName, reader: Reader<'a>) -> Option<Built> {
        self.leaves += 1;
        if self.leaves == Expr::LEAVES_MAX + 1 {
            return reader.refuse(format!("more than {} leaves", Expr::LEAVES_MAX));
        }
        (self.leaves <= Expr::LEAVES_MAX).then(|| Built::new(Expr::Leaf(name), reader, Vec::new()))
    }

    fn composite(&mut self, name: &'a str, reader: Reader<'a>, operator: Reader<'a>) -> Option<Built> {
        if self.leaves > Expr::LEAVES_MAX {
            return None;
        }
        if self.within.contains(&name) {
            let cycle = [&self.within[..], &[name]].concat().join(" -> ");
            return reader.refuse_with(format!("`{name}` contains itself"), cycle);
        }
        if self.within.len() >= Expr::DEPTH_MAX {
            return reader.refuse(format!("nested deeper than {} levels", Expr::DEPTH_MAX));
        }
        self.within.push(name);
        let built = self.operator(operator);
        self.within.pop();
        built
    }

    /// The text form. Its names are leaves; composite components are not written out in it.
    fn canonical(&mut self, reader: Reader<'a>) -> Option<Built> {
        let text = reader.text()?;
        let expr = match journey::parse(text) {
            Ok(expr) => expr,
            Err(error) => return reader.refuse(format!("not an expression: {error}")),
        };
        let leaves = expr.leaves();
        self.leaves += leaves.len();
        let Some(declared) = self.declared else {
            return Some(Built::new(expr, reader, Vec::new()));
        };
        for name in leaves {
            match declared.get(name.as_str()).map(|declaration| &declaration.meaning) {
                None => return dangling(declared, reader, name.as_str()),
                Some(Meaning::Composite(_)) => {
                    return reader.refuse(format!("`{name}` is composite: refer to it by `ref`"));
                }
                Some(_) => {}
            }
        }
        Some(Built::new(expr, reader, Vec::new()))
    }
}

fn dangling<T>(declared: &Declared<'_>, reader: Reader<'_>, name: &str) -> Option<T> {
    let shown: String = name.chars().take(80).collect();
    let help = match did_you_mean(name, declared.names()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("declare it under components: `{shown}: {{...}}`"),
    };
    reader.refuse_with(format!("`{shown}` is not a component"), help)
}

fn split(built: Vec<Built>) -> (Vec<Expr>, Vec<Places>) {
    built.into_iter().map(|built| (built.expr, built.places)).unzip()
}

/// `all` or `{atLeast: k}`.
fn join(reader: Reader<'_>) -> Option<Join> {
    match &reader.node().value {
        Value::Mapping(_) => reader.fields(|fields| {
            let at_least = fields.required("atLeast", |at_least| small(at_least, 0..=u32::MAX));
            at_least.map(Join::AtLeast)
        }),
        _ => reader.choice(&[("all", Join::All)]),
    }
}

/// `p` or `[low, high]`.
fn probability(reader: Reader<'_>) -> Option<Probability> {
    if !matches!(reader.node().value, Value::Sequence(_)) {
        return reader.ratio().map(Probability::exactly);
    }
    let ends = reader.list(Reader::ratio)?;
    match ends[..] {
        [low, high] => match Probability::between(low, high) {
            Ok(probability) => Some(probability),
            Err(error) => reader.refuse(error.to_string()),
        },
        _ => reader.refuse("expected a probability or [low, high]"),
    }
}
