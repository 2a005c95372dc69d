//! The runtime operator with fallback, from counts. [P3]

/// `R = A_P (q A_V + (1 - q A_V) A_F)`: availability of an operation guarded by a policy.
///
/// - `decided`: A_P, decisions per eligible request;
/// - `permitted`: q, permitted requests per decision;
/// - `served`: A_V, successful requests per permitted one;
/// - `fallback`: A_F, 1 if the fallback satisfies the journey, 0 if it does not, or its weight.
///
/// All in `[0, 1]`. Source: "Emergence-as-Code", v3 artifact (PetClinic).
pub fn with_fallback(decided: f64, permitted: f64, served: f64, fallback: f64) -> f64 {
    let direct = permitted * served;
    decided * (direct + (1.0 - direct) * fallback)
}
