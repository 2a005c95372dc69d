//! `spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/ACCOUNT`, as Istio issues them.

use emac_core::id::WorkloadName;

use crate::refusal::Refusal;

/// The account in an id, as `<namespace>/<account>`, if its trust domain is one of `believed`.
///
/// # Errors
/// Why it is refused, and in words.
pub(super) fn account(uri: &str, believed: &[String]) -> Result<WorkloadName, (Refusal, String)> {
    let malformed = || {
        let form = "spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/ACCOUNT";
        (Refusal::Malformed, format!("`{uri}` is not of the form {form}"))
    };
    let path = uri.strip_prefix("spiffe://").ok_or_else(malformed)?;
    let parts: Vec<&str> = path.split('/').collect();
    let [domain, "ns", namespace, "sa", account] = parts.as_slice() else { return Err(malformed()) };
    if !believed.iter().any(|known| known == domain) {
        let known = believed.join(", ");
        return Err((Refusal::TrustDomain, format!("trust domain of `{uri}` is not among {known}")));
    }
    WorkloadName::new(&format!("{namespace}/{account}")).map_err(|_| malformed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ids_of_the_stated_form_and_domain_are_accounts() {
        let believed = ["cluster.local".to_owned()];
        let read = |uri| account(uri, &believed).map(|it| it.as_str().to_owned()).map_err(|(why, _)| why);
        assert_eq!(read("spiffe://cluster.local/ns/shop/sa/front"), Ok("shop/front".to_owned()));
        for uri in [
            "spiffe://cluster.local.evil/ns/shop/sa/front",
            "spiffe://evil/ns/shop/sa/front",
            "spiffe:///ns/shop/sa/front",
        ] {
            assert_eq!(read(uri), Err(Refusal::TrustDomain), "{uri}");
        }
        for uri in [
            "",
            "spiffe://cluster.local",
            "spiffe://cluster.local/ns/shop/sa/",
            "spiffe://cluster.local/ns//sa/front",
            "spiffe://cluster.local/ns/shop/sa/front/",
            "spiffe://cluster.local/ns/shop/sa/front?x",
            "spiffe://cluster.local/ns/shop/sa/%66ront",
            "spiffe://cluster.local/sa/front/ns/shop",
            "https://cluster.local/ns/shop/sa/front",
            "SPIFFE://cluster.local/ns/shop/sa/front",
        ] {
            assert_eq!(read(uri), Err(Refusal::Malformed), "{uri}");
        }
    }
}
