//! Flagger's metric templates, taken as Flagger's Prometheus provider takes them: the last series of a result, no value where there is none or no number.

use emac_compile::emit::prometheus::Dialect;
use serde_json::Value;

use super::live::Live;
use super::situations::{self, Phase};
use super::{artifacts, intent_of, shapes, text};

/// Documents of a file that we wrote.
fn documents(text: &str) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file.yaml");
    std::fs::write(&file, text).unwrap();
    super::yaml::documents(&file)
}

#[test]
fn flagger_promotes_what_is_healthy_and_nothing_else() {
    let test = "gates: Flagger's metric templates";
    let Some(prometheus) = Live::binary(test) else { return };
    let live = Live::start(&prometheus, &situations::series(), None);
    for shape in shapes::SHAPES {
        for situation in situations::SITUATIONS {
            let (good, total) = shape.of(situation.prefix);
            let artifacts = artifacts(&intent_of(&good, &total, ""), Dialect::Emac);
            let canary = &documents(text(&artifacts, "flagger/canary.yaml"))[0];
            let templates = documents(text(&artifacts, "flagger/metric-templates.yaml"));
            let passes = |metric: &Value| {
                let named = |template: &&Value| template["metadata"]["name"] == metric["templateRef"]["name"];
                let template = templates.iter().find(named).unwrap();
                let query = template["spec"]["query"].as_str().unwrap().replace("{{ target }}", "desk");
                assert!(!query.contains("{{"), "{query}");
                let values = live.query(&query).unwrap();
                assert!(values.len() <= 1, "the last of several would decide: {query}");
                let value = values.last().map(|(_, value)| *value).filter(|value| !value.is_nan());
                let range = &metric["thresholdRange"];
                let above = range["min"].as_f64().is_none_or(|min| value >= Some(min));
                let below = range["max"].as_f64().is_none_or(|max| value.is_some_and(|value| value <= max));
                value.is_some() && above && below
            };
            let metrics = canary["spec"]["analysis"]["metrics"].as_array().unwrap();
            let promoted = metrics.iter().all(passes);
            let expected = situation.expected_of(shape) == Phase::Successful;
            assert_eq!(promoted, expected, "{} in `{}`", shape.good, situation.name);
        }
    }
}
