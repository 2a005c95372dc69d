//! Spoilt copies of a document: every field taken away, an unknown one added to every mapping, every value replaced by others.

use emac_control_plane::schema::{Form, KINDS, Kind, Mapping, Need, Shape};
use serde_json::{Value, json};

/// One step into a document.
#[derive(Clone, Debug)]
enum Step {
    Key(String),
    Item(usize),
}

type Path = Vec<Step>;

fn at<'v>(document: &'v mut Value, path: &[Step]) -> &'v mut Value {
    path.iter().fold(document, |value, step| match step {
        Step::Key(key) => &mut value[key.as_str()],
        Step::Item(number) => &mut value[*number],
    })
}

fn children(value: &Value) -> Vec<(Step, &Value)> {
    match value {
        Value::Object(fields) => fields.iter().map(|(key, value)| (Step::Key(key.clone()), value)).collect(),
        Value::Array(items) => {
            items.iter().enumerate().map(|(number, value)| (Step::Item(number), value)).collect()
        }
        _ => Vec::new(),
    }
}

/// Paths of every value, `kind` aside, which names the judge.
fn paths(value: &Value, path: &Path, found: &mut Vec<Path>) {
    for (step, child) in children(value) {
        if path.is_empty() && matches!(&step, Step::Key(key) if key == "kind") {
            continue;
        }
        let path = [path.clone(), vec![step]].concat();
        paths(child, &path, found);
        found.push(path);
    }
}

fn changed(document: &Value, path: &[Step], change: impl FnOnce(&mut Value)) -> Value {
    let mut copy = document.clone();
    change(at(&mut copy, path));
    copy
}

/// What any value is replaced by. No `null`: readers take it for absent, schemas refuse it.
fn others() -> [Value; 13] {
    [
        json!(true),
        json!(-1),
        json!(0),
        json!(0.5),
        json!(3),
        json!(5_000_000_000_i64),
        json!(""),
        json!("word"),
        json!("5ms"),
        json!("50%"),
        json!([]),
        json!(["word"]),
        json!({"word": "word"}),
    ]
}

/// How many of them a value is replaced by, each value by others: values of one type abound, and every copy is judged twice.
const OTHERS_EACH: usize = 3;

/// Every spoilt copy, and what was done.
pub(crate) fn all(document: &Value) -> Vec<(String, Value)> {
    let mut found = vec![Vec::new()];
    paths(document, &Vec::new(), &mut found);
    let mut copies = Vec::new();
    for (number, path) in found.iter().enumerate() {
        let mut value = document.clone();
        if at(&mut value, path).is_object() {
            let copy = changed(document, path, |value| value["zzzzzzzzzzzzzzzz"] = json!(1));
            copies.push((format!("unknown field in {path:?}"), copy));
        }
        if let Some((Step::Key(key), parent)) = path.split_last() {
            let copy = changed(document, parent, |value| drop(value.as_object_mut().unwrap().remove(key)));
            copies.push((format!("without {path:?}"), copy));
        }
        if !path.is_empty() {
            let replaced = |other: Value| {
                (format!("{other} at {path:?}"), changed(document, path, |value| *value = other))
            };
            let others = others().into_iter().cycle().skip(number);
            copies.extend(others.take(OTHERS_EACH).map(replaced));
        }
    }
    copies
}

