use proptest::prelude::*;

use super::shape::{Need, Rule};
use super::*;

fn read(text: &str) -> (Vec<Document>, Problems) {
    let problems = Problems::new();
    let documents = parse(&Source::new("intent.yaml", text), &Limits::default(), &problems);
    (documents, problems)
}

fn messages(problems: &Problems) -> Vec<String> {
    problems.list().into_iter().map(|problem| problem.message).collect()
}

/// The tree without spans, as JSON-like text.
fn plain(node: &Node) -> String {
    match &node.value {
        Value::Sequence(items) => format!("[{}]", items.iter().map(plain).collect::<Vec<_>>().join(", ")),
        Value::Mapping(entries) => {
            let entries: Vec<_> =
                entries.iter().map(|entry| format!("{}: {}", entry.key, plain(&entry.value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
        Value::String(text) => format!("{text:?}"),
        Value::Integer(value) => value.to_string(),
        Value::Float(value) => format!("{value:?}"),
        Value::Bool(value) => value.to_string(),
        Value::Null => "null".to_owned(),
    }
}

#[test]
fn a_tree_with_anchors_streams_and_a_byte_order_mark() {
    let (documents, problems) =
        read("\u{feff}a: &x {b: 1, c: [\"1\", ~]}\nd: *x\n---\n# nothing\n---\n'é': 2.5\n");
    assert_eq!(messages(&problems), Vec::<String>::new());
    let shown: Vec<_> = documents.iter().map(|document| plain(&document.root)).collect();
    assert_eq!(shown, ["{a: {b: 1, c: [\"1\", null]}, d: {b: 1, c: [\"1\", null]}}", "{é: 2.5}"]);
}

#[test]
fn json_is_yaml() {
    let (documents, problems) = read("{\"a\": [1, -2.5e3, true, null, \"\\u00e9\\n\"],\n\t\"b\": {}}");
    assert_eq!(messages(&problems), Vec::<String>::new());
    assert_eq!(plain(&documents[0].root), "{a: [1, -2500.0, true, null, \"é\\n\"], b: {}}");
}

#[test]
fn spans_are_bytes_even_behind_wide_characters() {
    for text in ["ключ: [значение, 七]\nnext: 'ö'\n", "\u{feff}ключ: [значение, 七]\r\nnext: 'ö'\r\n"]
    {
        let (documents, _) = read(text);
        let Value::Mapping(entries) = &documents[0].root.value else { panic!("a mapping") };
        let slice = |span| documents[0].source.slice(span);
        assert_eq!(slice(entries[0].key_span), "ключ");
        assert_eq!(slice(entries[0].value.span), "[значение, 七]");
        assert_eq!(slice(entries[1].key_span), "next");
        assert_eq!(slice(entries[1].value.span), "'ö'");
        assert_eq!(documents[0].source.position(entries[1].value.span.start), (2, 7));
    }
}

#[test]
fn problems_point_at_their_place() {
    let (documents, problems) = read("a: 1\nb: [2]\na: 3\n? [k]\n: 4\nc: !!binary x\n");
    assert_eq!(plain(&documents[0].root), "{a: 1, b: [2], c: \"x\"}");
    insta::assert_snapshot!(render_text(&problems, false));
}

#[test]
fn a_tab_is_named_as_such() {
    let (documents, problems) = read("a:\n\tb: 1\n");
    assert!(documents.is_empty());
    insta::assert_snapshot!(render_text(&problems, false));
}

#[test]
fn a_document_before_a_syntax_error_is_kept() {
    let (documents, problems) = read("a: 1\n---\nb: [1, 2\n---\nc: 3\n");
    assert_eq!(documents.len(), 1);
    assert_eq!(problems.errors(), 1);
}

#[test]
fn deep_nesting_is_an_error_not_a_crash() {
    let flow = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let block = "- ".repeat(10_000) + "1";
    let keys: String = (0..2_000).map(|depth| format!("{}k:\n", " ".repeat(depth))).collect();
    for text in [flow, block, keys] {
        let (documents, problems) = read(&text);
        assert!(documents.is_empty());
        assert_eq!(problems.errors(), 1, "{:?}", messages(&problems));
    }
}

#[test]
fn a_yaml_bomb_is_an_error() {
    let mut text = String::from("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
    for level in 1..10 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    let (documents, problems) = read(&text);
    assert!(documents.is_empty());
    assert_eq!(messages(&problems), ["more than 1000000 values, aliases expanded"]);
}

#[test]
fn an_alias_into_itself_or_into_another_document_is_an_error() {
    let (_, problems) = read("a: &x [*x]\n");
    assert_eq!(messages(&problems), ["an alias to something that is not complete here"]);
    let (_, problems) = read("a: &x 1\n---\nb: *x\n");
    assert_eq!(problems.errors(), 1, "{:?}", messages(&problems));
}

#[test]
fn merge_keys_and_plain_tags_mean_what_they_do_to_kubernetes() {
    for (text, expected) in [
        ("a: &a {x: 1, y: 2}\nb: {y: 3, <<: *a}\n", "{a: {x: 1, y: 2}, b: {y: 3, x: 1}}"),
        ("a: &a {x: 1}\nb: {<<: [*a, {x: 2, z: 3}]}\n", "{a: {x: 1}, b: {x: 1, z: 3}}"),
        ("a: {\"<<\": 1}\n", "{a: {<<: 1}}"),
        (
            "[!!float 0.5, !!float 1, !!int 2, !!bool true, !!null ~, !!str 3]\n",
            "[0.5, 1, 2, true, null, \"3\"]",
        ),
    ] {
        let (documents, problems) = read(text);
        assert!(problems.is_empty(), "{:?}", messages(&problems));
        assert_eq!(plain(&documents[0].root), expected);
    }
    let (_, problems) = read("a: {<<: 1}\nb: !!int x\n");
    assert_eq!(
        messages(&problems),
        ["`<<` merges mappings, and this is none", "the tag `!!int` is not understood here"]
    );
    // As many as fit the limits are merged in one go through them.
    let many: String = (0..200_000).map(|key| format!("{{k{key}: 1}}, ")).collect();
    let (documents, problems) = read(&format!("a: {{<<: [{many}]}}\n"));
    assert!(problems.is_empty() && documents.len() == 1);
}

#[test]
fn a_source_beyond_its_limit_is_not_parsed() {
    let problems = Problems::new();
    let limits = Limits { bytes_max: 10, ..Limits::default() };
    assert!(parse(&Source::new("x", "a: 1234567890"), &limits, &problems).is_empty());
    assert_eq!(messages(&problems), ["more than 10 bytes"]);
}

#[test]
fn files_that_cannot_be_read_are_problems() {
    let folder = tempfile::tempdir().unwrap();
    let problems = Problems::new();
    assert!(Source::read(folder.path(), 10, &problems).is_none());
    assert!(Source::read(&folder.path().join("absent"), 10, &problems).is_none());
    let latin = folder.path().join("latin.yaml");
    std::fs::write(&latin, b"a: caf\xe9\n").unwrap();
    assert!(Source::read(&latin, 100, &problems).is_none());
    assert!(Source::read(&latin, 3, &problems).is_none());
    assert_eq!(problems.errors(), 4);
    assert_eq!(problems.list()[2].location(), Some(format!("{}:1:7", latin.display())));
}

struct Service {
    name: String,
    timeout_ms: u64,
    share: f64,
    tags: Vec<String>,
}

fn service(reader: Reader<'_>) -> Option<Service> {
    reader.fields(|fields| {
        let name = fields.required("name", Reader::word);
        let timeout = fields.required("timeout", Reader::millis);
        let share = fields.optional("share", Reader::ratio);
        let tags = fields.optional("tags", |tags| tags.list(Reader::word));
        let _mode = fields.optional("mode", |mode| mode.choice(&[("observe", 0), ("enforce", 1)]));
        let _count = fields.optional("count", |count| count.integer(1..=10));
        Some(Service {
            name: name?.to_owned(),
            timeout_ms: timeout?.0,
            share: share.map_or(1.0, |share| share.get()),
            tags: tags.unwrap_or_default().into_iter().map(str::to_owned).collect(),
        })
    })
}

#[test]
fn typed_fields_are_read() {
    let (documents, problems) = read("name: cart\ntimeout: 1.5s\nshare: 99.5%\ntags: [a, b]\ncount:\n");
    let service = service(documents[0].reader(&problems)).unwrap();
    assert_eq!(messages(&problems), Vec::<String>::new());
    assert_eq!((service.name.as_str(), service.timeout_ms, service.share), ("cart", 1500, 0.995));
    assert_eq!(service.tags, ["a", "b"]);
}

#[test]
fn every_mistake_is_told_at_once() {
    let (documents, problems) = read(concat!(
        "name: 12\n",
        "timout: 400\n",
        "share: 99.5\n",
        "tags: [1, '', ok]\n",
        "mode: enfroce\n",
        "count: 11\n",
        "owner: me\n",
    ));
    assert!(service(documents[0].reader(&problems)).is_none());
    insta::assert_snapshot!(render_text(&problems, false));
}

/// `entry` and `targets` are given together or not at all.
fn reach(fields: &mut Fields<'_>) -> Option<(String, Option<(String, String)>)> {
    let name = fields.field("name", types::owned(), "").required();
    let reach = fields.together(&["entry", "targets"], |fields| {
        let entry = fields.field("entry", types::owned(), "").required();
        let targets = fields.field("targets", types::owned(), "").required();
        fields.field("most", types::flag(), "").or(false);
        entry.zip(targets)
    });
    Some((name?, reach))
}

#[test]
fn fields_that_are_given_together_are_required_together() {
    let told = |text: &str| {
        let (documents, problems) = read(text);
        let value = documents[0].reader(&problems).fields(reach);
        (value.and_then(|(_, reach)| reach), messages(&problems))
    };
    let both = ("a".to_owned(), "b".to_owned());
    assert_eq!(told("{name: n, entry: a, targets: b, most: true}"), (Some(both), vec![]));
    assert_eq!(told("{name: n}"), (None, vec![]));
    assert_eq!(told("{name: n, targets: b}").1, ["the field `entry` is missing"]);
    assert_eq!(told("{name: n, most: true}").1, ["unknown field `most`"]);
}

#[test]
fn the_table_of_fields_that_are_given_together_has_them_as_optional_with_their_rules() {
    let table = describe(reach);
    let needs: Vec<_> = table.fields.iter().map(|field| (field.name, field.need)).collect();
    let expected = [
        ("name", Need::Required),
        ("entry", Need::Optional),
        ("targets", Need::Optional),
        ("most", Need::Default("false")),
    ];
    assert_eq!(needs, expected);
    let rules: Vec<_> = table.rules.iter().map(|rule| format!("{rule:?}")).collect();
    let expected =
        [Rule::Needs("entry", "targets"), Rule::Needs("targets", "entry"), Rule::Needs("most", "entry")];
    assert_eq!(rules, expected.map(|rule| format!("{rule:?}")));
}

#[test]
fn problems_as_json() {
    let (documents, problems) = read("name: x\ntimeout: 400\n");
    assert!(service(documents[0].reader(&problems)).is_none());
    let json = serde_json::json!([{
        "severity": "error", "message": "a duration needs a unit", "file": "intent.yaml",
        "line": 2, "column": 10, "endLine": 2, "endColumn": 13, "help": "write 400ms, 400s or 400m",
    }]);
    assert_eq!(render_json(&problems), json);
}

/// Each query lacks a parenthesis; `^` is under the one that stays open, or under the beginning where that is not certain.
#[test]
fn a_mistake_in_a_query_is_pointed_at_however_it_is_written() {
    let cases = [
        ("q: sum(rate(x[5m])", (1, 7)),
        ("q: 'sum(rate(x[5m])'", (1, 8)),
        ("q: \"x{a='é'}[{{ .window }}] / (y\"", (1, 31)),
        ("q: |\n  sum(\n    rate(x[5m])\n  / (y\n  # why\n  + 1)", (2, 6)),
        ("q: |\n  x / (\n    rate(x[5m]", (3, 9)),
        ("q: >\n  sum(rate(x[5m])\n", (2, 6)),
        // Escapes, lines that were joined, and a line that stands there twice.
        ("q: \"sum(rate(x{a=\\\"b\\\"}[5m])\"", (1, 4)),
        ("q: >\n  sum(\n  rate(x[5m])\n", (2, 3)),
        ("q: |\n  (x)\n  +\n  (x\n", (2, 3)),
    ];
    for (text, place) in cases {
        let (documents, problems) = read(text);
        let reader = documents[0].reader(&problems);
        reader.fields(|fields| fields.required("q", Reader::promql).map(drop));
        let [problem] = &problems.list()[..] else { panic!("{text}: {:?}", messages(&problems)) };
        let Some(Place::Span(source, span)) = &problem.place else { panic!("{text}: no place") };
        assert_eq!(source.position(span.start), place, "{text}: {}", problem.message);
    }
}

#[test]
fn a_flood_of_problems_is_counted_not_kept() {
    let text: String = (0..5_000).map(|n| format!("field{n}: 1\n")).collect();
    let (documents, problems) = read(&text);
    assert!(service(documents[0].reader(&problems)).is_none());
    assert_eq!((problems.errors(), problems.list().len()), (5_002, Problems::KEPT_MAX));
    assert!(render_text(&problems, false).ends_with("5002 errors, 0 warnings (4802 not shown)\n"));
}

#[test]
fn a_problem_in_a_very_long_line_is_told_without_the_line() {
    let (documents, problems) = read(&format!("{{\"name\": \"{}\", \"timeout\": 400}}", "x".repeat(10_000)));
    assert!(service(documents[0].reader(&problems)).is_none());
    assert!(
        render_text(&problems, false).starts_with("  error: intent.yaml:1:10025: a duration needs a unit")
    );
}

/// What YAML finds special.
const TOKENS: [&str; 34] = [
    "a",
    "b: ",
    "- ",
    "\n",
    "  ",
    "\t",
    "[",
    "]",
    "{",
    "}",
    ", ",
    "&x ",
    "*x",
    "!!str ",
    "? ",
    ": ",
    "|\n",
    ">-\n",
    "'",
    "\"",
    "\\",
    "---\n",
    "...\n",
    "%TAG ! x\n",
    "#",
    "é",
    "\r",
    "\u{feff}",
    "\u{0}",
    "<<: *x",
    "!<",
    "@",
    "\u{2028}",
    "\u{85}",
];

fn yamlish() -> impl Strategy<Value = String> {
    let tokens = proptest::collection::vec(0..TOKENS.len(), 0..60);
    tokens.prop_map(|tokens| tokens.into_iter().map(|token| TOKENS[token]).collect())
}

/// Reads the whole tree and renders what came up; the spans must be sound.
fn survive(text: &str) {
    let (documents, problems) = read(text);
    for document in &documents {
        check_spans(&document.root, &document.source);
        let _ = service(document.reader(&problems));
    }
    let _ = (render_text(&problems, false), render_json(&problems));
}

fn check_spans(node: &Node, source: &Source) {
    assert!(source.text().get(node.span.start as usize..node.span.end as usize).is_some());
    match &node.value {
        Value::Sequence(items) => items.iter().for_each(|item| check_spans(item, source)),
        Value::Mapping(entries) => entries.iter().for_each(|entry| check_spans(&entry.value, source)),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(0xD0C5), failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn hostile_yaml_never_panics(text in yamlish()) {
        survive(&text);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let problems = Problems::new();
        if let Some(source) = Source::from_bytes("bytes", bytes, &problems) {
            survive(source.text());
        }
    }
}

/// Repeated far beyond what a limit lets through: quadratic work would take minutes.
#[test]
fn monotonous_input_is_answered_in_linear_time() {
    for token in [
        "[", "{a: ", "- ", "? ", "&a ", "*a ", "'", "\"", "a: ", "\t", "#", "---\n", "|\n", "a\n", "[a, ",
        "!!x ", "%A\n", "é",
    ] {
        survive(&token.repeat(200_000 / token.len()));
    }
}
