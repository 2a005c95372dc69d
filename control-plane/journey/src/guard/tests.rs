use proptest::prelude::*;

use super::*;

const PAPER: &str = "A_minus >= 0.995 && p99_U <= 0.4 && conf(delta) >= 0.8 && no_unresolved_domain_conflict";

/// Everything the paper's guard asks for, with A_minus as given.
fn told(a_minus: Option<f64>) -> impl Fn(&Input) -> Option<Known> {
    move |input| match input.written().as_str() {
        "A_minus" => a_minus.map(Known::Number),
        "p99_U" => Some(Known::Number(0.3)),
        "conf(delta)" => Some(Known::Number(0.95)),
        "no_unresolved_domain_conflict" => Some(Known::Flag(true)),
        "burn(\"1h\")" => Some(Known::Number(2.0)),
        "mode" => Some(Known::Text("enforce".to_owned())),
        _ => None,
    }
}

#[test]
fn the_papers_guard_decides_by_the_lower_bound() {
    let guard = Guard::new(PAPER).unwrap();
    assert_eq!(guard.evaluate(told(Some(0.99747706))).answer, Answer::Allowed);
    assert_eq!(guard.evaluate(told(Some(0.99251449))).answer, Answer::Denied);
    let written: Vec<_> = guard.inputs().iter().map(Input::written).collect();
    assert_eq!(written, ["A_minus", "no_unresolved_domain_conflict", "p99_U", "conf(delta)"]);
}

#[test]
fn what_is_not_known_allows_nothing_and_is_recorded() {
    let guard = Guard::new("A_minus >= 0.5 || mode == \"enforce\"").unwrap();
    for unknown in [None, Some(f64::NAN), Some(f64::INFINITY)] {
        let evaluation = guard.evaluate(told(unknown));
        assert_eq!(evaluation.answer, Answer::Unknown("not known: A_minus".to_owned()));
        assert_eq!(evaluation.inputs["A_minus"], serde_json::Value::Null);
        assert_eq!(evaluation.inputs["mode"], "enforce");
    }
}

#[test]
fn functions_lists_and_arithmetic_work() {
    for (text, answer) in [
        ("burn(\"1h\") < 14.4 && mode in [\"enforce\", \"dry-run\"]", Answer::Allowed),
        ("burn(\"1h\") > 14.4 ? false : A_minus - 0.9 >= 0.09", Answer::Allowed),
        ("!(A_minus > 1)", Answer::Allowed),
        ("A_minus == 1", Answer::Denied),
        ("A_minus / 0.0 > 1.0", Answer::Allowed),
        ("1 / 0 > 1", Answer::Unknown("Division by zero of Int(1)".to_owned())),
    ] {
        assert_eq!(Guard::new(text).unwrap().evaluate(told(Some(0.995))).answer, answer, "{text}");
    }
}

#[test]
fn mistakes_are_told_when_the_guard_is_read() {
    for (text, told) in [
        ("A_minos >= 0.9", "`A_minos` is not known to guards"),
        ("A_minus", "a guard is true or false, this one is a double"),
        ("A_minus && true", "`&&` does not take double and bool"),
        ("A_minus >= \"high\"", "`>=` does not take double and string"),
        ("A_minus + 1 > 2", "`+` does not take double and int"),
        ("conf(0.8) > 0.5", "`conf()` does not take double"),
        ("conf(delta, model) > 0.5", "`conf()` does not take 2 arguments"),
        ("burn(\"soon\") > 1.0", "`burn()` does not take `soon` is not a duration"),
        ("burn(1) > 1.0", "`burn()` does not take int; write burn(\"1h\")"),
        ("delta == delta", "`==` does not take a subject of conf() and a subject of conf()"),
        ("size(\"a\") > 1", "`size()` is not a function of guards"),
        ("mode.size() > 1", "guards have no methods"),
        ("mode.x == 1", "guards have no fields (a.b)"),
        ("[1].exists(x, x > 0)", "guards have no macros"),
        ("mode in \"enforce\"", "`in` does not take anything but a list behind it"),
        ("mode in [1]", "`in` does not take string among int"),
    ] {
        assert_eq!(Guard::new(text).unwrap_err().to_string(), told, "{text}");
    }
    assert!(matches!(Guard::new("A_minus >="), Err(InvalidGuard::Syntax(_))));
    assert_eq!(Guard::new(&"!".repeat(5_000)).unwrap_err(), InvalidGuard::TooLong);
    for deep in [
        format!("{}true{}", "(".repeat(900), ")".repeat(900)),
        "!".repeat(900) + "true",
        "true ? true : ".repeat(100) + "true",
    ] {
        assert_eq!(Guard::new(&deep).unwrap_err(), InvalidGuard::TooDeep);
    }
    let long = "true && ".repeat(200) + "true";
    assert!(Guard::new(&long).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(0x60A4), failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn any_text_is_answered(tokens in proptest::collection::vec(0_usize..16, 0..12)) {
        const TOKENS: [&str; 16] = [
            "A_minus", ">=", "0.9", "&&", "conf(", "delta", ")", "!", "(", "\"1h\"", "burn(", "[", "]", " in ", "1", "?",
        ];
        let text: String = tokens.into_iter().map(|token| TOKENS[token]).collect();
        if let Ok(guard) = Guard::new(&text) {
            let _ = guard.evaluate(told(Some(0.9)));
        }
    }
}
