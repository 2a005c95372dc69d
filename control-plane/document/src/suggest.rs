//! "Did you mean": the nearest known word by edit distance.

/// Words longer than this are no typing mistake worth a search.
const CHARS_MAX: usize = 64;

/// The known word nearest to `word`, if it is near: at most a third of its letters inserted, dropped, changed or swapped, or another
/// spelling of it in capitals, dashes and underscores.
pub fn did_you_mean<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    if word.chars().count() > CHARS_MAX {
        return None;
    }
    let plain = normal(word);
    let distance = |known: &&str| strsim::osa_distance(&plain, &normal(known));
    let nearest =
        known.into_iter().map(|known| (distance(&known), known)).min_by_key(|&(distance, _)| distance)?;
    let (distance, known) = nearest;
    (distance <= plain.chars().count().max(3) / 3).then_some(known)
}

fn normal(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_offered_and_far_ones_are_not() {
        let known = ["availability", "latency", "entry"];
        assert_eq!(did_you_mean("latncy", known), Some("latency"));
        assert_eq!(did_you_mean("Availability", known), Some("availability"));
        assert_eq!(did_you_mean("enrty", known), Some("entry"));
        assert_eq!(did_you_mean("owner", known), None);
        assert_eq!(did_you_mean(&"latency".repeat(1_000), known), None);
        assert_eq!(did_you_mean("per-try-timeout", ["perTryTimeout"]), Some("perTryTimeout"));
    }
}
