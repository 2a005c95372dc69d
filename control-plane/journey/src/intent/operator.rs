//! `spec.operator`: from YAML to a checked [`Journey`].
//!
//! A node is `{ref: name}` or `{type: series, steps: [...]}` and so on, or the canonical text `Series(a, b)`. Where an operator takes one operand with a number of its own (a choice
//! and its probability, an alternate and its weight, what is retried), the operand is `ref: name` or `operator: {...}` beside the number.
//! A shadow tree of places is built along, because the rules of the language are checked on the finished expression.

use std::sync::LazyLock;

use emac_core::journey::{self, Alternative, Choice, ComponentName, Expr, Join, Journey, Probability};
use emac_core::units::{Millis, Ratio};

use super::component::{Declaration, Declared, Meaning};
use super::share::ABOVE_ZERO;
use emac_document::shape::{Form, Named, Rule, Shape};
use emac_document::types::{
    Shown, Type, checked, choice, either, list, mapping, mapping_as, millis, owned, scalar, scalar_shape,
    share, typed, unread, word,
};
use emac_document::{Fields, Problem, Reader, Span, Value, describe, did_you_mean};

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
    let mut builder = Builder { declared, ..Builder::free() };
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
#[derive(Clone, Copy, PartialEq)]
enum OperatorType {
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

const TYPES: [(&str, OperatorType); 9] = [
    ("series", OperatorType::Series),
    ("parallel", OperatorType::Parallel),
    ("race", OperatorType::Race),
    ("fallback", OperatorType::Fallback),
    ("branch", OperatorType::Branch),
    ("retry", OperatorType::Retry),
    ("timeout", OperatorType::Timeout),
    ("repeat", OperatorType::Repeat),
    ("async", OperatorType::Async),
];

/// What may stand where an operator stands: text, a component, or one of the types.
pub static OPERATOR: Named = Named { name: "operator", shape };

fn shape() -> Shape {
    static SHAPE: LazyLock<Shape> = LazyLock::new(all_shapes);
    *SHAPE
}

fn all_shapes() -> Shape {
    let expression = || scalar_shape("expression", vec![Form::Text(r"\S")], EXAMPLE.to_owned());
    let mut all = vec![expression(), Shape::Mapping(describe(|fields| Builder::free().component(fields)))];
    all.extend(
        TYPES.map(|(_, one)| Shape::Mapping(describe(move |fields| Builder::free().of_type(one, fields)))),
    );
    Shape::Either(all.leak())
}

const EXAMPLE: &str = "'Series(front, Parallel(cart, pricing))'";

fn any() -> Shape {
    Shape::Named(&OPERATOR)
}

impl<'a> Builder<'_, 'a> {
    /// Of a model.
    fn free() -> Self {
        Self { declared: None, within: Vec::new(), leaves: 0 }
    }

    fn operator(&mut self, reader: Reader<'a>) -> Option<Built> {
        if matches!(reader.node().value, Value::String(_)) {
            return self.canonical(reader);
        }
        reader.fields(|fields| {
            if !fields.has("type") {
                return self.component(fields);
            }
            match fields.peek("type").and_then(|it| it.choice(&TYPES)) {
                Some(operator) => self.of_type(operator, fields),
                // Without its type, its other fields cannot be judged.
                None => {
                    fields.accept_rest();
                    None
                }
            }
        })
    }

    /// A component by its name.
    fn component(&mut self, fields: &mut Fields<'a>) -> Option<Built> {
        let says = "name of the component under `components`";
        let name = fields.field("ref", unread(|| word().shape()), says).expected();
        let built = match name {
            Some(name) => self.reference(name),
            None => {
                fields.get("type");
                fields.reader().refuse("an operator needs `type`, a component needs `ref`")
            }
        };
        for_people(fields);
        built
    }

    fn of_type(&mut self, operator: OperatorType, fields: &mut Fields<'a>) -> Option<Built> {
        let built = match operator {
            OperatorType::Series => self.series(fields),
            OperatorType::Parallel => self.parallel(fields),
            OperatorType::Race => self.race(fields),
            OperatorType::Fallback => self.fallback(fields),
            OperatorType::Branch => self.branch(fields),
            OperatorType::Retry => self.retry(fields),
            OperatorType::Timeout => self.timeout(fields),
            OperatorType::Repeat => self.repeat(fields),
            OperatorType::Async => self.not_awaited(fields),
        };
        for_people(fields);
        built
    }

