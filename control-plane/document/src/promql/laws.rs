//! What must hold for every query, tried with random ones.

use promql_parser::label::{MatchOp, Matcher};

use super::generator::{Draws, query};
use super::*;

const QUERIES: u64 = 600;

fn each(law: impl Fn(&str, usize)) {
    for seed in 0..QUERIES {
        let made = query(&mut Draws::new(seed), (seed % 4) as usize);
        law(&made.text, made.selectors);
    }
}

#[test]
fn what_is_written_is_read_as_the_same_tree() {
    each(|text, selectors| {
        let tree = parse_promql(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(super::selectors(&tree).len(), selectors, "{text}");
        let written = write_promql(&tree);
        let read = parse_generated(&written).unwrap_or_else(|error| panic!("{text}\n{written}: {error}"));
        assert_eq!(read, tree, "{text}\n{written}");
        assert!(!written.contains("{{") && !written.contains('\n'), "{text}\n{written}");
    });
}

#[test]
fn every_selector_has_the_matcher_and_without_it_the_tree_is_as_before() {
    let canary = Matcher::new(MatchOp::Equal, "rollout", "canary");
    each(|text, selectors| {
        let before = parse_promql(text).unwrap();
        let mut tree = before.clone();
        match_all(&mut tree, &canary);
        let mut read = parse_generated(&write_promql(&tree)).unwrap();
        let mut found = 0;
        each_selector_mut(&mut read, &mut |series| {
            assert_eq!(series.matchers.matchers.pop().as_ref(), Some(&canary), "{text}");
            found += 1;
        });
        assert_eq!((found, &read), (selectors, &before), "{text}");
    });
}

#[test]
fn windows_are_what_changes_with_the_window() {
    each(|text, selectors| {
        let found = window_use(text).unwrap();
        assert_eq!(found.windowed + found.fixed + found.instant, selectors, "{text}");
        if !text.contains(".window") {
            assert_eq!(found.windowed, 0, "{text}");
        }
    });
}
