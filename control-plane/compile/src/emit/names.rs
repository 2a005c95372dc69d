//! Names that an API server takes. Journeys and components may be called `cart_v2`, `Desk.API` or `-x`; objects, Services and label values may not.

/// A DNS label (RFC 1035, as Services and Deployments that have one are named): lower-case letters, digits and dashes, a letter first, at most 63.
pub(super) fn dns_label(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
    let name: String = plain.collect();
    let name = name.trim_matches('-');
    match name.chars().next() {
        None => "x".to_owned(),
        Some('a'..='z') => shortened(name, 63),
        Some(_) => shortened(&format!("x-{name}"), 63),
    }
}

/// A part of an object's name: as [`dns_label`], without the letter first.
pub(super) fn name_part(text: &str, bytes_max: usize) -> String {
    let plain = text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
    let name: String = plain.collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "x".to_owned() } else { shortened(name, bytes_max) }
}

/// The value of a label that names a journey.
pub(super) fn label_value(text: &str) -> String {
    name_part(text, 63)
}

/// What is too long ends with a digest of all of it, so that two do not become one.
fn shortened(name: &str, bytes_max: usize) -> String {
    if name.len() <= bytes_max {
        return name.to_owned();
    }
    let digest: String = emac_document::sha256_hex(name).chars().take(8).collect();
    let kept: String = name.chars().take(bytes_max.saturating_sub(9)).collect();
    format!("{}-{digest}", kept.trim_end_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_becomes_one_that_the_api_server_takes() {
        for (given, expected) in [
            ("cart_v2", "cart-v2"),
            ("Desk.API", "desk-api"),
            ("-x-", "x"),
            ("2go", "x-2go"),
            ("front", "front"),
            ("/", "x"),
        ] {
            assert_eq!(dns_label(given), expected);
        }
        let long = "a".repeat(70);
        let other = format!("{}b", "a".repeat(69));
        assert!(dns_label(&long).len() <= 63 && dns_label(&long) != dns_label(&other));
        assert_eq!(label_value("-"), "x");
        let valid = |name: String| {
            name.starts_with(|c: char| c.is_ascii_lowercase())
                && name.ends_with(|c: char| c.is_ascii_alphanumeric())
        };
        assert!(["--", "", "_9", "Ä"].into_iter().map(dns_label).all(valid));
    }
}
