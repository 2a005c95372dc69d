//! The wire of EmaC.
//!
//! `emac/v1/*.proto` and the xDS discovery subset are the specification; the code under `generated` comes from them
//! (`make proto`; a test regenerates and compares). [`convert`] is the only place where wire types become domain types, and
//! each refusal names the field.
//!
//! What this crate leaves out: no I/O and no policy. With the `grpc` feature it also holds tonic clients and servers; the
//! filter links messages only.

extern crate alloc;

#[cfg(feature = "grpc")]
pub mod codec;
pub mod convert;

/// Messages and services of `emac/v1`.
pub mod v1 {
    #![allow(missing_docs, unreachable_pub, clippy::all)]
    include!("generated/emac.v1.rs");
}

/// The discovery subset of xDS v3, laid out as its packages are.
#[allow(missing_docs, unreachable_pub, clippy::all)]
mod wire {
    pub mod google {
        pub mod rpc {
            include!("generated/google.rpc.rs");
        }
    }
    pub mod envoy {
        pub mod config {
            pub mod core {
                pub mod v3 {
                    include!("generated/envoy.config.core.v3.rs");
                }
            }
        }
        pub mod service {
            pub mod discovery {
                pub mod v3 {
                    include!("generated/envoy.service.discovery.v3.rs");
                }
            }
        }
    }
}

/// xDS v3: the aggregated discovery service, both variants.
pub mod xds {
    pub use crate::wire::envoy::config::core::v3::Node;
    pub use crate::wire::envoy::service::discovery::v3::*;
    pub use crate::wire::google::rpc::Status;
    pub use prost_types::Any;
}

/// Type URL of the budgets resource.
pub const WORKLOAD_BUDGETS_TYPE_URL: &str = "type.googleapis.com/emac.v1.WorkloadBudgets";