/// Calls `meet` with every mapping of a table that stands in a document, its place and its value.
fn meet(
    mapping: &'static Mapping,
    path: &Path,
    value: &Value,
    on: &mut impl FnMut(&'static Mapping, &Path, &Value),
) {
    on(mapping, path, value);
    for field in mapping.fields {
        if let Some(value) = value.get(field.name) {
            let path = [path.clone(), vec![Step::Key(field.name.to_owned())]].concat();
            meet_shape(&field.shape, &path, value, on);
        }
    }
}

fn meet_shape(
    shape: &Shape,
    path: &Path,
    value: &Value,
    on: &mut impl FnMut(&'static Mapping, &Path, &Value),
) {
    match shape {
        Shape::Scalar(_) => {}
        Shape::List(of) | Shape::Map(_, of) => {
            for (step, value) in children(value) {
                meet_shape(of, &[path.clone(), vec![step]].concat(), value, on);
            }
        }
        Shape::Mapping(mapping) if value.is_object() => meet(mapping, path, value, on),
        Shape::Mapping(_) => {}
        Shape::Named(named) => meet_shape(&(named.shape)(), path, value, on),
        Shape::Either(all) => {
            all.iter().filter(|one| fits(one, value)).for_each(|one| meet_shape(one, path, value, on))
        }
    }
}

/// Whether an alternative is the one that was written: by its `type` or `about`, otherwise by having every field.
fn fits(shape: &Shape, value: &Value) -> bool {
    let Shape::Mapping(mapping) = shape else { return !value.is_object() };
    let Some(fields) = value.as_object() else { return false };
    let mut names = mapping.fields.iter().filter(|field| ["type", "about"].contains(&field.name));
    match names.next() {
        Some(field) => says(&field.shape, &value[field.name]),
        None => fields.keys().all(|key| mapping.fields.iter().any(|field| field.name == key)),
    }
}

/// Whether a value is one of a shape's words.
fn says(shape: &Shape, value: &Value) -> bool {
    let Shape::Scalar(scalar) = shape else { return false };
    let one_of = |form: &Form| matches!(form, Form::Words(words) if words.iter().any(|word| value == word));
    scalar.forms.iter().any(one_of)
}

/// Fields of a document that its table does not have, in open mappings too.
pub(crate) fn fields_without_table(document: &Value) -> Vec<String> {
    let kind = kind_of(document);
    let mut found = Vec::new();
    meet((kind.root)(), &Vec::new(), document, &mut |mapping, path, value| {
        let known = |key: &str| mapping.fields.iter().any(|field| field.name == key);
        let envelope = |key: &str| path.is_empty() && ["apiVersion", "kind"].contains(&key);
        let keys = value.as_object().into_iter().flatten().map(|(key, _)| key.as_str());
        found.extend(keys.filter(|key| !known(key) && !envelope(key)).map(|key| format!("{path:?} {key}")));
    });
    found
}

/// Mappings by what they say (a reader that is asked for in two places has a table in each), and which of their fields are used.
type Uses = Vec<(String, &'static Mapping, Vec<bool>)>;

/// Fields of the documents' tables that no document uses.
pub(crate) fn fields_without_example(documents: &[Value]) -> Vec<&'static str> {
    let mut uses = Uses::new();
    let kinds = || documents.iter().map(|document| (kind_of(document), document));
    kinds().for_each(|(kind, _)| below(Shape::Mapping((kind.root)()), &mut uses));
    let mut note = |mapping: &'static Mapping, _: &Path, value: &Value| {
        let says = format!("{mapping:?}");
        let known = uses.iter_mut().find(|(known, ..)| *known == says);
        let used = mapping.fields.iter().map(|field| value.get(field.name).is_some());
        known.unwrap().2.iter_mut().zip(used).for_each(|(seen, used)| *seen |= used);
    };
    kinds().for_each(|(kind, document)| meet((kind.root)(), &Vec::new(), document, &mut note));
    let unused = |(_, mapping, seen): &(String, &'static Mapping, Vec<bool>)| {
        let names = mapping.fields.iter().zip(seen).filter(|(_, seen)| !**seen);
        names.map(|(field, _)| field.name).collect::<Vec<_>>()
    };
    uses.iter().flat_map(unused).collect()
}

/// Every mapping below a shape, none of its fields used yet.
fn below(shape: Shape, found: &mut Uses) {
    match shape {
        Shape::Scalar(_) => {}
        Shape::List(of) | Shape::Map(_, of) => below(*of, found),
        Shape::Either(all) => all.iter().for_each(|one| below(*one, found)),
        // It contains itself by way of its own mappings, which are met once.
        Shape::Named(named) => below((named.shape)(), found),
        Shape::Mapping(mapping) => {
            let says = format!("{mapping:?}");
            if found.iter().all(|(known, ..)| *known != says) {
                found.push((says, mapping, vec![false; mapping.fields.len()]));
                mapping.fields.iter().for_each(|field| below(field.shape, found));
            }
        }
    }
}

fn kind_of(document: &Value) -> &'static Kind {
    KINDS.iter().find(|kind| document["kind"] == kind.name).unwrap()
}

/// For every field with a default: the document with the default said, and with the field absent.
pub(crate) fn defaults(kind: &Kind, document: &Value) -> Vec<(String, Value, Value)> {
    let mut found = Vec::new();
    meet((kind.root)(), &Vec::new(), document, &mut |mapping, path, value| {
        for field in mapping.fields {
            let Need::Default(default) = field.need else { continue };
            if value.get(field.name).is_none() {
                continue;
            }
            let default = serde_json::from_str(default).unwrap_or_else(|_| json!(default));
            let stated = changed(document, path, |value| value[field.name] = default);
            let absent =
                changed(document, path, |value| drop(value.as_object_mut().unwrap().remove(field.name)));
            found.push((format!("{path:?} {}", field.name), stated, absent));
        }
    });
    found
}
