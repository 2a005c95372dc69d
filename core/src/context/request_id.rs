//! The header `x-request-id` as Envoy writes it: a UUID that its extension `uuid` makes where none is there, and that applications of a
//! mesh hand on more often than `traceparent`.

/// The bits of a request id, under which records of one request meet; `None` where the header holds no UUID.
///
/// Envoy packs its decision to trace into the digit that stands for the UUID's version (`4`, `9`, `a`, `b`; "x-request-id" in its
/// documentation of the HTTP connection manager), and each proxy on the way may decide anew. That digit says nothing here: it is read as `4`.
///
/// ```
/// # use emac_core::context::request_id;
/// let id = request_id(b"f3a1c4de-9b1f-9c3a-8d52-0242ac120002");
/// assert_eq!(id, request_id(b"F3A1C4DE-9B1F-4C3A-8D52-0242AC120002"));
/// assert_eq!(request_id(b"42"), None);
/// ```
pub fn request_id(header: &[u8]) -> Option<[u8; 16]> {
    if header.len() != 36 {
        return None;
    }
    // Two halves: a wasm module has no numbers of 128 bits.
    let (mut high, mut low) = (0_u64, 0_u64);
    for (at, &byte) in header.iter().enumerate() {
        if matches!(at, 8 | 13 | 18 | 23) {
            if byte != b'-' {
                return None;
            }
            continue;
        }
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            _ => return None,
        };
        high = (high << 4) | (low >> 60);
        low = (low << 4) | u64::from(digit);
    }
    if high == 0 && low == 0 {
        return None;
    }
    const VERSION: u64 = 0xf << 12;
    let high = (high & !VERSION) | (4 << 12);
    Some(((u128::from(high) << 64) | u128::from(low)).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_uuid_is_one() {
        let id = "0af76519-16cd-43dd-8448-eb211c80319c";
        assert_eq!(
            request_id(id.as_bytes()),
            Some(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128.to_be_bytes())
        );
        for broken in [
            "",
            "0af7651916cd43dd8448eb211c80319c",
            "0af76519-16cd-43dd-8448-eb211c80319",
            "0af76519-16cd-43dd-8448-eb211c80319c0",
            "0af76519-16cd-43dd-8448-eb211c80319g",
            "0af76519-16cd-43dd-8448_eb211c80319c",
            "-af76519-16cd-43dd-8448-eb211c80319c",
            "00000000-0000-0000-0000-000000000000",
            "0af76519-16cd-43dd-8448-eb211c80319\u{e9}",
        ] {
            assert_eq!(request_id(broken.as_bytes()), None, "{broken}");
        }
        assert_eq!(request_id(&[0xff; 36]), None);
    }

    /// Ids of one request as Envoy 1.40 sends them on: not traced, sampled, forced by a header, forced by configuration.
    #[test]
    fn a_decision_to_trace_is_no_part_of_it() {
        let ids = ["4", "9", "a", "b"].map(|reason| {
            let id = std::format!("0af76519-16cd-{reason}3dd-8448-eb211c80319c");
            request_id(id.as_bytes())
        });
        assert!(ids.iter().all(|id| id.is_some() && *id == ids[0]), "{ids:?}");
    }
}