    fn series(&mut self, fields: &mut Fields<'a>) -> Option<Built> {
        type_of(fields, "series", "operands one after the other; all must succeed");
        let (steps, places) = split(self.several(fields, "steps", "the operands, in order")?);
        Some(Built::new(Expr::Series(steps), fields.reader(), places))
    }

    fn parallel(&mut self, fields: &mut Fields<'a>) -> Option<Built> {
        type_of(fields, "parallel", "operands at the same time");
        let join = fields.field("join", join(), "how many branches must succeed").or_as(Join::All, "all");
        let (branches, places) = split(self.several(fields, "branches", "the operands")?);
        Some(Built::new(Expr::Parallel { join, branches }, fields.reader(), places))
    }

    fn race(&mut self, fields: &mut Fields<'a>) -> Option<Built> {
        type_of(fields, "race", "operands at the same time; the first success wins");
        fields.field("semantics", choice(&[("hedged", Hedged)]), "the only value").or(Hedged);
        let says =
            "the n-th branch after the first starts n delays after it, unless an answer came (hedging)";
        let delay = fields.field("delay", millis(0..=u64::MAX), says).optional().unwrap_or(Millis(0));
        let (branches, places) = split(self.several(fields, "branches", "the operands")?);
        Some(Built::new(Expr::Race { delay, branches }, fields.reader(), places))
    }

