//! What Istio says of a route holds with the filter as without.

use std::time::Duration;

use emac_tests::testbed::{Fault, wait_until};

use super::callee::route;
use super::restarted::PAY_NEXT;
use crate::Told;
use crate::account::{By, Counters, all_answered, all_counted, all_right, deadline, tally};
use crate::mesh::{Gateway, JOURNEY, Mesh, PATIENCE, PAY};

/// The route's own 100 ms are never lengthened: pay takes 200 ms, and no answer of its is ever waited for.
pub(super) async fn a_shorter_timeout_of_the_route(mesh: &mut Mesh) -> Told {
    const REQUESTS: u64 = 60;
    mesh.kube.apply(&route(
        "timeout: 100ms\n    retries: {attempts: 0}\n    route: [{destination: {host: pay.shop.svc.cluster.local, port: {number: 8082}}}]",
    ))?;
    mesh.configured("front", |dump| dump.contains("\"0.100s\"")).await?;
    let before = Counters::settled(mesh).await?;
    mesh.service("pay")?.set_fault(Fault::Late { share: 1.0, by: Duration::from_millis(200) }).await;
    let degraded = all_answered(&mesh.load(Gateway::Api).rate(30.0).count(REQUESTS).run().await)?;
    let after = Counters::settled(mesh).await?;
    let outcomes =
        after.grown(&before, By::Control, "emac_hop_requests_total", &[("source", "shop/front")], "outcome");
    match degraded == REQUESTS && !outcomes.contains_key("success") {
        true => {
            Ok(format!("{REQUESTS} requests, pay never waited for longer than its route says: {outcomes:?}"))
        }
        false => {
            Err(format!("{degraded} of {REQUESTS} answers were the fallback's; calls of pay: {outcomes:?}"))
        }
    }
}

/// An AuthorizationPolicy denies at front: users get its 403 and nothing else, each counted
/// once. To its caller a denial by the callee's proxy is an answer of the callee (docs/enforcement.md), so it has the class that 403 has.
pub(super) async fn denied(mesh: &mut Mesh) -> Told {
    const REQUESTS: u64 = 50;
    mesh.also(
        "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: nobody, namespace: shop}
spec:
  selector: {matchLabels: {app: front}}
  action: DENY
  rules: [{to: [{operation: {paths: [/checkout]}}]}]
",
    )?;
    // Connections opened before have no policy in their chain of filters; Istio closes them after a while.
    let denied = || async {
        let answers = tally(&mesh.load(Gateway::Api).clients(8).count(32).run().await);
        answers.statuses.get(&403) == Some(&32)
    };
    if !wait_until(PATIENCE * 2, denied).await {
        return Err("the policy does not take effect".to_owned());
    }
    let before = Counters::settled(mesh).await?;
    let answers = tally(&mesh.load(Gateway::Api).rate(50.0).count(REQUESTS).run().await);
    if answers.statuses.get(&403) != Some(&REQUESTS) {
        return Err(format!("of {REQUESTS} requests not all were denied: {:?}", answers.statuses));
    }
    let after = Counters::settled(mesh).await?;
    let journeys =
        after.grown(&before, By::Control, "journey_requests_total", &[("journey", JOURNEY)], "result");
    let hops = after.grown(
        &before,
        By::Control,
        "emac_hop_requests_total",
        &[("source", "shop/shop-gateway")],
        "outcome",
    );
    if journeys.values().sum::<f64>() != REQUESTS as f64 || hops.values().sum::<f64>() != REQUESTS as f64 {
        return Err(format!(
            "{REQUESTS} requests were denied; journeys {journeys:?}, calls of front {hops:?}"
        ));
    }
    Ok(format!("{REQUESTS} requests, {REQUESTS} times 403; journeys {journeys:?}, calls of front {hops:?}"))
}

const SUBSETS: &str = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: pay, namespace: shop}
spec:
  host: pay.shop.svc.cluster.local
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
";

