//! Version 0.2.0: as 0.1.0, and records say under which request id they meet and who ended the call.

use emac_proto::v1::*;
use emac_proto::xds::DeltaDiscoveryResponse;

use super::v0_1_0;

pub(crate) fn report() -> ReportRequest {
    let mut report = v0_1_0::report();
    let record = &mut report.records[0];
    (record.request_id, record.ended_by) = ((41..=56).collect(), EndedBy::Filter as i32);
    report
}

pub(crate) fn budgets() -> WorkloadBudgets {
    v0_1_0::budgets()
}

pub(crate) fn response() -> DeltaDiscoveryResponse {
    v0_1_0::response()
}
