//! The reference's examples. ```` ```yaml components ```` and ```` ```yaml slos ```` hold components and what they promise; after them, each
//! ```` ```yaml operator ```` is compiled, and the ```` ```text ```` block that follows must show its bounds.

use emac_compile::compile::{Given, Promises, compile};
use emac_compile::model::AcceptedModel;
use emac_document::{Limits, Problems, Source, parse, render_text};
use emac_journey::intent;
use emac_journey::slo::Slos;

const INTENT: &str = "
apiVersion: emac.dev/v1alpha1
kind: JourneyIntent
metadata: {name: example}
spec:
  objectives: {availability: {window: 30d, target: 0.9}}
";

/// The page with the bounds that its examples have.
pub(crate) fn compute(text: &str) -> String {
    let mut lines = text.lines();
    let mut written = Vec::new();
    let (mut components, mut slos) = (String::new(), String::new());
    let mut bounds: Option<Vec<String>> = None;
    while let Some(line) = lines.next() {
        written.push(line.to_owned());
        let Some(info) = line.strip_prefix("```").filter(|info| !info.is_empty()) else { continue };
        let block: Vec<String> =
            lines.by_ref().take_while(|line| *line != "```").map(str::to_owned).collect();
        match info {
            "yaml components" => components = block.join("\n"),
            "yaml slos" => slos = block.join("\n"),
            "yaml operator" => bounds = Some(bounds_of(&block.join("\n"), &components, &slos)),
            _ => {}
        }
        let computed = if info == "text" { bounds.take() } else { None };
        written.extend(computed.unwrap_or(block));
        written.push("```".to_owned());
    }
    assert!(bounds.is_none(), "an example without its bounds");
    written.join("\n") + "\n"
}

fn bounds_of(operator: &str, components: &str, slos: &str) -> Vec<String> {
    let text = format!("{INTENT}  operator:\n{}\n  components:\n{}\n", indent(operator), indent(components));
    let problems = Problems::new();
    let read = |name: &str, text: &str| parse(&Source::new(name, text), &Limits::default(), &problems);
    let intent = intent::read(&read("example.yaml", &text)[0], &problems);
    let promises: Option<Promises> = intent
        .as_ref()
        .map(|intent| Slos::read(&read("slos.yaml", slos), &problems).resolve(intent, &problems));
    let (Some(intent), Some(promises), 0) = (intent, promises, problems.errors()) else {
        panic!("{operator}\n{}", render_text(&problems, false));
    };
    let model = AcceptedModel::declared(&intent);
    let compiled = compile(&intent, &model, Given::promises(&promises));
    let bounds = compiled.bounds.as_ref().unwrap();
    let node = &bounds.nodes[0];
    vec![
        node.expression.clone(),
        format!("  independent      {}", node.independent),
        format!("  domain envelope  {}", node.domain_envelope),
        format!("  any dependence   {}", node.any_dependence),
    ]
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}
