//! `emac.v1`: what is accepted means the same after another trip over the wire.

use emac_core::budget::WorkloadBudgets;
use emac_core::entry::CompiledEntry;
use emac_core::id::WorkloadName;
use emac_proto::convert::NodeReport;
use emac_proto::v1;
use prost::Message;

use super::harness::fuzz;
use super::samples;

#[test]
fn workload_budgets() {
    let examples: Vec<_> = samples::budgets().iter().map(Message::encode_to_vec).collect();
    fuzz(&examples, |bytes| {
        let Ok(wire) = v1::WorkloadBudgets::decode(bytes) else { return false };
        let Ok(budgets) = WorkloadBudgets::try_from(wire) else { return false };
        let again = v1::WorkloadBudgets::from(&budgets).encode_to_vec();
        let again = v1::WorkloadBudgets::decode(again.as_slice()).expect("written by us");
        assert_eq!(WorkloadBudgets::try_from(again).as_ref(), Ok(&budgets));
        for rule in budgets.journeys.iter().flat_map(|journey| &journey.entry) {
            assert!(CompiledEntry::new(rule).is_ok(), "accepted, but cannot be compiled: {rule:?}");
        }
        true
    });
}

#[test]
fn report_request() {
    let workload = WorkloadName::new("shop/front").expect("valid");
    let wire = NodeReport::to_wire("sidecar~10.0.0.7", &workload, &samples::report());
    fuzz(&[wire.encode_to_vec()], |bytes| {
        let Ok(wire) = v1::ReportRequest::decode(bytes) else { return false };
        let Ok(report) = NodeReport::try_from(wire) else { return false };
        let again = NodeReport::to_wire(&report.node, &report.workload, &report.report);
        assert_eq!(NodeReport::try_from(again).as_ref(), Ok(&report));
        true
    });
}

#[test]
fn report_response() {
    let wire = v1::ReportResponse { epoch: u64::MAX, acknowledged_sequence: 300 };
    fuzz(&[wire.encode_to_vec()], |bytes| {
        let Ok(message) = v1::ReportResponse::decode(bytes) else { return false };
        assert_eq!(v1::ReportResponse::decode(message.encode_to_vec().as_slice()), Ok(message));
        true
    });
}
