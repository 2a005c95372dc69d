//! Tables and readers know the same fields. A sample with every field and one unknown field in every mapping is given to its reader; the reader's
//! help on the unknown field tells what it asked for.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use emac_compile::model::{AcceptedModel, CandidateModel};
use emac_document::{Document, Limits, Problem, Problems, Source, parse, render_text};

/// Deeper operators are components: every type has been met by then.
const OPERATORS_MAX: usize = 2;

/// Writes samples as YAML in flow style.
#[derive(Default)]
struct Sampler {
    /// Mappings written so far; the unknown field in each is numbered.
    written: Vec<&'static Mapping>,
    operators: usize,
}

fn unknown(number: usize) -> String {
    format!("zzzzzzzzzzzzzzzzzzzzzzzz{number}")
}

impl Sampler {
    /// One text for every alternative.
    fn shape(&mut self, shape: &'static Shape) -> Vec<String> {
        match shape {
            Shape::Scalar(scalar) => vec![scalar.example.to_owned()],
            Shape::List(of) => vec![format!("[{}]", self.shape(of).join(", "))],
            Shape::Map(_, of) => {
                let entries = self.shape(of).into_iter().enumerate();
                let entries: Vec<_> = entries.map(|(number, text)| format!("key-{number}: {text}")).collect();
                vec![format!("{{{}}}", entries.join(", "))]
            }
            Shape::Mapping(mapping) => vec![self.mapping(mapping)],
            Shape::Either(all) => all.iter().flat_map(|one| self.shape(one)).collect(),
            Shape::Named(_) if self.operators == OPERATORS_MAX => vec!["{ref: front}".to_owned()],
            Shape::Named(named) => {
                self.operators += 1;
                let shape: &'static Shape = Box::leak(Box::new((named.shape)()));
                let texts = self.shape(shape);
                self.operators -= 1;
                texts
            }
        }
    }

    /// Where only one alternative can stand, the longest has the most parts.
    fn mapping(&mut self, mapping: &'static Mapping) -> String {
        let longest = |texts: Vec<String>| texts.into_iter().max_by_key(String::len).unwrap();
        let mut fields: Vec<_> = mapping
            .fields
            .iter()
            .map(|field| format!("{}: {}", field.name, longest(self.shape(&field.shape))))
            .collect();
        fields.push(format!("{}: 0", unknown(self.written.len())));
        self.written.push(mapping);
        format!("{{{}}}", fields.join(", "))
    }
}

fn read(kind: &Kind, document: &Document, problems: &Problems) {
    match kind.file {
        "journey-intent" => drop(emac_journey::intent::read(document, problems)),
        "discovered-journey-model" => drop(CandidateModel::read(document, problems)),
        "accepted-journey-model" => drop(AcceptedModel::read(document, problems)),
        "journey-evidence" => drop(measured::read(document, problems)),
        "simulation-profile" => drop(simulate::read(document, problems)),
        "control-plane-config" => drop(config::read(document.reader(problems), Path::new(""))),
        other => panic!("{other} has no reader here"),
    }
}

/// Number of the unknown field a problem is about, and what is known beside it.
fn known_beside(problem: &Problem) -> Option<(usize, BTreeSet<String>)> {
    let key = problem.message.strip_prefix("unknown field `")?.strip_suffix('`')?;
    let number = key.trim_start_matches('z').parse().ok()?;
    let known = problem.help.as_ref()?.strip_prefix("known here: ")?;
    Some((number, known.split(", ").map(str::to_owned).collect()))
}

/// Every mapping below one, itself included.
fn all_mappings(shape: Shape, found: &mut Vec<&'static Mapping>) {
    match shape {
        Shape::Scalar(_) => {}
        Shape::List(of) | Shape::Map(_, of) => all_mappings(*of, found),
        Shape::Either(all) => all.iter().for_each(|one| all_mappings(*one, found)),
        // It contains itself by way of its own mappings, which are met once.
        Shape::Named(named) => all_mappings((named.shape)(), found),
        Shape::Mapping(mapping) if found.iter().any(|known| std::ptr::eq(*known, mapping)) => {}
        Shape::Mapping(mapping) => {
            found.push(mapping);
            mapping.fields.iter().for_each(|field| all_mappings(field.shape, found));
        }
    }
}

#[test]
fn readers_ask_for_the_fields_of_the_tables_and_no_others() {
    for kind in KINDS.into_iter().filter(Kind::is_read) {
        let mut sampler = Sampler::default();
        let body = sampler.mapping((kind.root)());
        let text = format!("{{apiVersion: {}, kind: {}, {}", kind.versions[0], kind.name, &body[1..]);
        let problems = Problems::strict();
        let documents = parse(&Source::new(kind.file, text.as_str()), &Limits::default(), &problems);
        assert!(problems.is_empty(), "{}", render_text(&problems, false));
        read(&kind, &documents[0], &problems);
        assert_eq!(problems.dropped(), 0);
        let mut asked = Vec::new();
        for (number, known) in problems.list().iter().filter_map(known_beside) {
            let mapping = sampler.written[number];
            let is_root = std::ptr::eq(mapping, (kind.root)());
            let envelope = ["apiVersion", "kind"].into_iter().filter(|_| is_root);
            let table: BTreeSet<_> =
                mapping.fields.iter().map(|field| field.name).chain(envelope).map(str::to_owned).collect();
            assert_eq!(known, table, "{}: the reader asks for the left, its table has the right", kind.name);
            asked.push(mapping);
        }
        let mut all = Vec::new();
        all_mappings(Shape::Mapping((kind.root)()), &mut all);
        for mapping in all {
            let fields: Vec<_> = mapping.fields.iter().map(|field| field.name).collect();
            let read = asked.iter().any(|asked| std::ptr::eq(*asked, mapping));
            assert!(read, "{}: no reader of {fields:?}\n{}", kind.name, render_text(&problems, false));
        }
    }
}

#[test]
fn a_table_line_is_one_cell_each() {
    for kind in KINDS {
        let table = field_table(&kind);
        assert!(table.lines().count() > 3);
        for line in table.lines() {
            assert_eq!(line.matches('|').count(), 5, "{line}");
        }
    }
}
