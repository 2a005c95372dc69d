//! A kind's table as JSON Schema, draft 7: the one that editors and `yaml-language-server` know best.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Field, Form, Kind, Mapping, Need, Rule, Scalar, Shape};

/// The schema of a kind. The same table gives the same bytes.
pub fn json_schema(kind: &Kind) -> Value {
    let mut definitions = Definitions::default();
    let mut root = definitions.mapping((kind.root)());
    root["properties"] = with_envelope(kind, &root["properties"]);
    let mut required = vec![json!("apiVersion"), json!("kind")];
    required.extend(root["required"].as_array().into_iter().flatten().cloned());
    root["required"] = Value::Array(required);
    let mut schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": kind.name,
        "description": kind.says,
    });
    merge(&mut schema, root);
    if !definitions.0.is_empty() {
        schema["definitions"] =
            definitions.0.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
    }
    schema
}

/// `apiVersion` and `kind` before the kind's own fields.
fn with_envelope(kind: &Kind, properties: &Value) -> Value {
    let mut all = json!({"apiVersion": {"enum": kind.versions}, "kind": {"const": kind.name}});
    merge(&mut all, properties.clone());
    all
}

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}

/// Named shapes met so far; `null` while one is being written, so that it may contain itself.
#[derive(Default)]
struct Definitions(BTreeMap<&'static str, Value>);

impl Definitions {
    fn shape(&mut self, shape: &Shape) -> Value {
        match shape {
            Shape::Scalar(scalar) => of_scalar(scalar),
            Shape::List(of) => json!({"type": "array", "items": self.shape(of)}),
            Shape::Map("", of) => json!({"type": "object", "additionalProperties": self.shape(of)}),
            Shape::Map(key, of) => json!({
                "type": "object",
                "propertyNames": {"pattern": key},
                "additionalProperties": self.shape(of),
            }),
            Shape::Mapping(mapping) => self.mapping(mapping),
            Shape::Either(all) => any_of(all.iter().map(|one| self.shape(one)).collect()),
            Shape::Named(named) => {
                if !self.0.contains_key(named.name) {
                    self.0.insert(named.name, Value::Null);
                    let schema = self.shape(&(named.shape)());
                    self.0.insert(named.name, schema);
                }
                json!({"$ref": format!("#/definitions/{}", named.name)})
            }
        }
    }

    fn mapping(&mut self, mapping: &Mapping) -> Value {
        let properties: Map<_, _> = mapping
            .fields
            .iter()
            .map(|field| (field.name.to_owned(), self.field(field, mapping.open)))
            .collect();
        let required = mapping.fields.iter().filter(|field| field.need == Need::Required);
        let required: Vec<_> = required.map(|field| field.name).collect();
        let mut schema = json!({"type": "object", "properties": properties});
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        schema["additionalProperties"] = mapping.open.into();
        mapping.rules.iter().for_each(|one| rule(&mut schema, one));
        schema
    }

    /// Programs that write open mappings write `null` for what is absent.
    fn field(&mut self, field: &Field, open: bool) -> Value {
        let mut shape = self.shape(&field.shape);
        if open && field.need != Need::Required {
            shape = any_of(vec![shape, json!({"type": "null"})]);
        }
        // Draft 7 ignores what stands beside a `$ref`.
        let mut schema = if shape.get("$ref").is_some() { json!({"allOf": [shape]}) } else { shape };
        schema["description"] = field.says.into();
        if let Need::Default(value) = field.need {
            schema["default"] = serde_json::from_str(value).unwrap_or_else(|_| value.into());
        }
        schema
    }
}

fn any_of(schemas: Vec<Value>) -> Value {
    json!({"anyOf": schemas})
}

fn of_scalar(scalar: &Scalar) -> Value {
    let mut forms: Vec<_> = scalar.forms.iter().map(form).collect();
    if forms.len() == 1 { forms.remove(0) } else { any_of(forms) }
}

fn form(form: &Form) -> Value {
    match *form {
        Form::Text("") => json!({"type": "string"}),
        Form::Text(pattern) => json!({"type": "string", "pattern": pattern}),
        Form::Words(words) => json!({"enum": words}),
        Form::Boolean => json!({"type": "boolean"}),
        Form::Null => json!({"type": "null"}),
        Form::Integer(low, high) => json!({"type": "integer", "minimum": low, "maximum": high}),
        Form::Number => json!({"type": "number"}),
        Form::Above(low, f64::MAX) => json!({"type": "number", "exclusiveMinimum": low}),
        Form::Above(low, high) => json!({"type": "number", "exclusiveMinimum": low, "maximum": high}),
        Form::Within(low, high) => json!({"type": "number", "minimum": low, "maximum": high}),
        Form::Between(low, high) => {
            json!({"type": "number", "exclusiveMinimum": low, "exclusiveMaximum": high})
        }
    }
}

fn rule(schema: &mut Value, rule: &Rule) {
    match rule {
        Rule::OneOf(one, other) => schema["oneOf"] = json!([{"required": [one]}, {"required": [other]}]),
        Rule::NotBoth(one, other) => {
            let mut all = schema["allOf"].as_array().cloned().unwrap_or_default();
            all.push(json!({"not": {"required": [one, other]}}));
            schema["allOf"] = Value::Array(all);
        }
        Rule::Needs(one, other) => {
            let mut needed = schema["dependencies"][one].as_array().cloned().unwrap_or_default();
            needed.push(json!(other));
            schema["dependencies"][one] = Value::Array(needed);
        }
        Rule::Something => schema["minProperties"] = 1.into(),
    }
}
