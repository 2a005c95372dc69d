use proptest::prelude::*;
use serde_json::Value as Twin;

use super::*;

/// Builds the twin's value by this parser.
fn read(json: &mut Json<'_>) -> Result<Twin, Stop> {
    match json.peek()? {
        b'{' => {
            let mut fields = serde_json::Map::new();
            json.object(|json, key| {
                fields.insert(key.to_owned(), read(json)?);
                Ok(())
            })?;
            Ok(Twin::Object(fields))
        }
        b'[' => {
            let mut items = Vec::new();
            json.array(|json| {
                items.push(read(json)?);
                Ok(())
            })?;
            Ok(Twin::Array(items))
        }
        _ => Ok(match json.value()? {
            Value::Null | Value::Other => Twin::Null,
            Value::Bool(value) => value.into(),
            Value::Int(value) => i64::try_from(value).map_or_else(|_| Twin::from(value as u64), Twin::from),
            Value::Double(value) => value.into(),
            Value::Text(text) => text.into_owned().into(),
        }),
    }
}

fn any_json() -> impl Strategy<Value = Twin> {
    let number = prop_oneof![
        any::<i64>().prop_map(Twin::from),
        any::<u64>().prop_map(Twin::from),
        (-1e9..1e9_f64).prop_map(Twin::from)
    ];
    let text = proptest::collection::vec(any::<char>(), 0..8)
        .prop_map(|chars| Twin::from(chars.into_iter().collect::<String>()));
    let leaf = prop_oneof![Just(Twin::Null), any::<bool>().prop_map(Twin::from), number, text];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Twin::Array),
            proptest::collection::vec(("\\PC{0,5}", inner), 0..5)
                .prop_map(|fields| Twin::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(0x1503), failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn what_serde_writes_is_read_back(value in any_json(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap() + " ";
        prop_assert_eq!(read(&mut Json::new(text.as_bytes())), Ok(value));
        let mut json = Json::new(text.as_bytes());
        prop_assert_eq!(json.skip(), Ok(()));
        prop_assert_eq!(json.at(), text.len() - 1);
    }

    #[test]
    fn a_part_asks_for_more(value in any_json(), cut in any::<prop::sample::Index>()) {
        let text = serde_json::to_string(&vec![value]).unwrap();
        let part = &text.as_bytes()[..cut.index(text.len())];
        prop_assert_eq!(read(&mut Json::new(part)), Err(Stop::More));
        prop_assert_eq!(Json::new(part).skip(), Err(Stop::More));
    }

    #[test]
    fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = read(&mut Json::new(&bytes));
        let _ = Json::new(&bytes).skip();
    }
}

#[test]
fn nesting_is_limited_without_recursion() {
    let deep = "[".repeat(1_000_000);
    assert!(matches!(Json::new(deep.as_bytes()).skip(), Err(Stop::Bad(..))));
    let fine = "[".repeat(900) + &"]".repeat(900);
    assert_eq!(Json::new(fine.as_bytes()).skip(), Ok(()));
}

#[test]
fn broken_text_is_replaced() {
    let value = |bytes| Json::new(bytes).value().unwrap().text().unwrap();
    assert_eq!(value(b"\"a\xffb\""), "a\u{fffd}b");
    assert_eq!(value(b"\"a\xff\\n\""), "a\u{fffd}\n");
    assert_eq!(value(br#""\ud83d\ude00""#), "\u{1f600}");
    assert_eq!(value(br#""\ud83dx\u12""#), "\u{fffd}x\u{fffd}12");
}

#[test]
fn what_is_no_json_is_said_with_its_place() {
    let problem = |text: &str| read(&mut Json::new(text.as_bytes())).unwrap_err();
    assert_eq!(problem("{\"a\" 1}"), Stop::Bad(5, "expected ':'"));
    assert_eq!(problem("[1 2]"), Stop::Bad(3, "expected ',' or ']'"));
    assert_eq!(problem("{a: 1}"), Stop::Bad(1, "expected a field's name in quotes"));
    assert_eq!(problem("[nul]"), Stop::Bad(1, "expected a value"));
}
