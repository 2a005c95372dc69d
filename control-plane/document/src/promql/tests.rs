use super::*;

#[test]
fn windows_are_put_in() {
    let query = "sum(rate(x{a=\"{{ .other }}\"}[{{ .window }}])) / sum(rate(x[{{.window}}]))";
    assert_eq!(with_window(query, "5m"), "sum(rate(x{a=\"{{ .other }}\"}[5m])) / sum(rate(x[5m]))");
    assert_eq!(with_window("sum(rate(x[5m]))", "1h"), "sum(rate(x[5m]))");
}

#[test]
fn queries_are_read_with_and_without_windows() {
    for query in [
        "x",
        "sum(rate(x{a=\"{{ .other }}\"}[{{ .window }}])) / sum(rate(x[{{.window}}]))",
        "max_over_time(x[{{ .window }}:1m] offset {{ .window }})",
        "1 - (sum by (a) (x) / on (a) group_left y) # why",
    ] {
        assert!(is_recordable(&parse_promql(query).unwrap()), "{query}");
    }
    for query in ["x[{{ .window }}]", "\"text\""] {
        assert!(!is_recordable(&parse_promql(query).unwrap()), "{query}");
    }
}

#[test]
fn what_is_no_query_says_why() {
    let said = |query: &str| parse_promql(query).unwrap_err().to_string();
    assert_eq!(said("sum(rate(x[5m])"), "not PromQL: unclosed left parenthesis");
    assert_eq!(said("rate(x)"), "not PromQL: expected type matrix in call to function 'rate', got vector");
    assert_eq!(parse_promql("nope(x)"), Err(InvalidPromql::UnknownFunction("nope".into())));
    assert!(
        said("rate(anchored[5m])").contains("a metric of that name is"),
        "{}",
        said("rate(anchored[5m])")
    );
    assert!(parse_promql("rate({__name__=\"anchored\"}[5m])").is_ok());
    for query in ["", "x{a=b}", "x{a=~\"[\"}", "x +", "a b"] {
        assert!(matches!(parse_promql(query), Err(InvalidPromql::Syntax(_))), "{query}");
    }
}

#[test]
fn hostile_queries_are_answered_on_a_small_stack() {
    let nested = |open: &str, close: &str, n: usize| format!("{}x{}", open.repeat(n), close.repeat(n));
    assert_eq!(parse_promql(&nested("(", ")", 257)), Err(InvalidPromql::TooDeep));
    assert_eq!(parse_promql(&"x+".repeat(5_000)), Err(InvalidPromql::TooLong));
    let worst = [
        nested("abs(-", ")", DEPTH_MAX),
        nested("-", "", TEXT_MAX - 1),
        nested("1^", "", TEXT_MAX / 2 - 1),
        vec!["x"; TEXT_MAX / 2].join("+"),
        nested("sum(-(", "))", DEPTH_MAX / 2),
    ];
    let all = move || worst.iter().map(|query| parse_promql(query).is_ok()).collect::<Vec<_>>();
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(all).unwrap();
    assert_eq!(thread.join().unwrap(), [true; 5]);
}

#[test]
fn what_prometheus_would_refuse_is_refused() {
    for query in [
        "x{a=\"b\" or c=\"d\"}",
        "info(x)",
        "limitk(3, x)",
        "rate(x[0s])",
        "rate(x[300y])",
        "ln(1)",
        "x{__name__=\"y\"}",
        "x{a=~\"b**\"}",
        "sum(rate(x[5m])) + fill (0) sum(rate(y[5m]))",
        "first_over_time(x[5m])",
        "x{a=~\"(b{100}){20}\"}",
        "x @ 9e18",
        "rate(x[5m] @ -9e18)",
        "max_over_time(x[5m:1m] @ 9e18)",
    ] {
        assert!(parse_promql(query).is_err(), "{query}");
    }
}

#[test]
fn a_misspelt_window_is_named() {
    let told = |query: &str| parse_promql(query).unwrap_err();
    for name in ["{{ window }}", "{{.Window}}", "{{ .windows }}", "{{$window}}", "{{ .window | x }}"] {
        let query = format!("sum(rate(x{{a=\"{{{{ y }}}}\"}}[{name}]))");
        let InvalidPromql::Placeholder(found) = told(&query) else { panic!("{query}: {:?}", told(&query)) };
        assert_eq!(found, name);
    }
    assert!(matches!(told("sum(rate(x[$window]))"), InvalidPromql::Syntax(_)));
    assert!(matches!(told("sum(rate(x[{{ window }}])"), InvalidPromql::Syntax(_)));
    assert!(parse_promql("sum(rate(x[{{- .window -}}]))").is_ok());
}

#[test]
fn what_depends_on_the_window_is_told() {
    let found = |query: &str| {
        let WindowUse { windowed, fixed, instant } = window_use(query).unwrap();
        (windowed, fixed, instant)
    };
    assert_eq!(found("sum(rate(x[{{ .window }}])) - sum(rate(y[5m])) - z"), (1, 1, 1));
    assert_eq!(found("max_over_time(rate(x[1m])[{{.window}}:1m])"), (1, 0, 0));
    assert_eq!(found("sum(job:good:rate{{ .window }})"), (1, 0, 0));
    assert_eq!(found("topk(scalar(x), rate(y[{{ .window }}]))"), (1, 0, 1));
    assert_eq!(found("vector(1)"), (0, 0, 0));
}
