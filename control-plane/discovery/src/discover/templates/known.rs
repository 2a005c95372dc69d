//! Templates that earlier names have shown, so that a window that sees less calls the same thing by the same name.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{OFTEN_MIN, Operations, Path, Templates, without_numbers};

/// Services, and names a service, that are remembered; what is above is found anew in every window.
const SERVICES_MAX: usize = 4_096;
const NAMES_MAX: usize = 256;

/// See the module. A real system has a few hundred; what does not fit is not remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownTemplates(BTreeMap<String, Known>);

/// Of one service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Known {
    templates: BTreeSet<String>,
    /// Names that a template fits and that stood for themselves beside it, as `/users/me`.
    stay: BTreeSet<String>,
}

impl KnownTemplates {
    /// Gives names that are too few to show it the templates of before, and remembers those that were found now.
    pub(in crate::discover) fn meet(
        &mut self,
        service: &str,
        operations: &Operations,
        kept: &BTreeSet<String>,
        found: &mut Templates,
    ) {
        if let Some(known) = self.0.get(service) {
            for (name, _) in operations.iter().filter(|(_, requests)| **requests < OFTEN_MIN) {
                let is_free =
                    !kept.contains(name) && !found.renamed.contains_key(name) && !known.stay.contains(name);
                let template = known.templates.iter().find(|template| is_free && fits(template, name));
                found.renamed.extend(template.map(|template| (name.clone(), template.clone())));
            }
        }
        let templates: BTreeSet<&String> = found.renamed.values().collect();
        if templates.is_empty() || (self.0.len() >= SERVICES_MAX && !self.0.contains_key(service)) {
            return;
        }
        let known = self.0.entry(service.to_owned()).or_default();
        let stay = operations.keys().filter(|name| {
            !found.renamed.contains_key(*name) && templates.iter().any(|template| fits(template, name))
        });
        add(&mut known.stay, stay);
        add(&mut known.templates, templates.into_iter());
    }

    /// As JSON: `{"front": {"templates": ["GET /users/{id}"], "stay": ["GET /users/me"]}}`.
    pub(crate) fn to_value(&self) -> Value {
        let one = |(service, known): (&String, &Known)| {
            (service.clone(), json!({"templates": known.templates, "stay": known.stay}))
        };
        Value::Object(Map::from_iter(self.0.iter().map(one)))
    }

    /// As it was written; what is none of it says nothing.
    pub(crate) fn of_value(written: &Value) -> Self {
        let words = |value: &Value| {
            let words = value.as_array().into_iter().flatten().filter_map(Value::as_str);
            words.map(str::to_owned).take(NAMES_MAX).collect()
        };
        let services = written.as_object().into_iter().flatten().take(SERVICES_MAX);
        let known =
            |known: &Value| Known { templates: words(&known["templates"]), stay: words(&known["stay"]) };
        Self(services.map(|(service, one)| (service.clone(), known(one))).collect())
    }
}

fn add<'a>(names: &mut BTreeSet<String>, more: impl Iterator<Item = &'a String>) {
    for name in more {
        if names.len() < NAMES_MAX && !names.contains(name) {
            names.insert(name.clone());
        }
    }
}

/// Whether a name is the template but for its ids. No template fits itself.
fn fits(template: &str, name: &str) -> bool {
    match (Path::of(template, 0), Path::of(name, 0)) {
        (Some(template), Some(name)) => {
            let same = |(of, is): (&&str, &&str)| of == is || (**of == *super::ID && !is.is_empty());
            template.verb == name.verb
                && template.segments.len() == name.segments.len()
                && template.segments != name.segments
                && template.segments.iter().zip(&name.segments).all(same)
        }
        (None, None) => template != name && template == without_numbers(name),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(names: &[&str], requests: u64) -> Operations {
        names.iter().map(|name| ((*name).to_owned(), requests)).collect()
    }

    /// What a window calls its names, as [`super::super::templates`] and what is known do.
    fn window(known: &mut KnownTemplates, operations: &Operations) -> Vec<String> {
        let mut found = super::super::templates("front", operations, &BTreeSet::new());
        known.meet("front", operations, &BTreeSet::new(), &mut found);
        operations.keys().map(|name| found.renamed.get(name).unwrap_or(name).clone()).collect()
    }

    fn word(n: usize) -> String {
        let letter = |n: usize| char::from(b'a' + (n % 26) as u8);
        format!("{}{}x", letter(n / 26), letter(n))
    }

    #[test]
    fn a_window_with_few_names_calls_them_as_those_before_did() {
        let mut known = KnownTemplates::default();
        let few = asked(&["GET /users/ann", "GET /users/bob", "GET /users/me", "GET /carts/ann"], 2);
        let plain: Vec<String> = few.keys().cloned().collect();
        assert_eq!(window(&mut known, &few), plain, "nothing is known");
        let mut many: Operations = (0..600).map(|n| (format!("GET /users/{}", word(n)), 1)).collect();
        many.insert("GET /users/me".to_owned(), 100);
        window(&mut known, &many);
        let mut known = KnownTemplates::of_value(&known.to_value());
        assert_eq!(
            window(&mut known, &few),
            ["GET /carts/ann", "GET /users/{id}", "GET /users/{id}", "GET /users/me"],
            "what stood for itself stays"
        );
        let often = asked(&["GET /users/admin"], 20);
        assert_eq!(window(&mut known, &often), ["GET /users/admin"], "asked for as no id is");
    }

    #[test]
    fn jobs_with_numbers_too() {
        let mut known = KnownTemplates::default();
        let jobs: Operations = (0..20).map(|n| (format!("job-{n}"), 1)).collect();
        window(&mut known, &jobs);
        assert_eq!(
            window(&mut known, &asked(&["job-77", "job-x", "task-7"], 1)),
            ["job-{id}", "job-x", "task-7"]
        );
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut known = KnownTemplates::default();
        for service in 0..SERVICES_MAX + 10 {
            let mut found = Templates::default();
            let names = (0..2 * NAMES_MAX).map(|n| (format!("{n}"), format!("{n} /{{id}}")));
            found.renamed.extend(names.take(if service == 0 { usize::MAX } else { 1 }));
            known.meet(&service.to_string(), &Operations::new(), &BTreeSet::new(), &mut found);
        }
        assert_eq!((known.0.len(), known.0["0"].templates.len()), (SERVICES_MAX, NAMES_MAX));
    }
}