/// Two subsets by weight: one hop, both asked.
pub(super) async fn weights(mesh: &mut Mesh) -> Told {
    const REQUESTS: u64 = 200;
    mesh.also(PAY_NEXT)?;
    mesh.also(SUBSETS)?;
    mesh.kube.apply(&route(
        "route:\n    - {destination: {host: pay.shop.svc.cluster.local, subset: v1, port: {number: 8082}}, weight: 50}\n    \
         - {destination: {host: pay.shop.svc.cluster.local, subset: v2, port: {number: 8082}}, weight: 50}",
    ))?;
    mesh.configured("front", |dump| dump.contains("weighted_clusters") && dump.contains("127.0.1.13"))
        .await?;
    let before = Counters::settled(mesh).await?;
    let (pay, next) = (mesh.service("pay")?, mesh.service("pay-next")?);
    pay.forget();
    next.forget();
    all_right(&mesh.load(Gateway::Api).rate(50.0).count(REQUESTS).run().await)?;
    let (first, second) = (pay.count(), next.count());
    if first + second != REQUESTS || first == 0 || second == 0 {
        return Err(format!("{REQUESTS} requests made {first} calls of v1 and {second} of v2"));
    }
    all_counted(mesh, &before, Gateway::Api, REQUESTS).await?;
    Ok(format!("{REQUESTS} requests, all right, {first} by v1 and {second} by v2, counted as one hop"))
}

/// A mirror sees every call and is counted nowhere. Its copies carry no live context where they can be told from the calls: by the
/// host's suffix, which istiod leaves away unless `DISABLE_SHADOW_HOST_SUFFIX=false` is set for it.
pub(super) async fn mirror(mesh: &mut Mesh) -> Told {
    mesh.also(PAY_NEXT)?;
    mesh.also(SUBSETS)?;
    mesh.kube.apply(&route(
        "route: [{destination: {host: pay.shop.svc.cluster.local, subset: v1, port: {number: 8082}}}]\n    \
         mirrors: [{destination: {host: pay.shop.svc.cluster.local, subset: v2, port: {number: 8082}}, percentage: {value: 100}}]",
    ))?;
    mesh.configured("front", |dump| dump.contains("request_mirror_policies") && dump.contains("127.0.1.13"))
        .await?;
    let unmarked = mirrored(mesh).await?;
    mesh.istiod.start_again_with(Some(("DISABLE_SHADOW_HOST_SUFFIX", "false"))).await?;
    let marked = async {
        let unmarked = "\"disable_shadow_host_suffix_append\": true";
        mesh.configured("front", |dump| dump.contains("request_mirror_policies") && !dump.contains(unmarked))
            .await?;
        mesh.synchronised().await?;
        mirrored(mesh).await
    };
    let marked = marked.await;
    mesh.istiod.start_again_with(None).await?;
    match marked? {
        0 => Ok(format!(
            "{MIRRORED} requests, all right, every account exact; no mirrored call carried a context where its host is marked ({unmarked} where not)"
        )),
        live => Err(format!("{live} of {MIRRORED} mirrored calls carried a live context")),
    }
}

const MIRRORED: u64 = 100;

/// Sends a load, looks after its account, and says how many of the mirrored calls had a live context.
async fn mirrored(mesh: &Mesh) -> Told<usize> {
    let before = Counters::settled(mesh).await?;
    let (pay, next) = (mesh.service("pay")?, mesh.service("pay-next")?);
    pay.forget();
    next.forget();
    all_right(&mesh.load(Gateway::Api).rate(50.0).count(MIRRORED).run().await)?;
    let arrived = wait_until(PATIENCE, || async { next.count() >= MIRRORED }).await;
    if pay.count() != MIRRORED || !arrived || next.count() != MIRRORED {
        return Err(format!(
            "{MIRRORED} requests made {} calls of {PAY} and {} mirrored ones",
            pay.count(),
            next.count()
        ));
    }
    all_counted(mesh, &before, Gateway::Api, MIRRORED).await?;
    Ok(next.seen().iter().filter(|request| deadline(&request.headers).is_some()).count())
}
