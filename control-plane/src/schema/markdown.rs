//! A kind's table as Markdown: one line a field, by its path.

use super::{Field, Kind, Mapping, Need, Shape};
use emac_journey::intent::OPERATOR;

/// The fields of a kind. Named shapes (the operator) are told once, elsewhere.
pub fn field_table(kind: &Kind) -> String {
    let mut rows =
        Rows(vec!["| field | type | without it | meaning |".to_owned(), "|---|---|---|---|".to_owned()]);
    rows.mapping("", (kind.root)());
    rows.0.join("\n") + "\n"
}

/// The fields of operators, by their type.
pub fn operator_table() -> String {
    let mut rows = vec![
        "| operator | field | type | without it | meaning |".to_owned(),
        "|---|---|---|---|---|".to_owned(),
    ];
    let Shape::Either(all) = (OPERATOR.shape)() else { return String::new() };
    for shape in all {
        let Shape::Mapping(mapping) = shape else { continue };
        // The first field is its type, or the `ref` of a component.
        let Some((first, _)) = mapping.fields.split_first() else { continue };
        let mut fields = Rows(Vec::new());
        fields.mapping("", mapping);
        let name = if first.name == "type" { label(&first.shape) } else { "a component".to_owned() };
        rows.extend(fields.0.into_iter().map(|row| format!("| {name} {row}")));
    }
    rows.join("\n") + "\n"
}

struct Rows(Vec<String>);

impl Rows {
    fn mapping(&mut self, path: &str, mapping: &Mapping) {
        for field in mapping.fields {
            let path = if path.is_empty() { field.name.to_owned() } else { format!("{path}.{}", field.name) };
            self.field(&path, field);
            self.parts(&path, &field.shape);
        }
    }

    fn field(&mut self, path: &str, field: &Field) {
        let without = match field.need {
            Need::Required => "**required**".to_owned(),
            Need::Optional => String::new(),
            Need::Default(value) => format!("`{value}`"),
        };
        self.0.push(format!("| `{path}` | {} | {without} | {} |", label(&field.shape), field.says));
    }

    /// The mappings inside a shape; `[]` is an item of a list, `<name>` an entry of a map.
    fn parts(&mut self, path: &str, shape: &Shape) {
        match shape {
            Shape::Mapping(mapping) => self.mapping(path, mapping),
            Shape::List(of) => self.parts(&format!("{path}[]"), of),
            Shape::Map(_, of) => self.parts(&format!("{path}.<name>"), of),
            Shape::Either(all) => all.iter().for_each(|one| self.parts(path, one)),
            Shape::Scalar(_) | Shape::Named(_) => {}
        }
    }
}

fn label(shape: &Shape) -> String {
    match shape {
        Shape::Scalar(scalar) => scalar.label.to_owned(),
        Shape::List(of) => format!("list of {}", plural(&label(of))),
        Shape::Map(_, of) => format!("{} by name", label(of)),
        Shape::Mapping(_) => "mapping".to_owned(),
        Shape::Either(all) => all.iter().map(label).collect::<Vec<_>>().join(" or "),
        Shape::Named(named) => named.name.to_owned(),
    }
}

/// `list of texts`; what has several words stays as it is.
fn plural(label: &str) -> String {
    if label.contains(' ') || label.ends_with('s') { label.to_owned() } else { format!("{label}s") }
}
