//! The callee is slow or gone: the journey goes on within its deadline, and Istio's own means do not turn against it.

use std::time::Duration;

use emac_tests::testbed::Fault;
use emac_tests::testbed::client::get;

use crate::Told;
use crate::account::{all_answered, all_right, recognised};
use crate::mesh::{Gateway, Mesh, PAY};
use emac_tests::kube::told;

/// The fallback's budget pays for all of these.
const REQUESTS: u64 = 90;

/// Slower than the journey allows, beside Istio's own retries and a timeout of two seconds.
pub(super) async fn slow(mesh: &mut Mesh) -> Told {
    falls_back(mesh, SLOW).await
}

/// The same where the route says neither timeout nor retries, so that nothing but the budget bounds the call.
pub(super) async fn slow_and_unbounded_by_its_route(mesh: &mut Mesh) -> Told {
    mesh.kube.apply(&route(UNBOUNDED))?;
    mesh.configured("front", |dump| !dump.contains("per_try_timeout")).await?;
    falls_back(mesh, SLOW).await
}

/// Refuses connections.
pub(super) async fn down(mesh: &mut Mesh) -> Told {
    falls_back(mesh, Fault::Refuse).await
}

async fn falls_back(mesh: &mut Mesh, fault: Fault) -> Told {
    mesh.service("pay")?.set_fault(fault).await;
    let degraded = all_answered(&mesh.load(Gateway::Api).rate(30.0).count(REQUESTS).run().await)?;
    if degraded != REQUESTS {
        return Err(format!(
            "{degraded} of {REQUESTS} answers were the fallback's; pay itself answered none of them in time"
        ));
    }
    mesh.service("pay")?.set_fault(Fault::None).await;
    recognised(mesh, Gateway::Api).await?;
    let after = all_right(&mesh.load(Gateway::Api).rate(50.0).count(50).run().await)?;
    Ok(format!("{REQUESTS} requests, all answered by the fallback; {after} after it, all right"))
}

/// Istio would eject a host after five gateway errors in a row, for a minute. What we cut short is not the host's failure.
pub(super) async fn slow_with_outlier_detection(mesh: &mut Mesh) -> Told {
    mesh.kube.apply(&route(UNBOUNDED))?;
    mesh.also(OUTLIERS)?;
    mesh.configured("front", |dump| dump.contains("outlier_detection")).await?;
    let bare = async {
        // What plain Istio does: waits, and ejects nobody.
        mesh.unplug()?;
        mesh.bare().await?;
        mesh.service("pay")?.set_fault(SLOW).await;
        all_right(&mesh.load(Gateway::Api).rate(30.0).count(60).run().await)?;
        mesh.service("pay")?.set_fault(Fault::None).await;
        all_right(&mesh.load(Gateway::Api).rate(50.0).count(100).run().await)?;
        mesh.plug()?;
        mesh.pulled(&mesh.digest).await
    };
    bare.await.map_err(|why| format!("without the filter: {why}"))?;
    // Its connections of before have no filter in their chains.
    mesh.restart_front().await?;
    recognised(mesh, Gateway::Api).await?;
    mesh.service("pay")?.set_fault(SLOW).await;
    let degraded = all_answered(&mesh.load(Gateway::Api).rate(30.0).count(60).run().await)?;
    let ejected = ejected(mesh).await?;
    mesh.service("pay")?.set_fault(Fault::None).await;
    if ejected > 0 {
        return Err(format!("{ejected} hosts of pay were ejected by what the filter cut short"));
    }
    recognised(mesh, Gateway::Api).await?;
    let after = all_right(&mesh.load(Gateway::Api).rate(50.0).count(100).run().await)?;
    Ok(format!(
        "60 requests while pay took 7 s, all answered, {degraded} by the fallback; no host ejected; {after} after it, all right"
    ))
}

/// No timeout, no retries.
const UNBOUNDED: &str = "route: [{destination: {host: pay.shop.svc.cluster.local, port: {number: 8082}}}]\n    retries: {attempts: 0}";

const SLOW: Fault = Fault::Late { share: 1.0, by: Duration::from_secs(7) };

const OUTLIERS: &str = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: pay, namespace: shop}
spec:
  host: pay.shop.svc.cluster.local
  trafficPolicy:
    outlierDetection: {consecutiveGatewayErrors: 5, consecutive5xxErrors: 5, interval: 1s, baseEjectionTime: 60s, maxEjectionPercent: 100}
";

/// The route to pay with other rules.
pub(super) fn route(http: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: pay, namespace: shop}}\n\
         spec:\n  hosts: [{PAY}]\n  http:\n  - {http}\n"
    )
}

/// Hosts of pay that front's Envoy has ejected now.
async fn ejected(mesh: &Mesh) -> Told<usize> {
    let (_, text) = get(mesh.agent("front")?.admin(), "/clusters").await.map_err(told)?;
    Ok(text.lines().filter(|line| line.contains(PAY) && line.contains("failed_outlier_check")).count())
}