    fn fallback(&mut self, fields: &mut Fields<'a>) -> Option<Built> {
        type_of(fields, "fallback", "the alternates in order, after the primary failed");
        let primary = typed(any, |it: Reader<'a>| self.operator(it));
        let primary = fields.field("primary", primary, "the first operand").required();
        let alternate = mapping_as(
            || describe(|fields| Builder::free().alternate(fields)),
            |fields: &mut Fields<'a>| self.alternate(fields),
        );
        let alternates = fields.field("alternates", list(alternate), "the alternates, in order").required();
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
        let says =
            "worth of its answer relative to the primary's; below 1 the answer is degraded and has a budget";
        let weight = fields.field("weight", weight(), says).or(Ratio::ONE);
        Some((weight, self.operand(fields)?))
    }

    fn branch(&mut self, fields: &mut Fields<'a>) -> Option<Built> {
        type_of(fields, "branch", "exactly one operand, with its probability");
        let choice = mapping_as(
            || describe(|fields| Builder::free().choice(fields)),
            |fields: &mut Fields<'a>| self.choice(fields),
        );
        let says = "the operands; their probabilities add up to 1";
        let choices = fields.field("choices", list(choice), says).required()?;
        let mut places = Vec::new();
        let mut all = Vec::new();
        for (probability, built) in choices {
            all.push(Choice { probability, expr: built.expr });
            places.push(built.places);
        }
        Some(Built::new(Expr::Branch(all), fields.reader(), places))
    }

    fn choice(&mut self, fields: &mut Fields<'a>) -> Option<(Probability, Built)> {
        let says = "a probability, or an interval `[low, high]`";
        let probability = fields.field("probability", probability(), says).required();
        let built = self.operand(fields);
        fields.field("description", owned(), "free text").optional();
        Some((probability?, built?))
    }

    fn retry(&mut self, fields: &mut Fields<'a>) -> Option<Built> {
        type_of(fields, "retry", "the operand again after a failure");
        let says = "total tries, including the first";
        let attempts = fields.field("attempts", count(16), says).required();
        let per_try_timeout =
            fields.field("perTryTimeout", millis(0..=u64::MAX), "timeout of one try").optional();
        let body = self.operand(fields)?;
        let expr = Expr::Retry { attempts: attempts?, per_try_timeout, body: Box::new(body.expr) };
        Some(Built::new(expr, fields.reader(), vec![body.places]))
    }

    fn timeout(&mut self, fields: &mut Fields<'a>) -> Option<Built> {
        type_of(fields, "timeout", "the operand with a time limit; a later answer is a failure");
        let after = fields.field("after", millis(0..=u64::MAX), "the time limit").required();
        let body = self.operand(fields)?;
        let expr = Expr::Timeout { after: after?, body: Box::new(body.expr) };
        Some(Built::new(expr, fields.reader(), vec![body.places]))
    }

    fn repeat(&mut self, fields: &mut Fields<'a>) -> Option<Built> {
        type_of(fields, "repeat", "the operand several times in sequence; all must succeed");
        let times = fields.field("count", count(1_000), "number of times").required();
        let body = self.operand(fields)?;
        let expr = Expr::Repeat { count: times?, body: Box::new(body.expr) };
        Some(Built::new(expr, fields.reader(), vec![body.places]))
    }

    fn not_awaited(&mut self, fields: &mut Fields<'a>) -> Option<Built> {
        type_of(fields, "async", "not awaited: it cannot fail the answer, only the eventual outcome");
        let body = self.operand(fields)?;
        Some(Built::new(Expr::Async(Box::new(body.expr)), fields.reader(), vec![body.places]))
    }

    fn several(
        &mut self,
        fields: &mut Fields<'a>,
        name: &'static str,
        says: &'static str,
    ) -> Option<Vec<Built>> {
        fields.field(name, list(typed(any, |it: Reader<'a>| self.operator(it))), says).required()
    }

    /// `ref` or `operator`, beside other fields.
    fn operand(&mut self, fields: &mut Fields<'a>) -> Option<Built> {
        let name =
            fields.field("ref", unread(|| word().shape()), "a component, instead of `operator`").optional();
        let operator = fields.field("operator", unread(any), "an operator, instead of `ref`").optional();
        fields.rule(Rule::OneOf("ref", "operator"));
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
            let name =
                ComponentName::new(name).map_or_else(|error| reader.refuse(error.to_string()), Some)?;
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

/// The first field of an operator is its type, which was read before.
fn type_of(fields: &mut Fields<'_>, name: &'static str, says: &'static str) {
    let shape =
        || scalar_shape(format!("`{name}`").leak(), vec![Form::Words(vec![name].leak())], name.to_owned());
    fields.field("type", typed(shape, |_| Some(())), says).required();
}

/// A count; the rules of the language say how large it may be, schemas do as well.
fn count<'a>(most: u32) -> impl Type<'a, Value = u32> {
    let shape = move || scalar_shape("count", vec![Form::Integer(1, most.into())], "2".to_owned());
    typed(shape, |it: Reader<'a>| it.integer(0..=u32::MAX.into()).and_then(|count| u32::try_from(count).ok()))
}

/// That it is above zero is a rule of the language.
fn weight<'a>() -> impl Shown<'a, Value = Ratio> {
    scalar("share", &ABOVE_ZERO, "20%", Reader::ratio)
}

/// What reports and people call an operator.
fn for_people(fields: &mut Fields<'_>) {
    fields.field("id", owned(), "name used in reports").optional();
    fields.field("description", owned(), "free text").optional();
}

/// The only kind of race.
#[derive(Clone, Copy, PartialEq)]
struct Hedged;

/// `all` or `{atLeast: k}`.
fn join<'a>() -> impl Type<'a, Value = Join> {
    let is_word = |it: Reader<'a>| it.node().entries().is_none();
    either(is_word, choice([("all", Join::All)]), mapping(at_least))
}

fn at_least(fields: &mut Fields<'_>) -> Option<Join> {
    let says = "this many branches must succeed; at most the number of branches";
    fields.field("atLeast", count(u32::MAX), says).required().map(Join::AtLeast)
}

/// `p` or `[low, high]`.
fn probability<'a>() -> impl Type<'a, Value = Probability> {
    let is_number = |it: Reader<'a>| !matches!(it.node().value, Value::Sequence(_));
    let between = |it: Reader<'a>, ends: Vec<Ratio>| match ends[..] {
        [low, high] => match Probability::between(low, high) {
            Ok(probability) => Some(probability),
            Err(error) => it.refuse(error.to_string()),
        },
        _ => it.refuse("expected a probability or [low, high]"),
    };
    let exactly = checked(share(), |_, share| Some(Probability::exactly(share)));
    either(is_number, exactly, checked(list(share()), between))
}
