//! Requests whose time is not what it seems, and requests that come twice.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use emac_tests::testbed::wait_until;
use serde_json::json;
use tokio::task::JoinSet;

use super::client::{Connection, get};
use super::pod::{More, Pod, hop, remaining, sides};
use super::{DEADLINE_MS, parts, plugin};
use crate::common::PATIENCE;
use emac_tests::envoy::emac_filter;

const REQUESTS: u64 = 20;
/// More than a worker of a fresh proxy looks at closely.
const USUAL: u64 = 1_100;
/// Of journeys that are over before what was done for them.
const SHORT_MS: u64 = 400;
/// Longer than that.
const LONGER: Duration = Duration::from_millis(700);
const LATE: &str = "emac_context_late_total";

/// Both numbers of workers, one after the other.
async fn with_one_and_four(
    test: &str,
    more: impl Fn(u32) -> More,
    check: impl AsyncFn(Pod, std::path::PathBuf),
) {
    let Some((envoy, wasm)) = parts(test) else { return };
    for workers in [1, 4] {
        let pod = Pod::start(&envoy, &wasm, more(workers)).await;
        check(pod, wasm.clone()).await;
    }
}

fn pod(workers: u32) -> More {
    More { workers, hops: hop(json!({})), ..More::default() }
}

/// The context that the application was given for a request it has answered.
async fn answered(pod: &Pod, path: &str, ms: u64) -> String {
    let status = get(pod.proxy.at("inbound"), path, &[("baggage", &remaining(ms))]).await.unwrap();
    assert_eq!(status, 200);
    pod.arrived(path).await.context().unwrap()
}

async fn call(pod: &Pod, path: &str, context: &str) -> u16 {
    get(pod.proxy.at("outbound"), path, &[("baggage", &format!("emac={context}"))]).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_refuses_nothing_on_connections_that_were_idle() {
    let more = |workers| More { bare: true, drain_s: 60, ..pod(workers) };
    with_one_and_four(
        "a_plugin_refuses_nothing_on_connections_that_were_idle",
        more,
        async |mut pod, wasm| {
            let mut pooled = Vec::new();
            for _ in 0..REQUESTS {
                let mut connection = Connection::open(pod.proxy.at("inbound")).await.unwrap();
                connection.ask("/pooled", &[]).await.unwrap();
                assert_eq!(connection.answer().await.unwrap(), 200);
                pooled.push(connection);
            }
            let ours = sides(&wasm, &more(1));
            pod.proxy
                .push_listeners(|listeners| {
                    listeners
                        .iter_mut()
                        .filter(|l| l.name != "edge")
                        .for_each(|l| l.filters = vec![ours.clone()]);
                })
                .await;
            // New connections have the filter, the idle ones have not.
            let _ = answered(&pod, "/new", 5_000).await;
            for connection in &mut pooled {
                connection.ask("/idle", &[("baggage", &remaining(5_000))]).await.unwrap();
                assert_eq!(connection.answer().await.unwrap(), 200);
                let context = pod.arrived("/idle").await.context().unwrap();
                assert!(context.contains(".r5000."), "{context}: the inbound side has the filter");
                assert_eq!(call(&pod, "/pay", &context).await, 200);
            }
            let labels = [("destination", "callee"), ("journey", "checkout"), ("outcome", "success")];
            pod.proxy.counted("emac_hop_requests_total", &labels, REQUESTS).await;
            pod.is_sound();
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_after_the_answer_has_no_deadline() {
    with_one_and_four("what_is_done_after_the_answer_has_no_deadline", pod, async |pod, _| {
        // From a queue, an hour later.
        let context = answered(&pod, "/published", SHORT_MS).await;
        let ms: u64 =
            context.split('.').nth(2).and_then(|field| field.strip_prefix('a')?.parse().ok()).unwrap();
        let old = context.replace(&ms.to_string(), &(ms - 3_600_000).to_string());
        for _ in 0..REQUESTS {
            assert_eq!(call(&pod, "/pay", &old).await, 200);
        }
        pod.proxy.counted(LATE, &[], REQUESTS).await;
        // Begun before the answer, and going on after the deadline.
        let mut user = Connection::open(pod.proxy.at("inbound")).await.unwrap();
        user.ask("/held", &[("baggage", &remaining(SHORT_MS))]).await.unwrap();
        let context = pod.arrived("/held").await.context().unwrap();
        let going_on = call(&pod, "/slow/1500", &context);
        let released = async {
            assert!(wait_until(PATIENCE, || async { pod.callee.count("/slow") > 0 }).await);
            pod.app.release();
            user.answer().await.unwrap()
        };
        assert_eq!(tokio::join!(going_on, released), (200, 200));
        pod.proxy.counted(LATE, &[], REQUESTS + 1).await;
        pod.is_sound();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_looked_up_after_the_answer_has_no_deadline() {
    let more = |workers| More { plugin: json!({"join": "traceparent"}), ..pod(workers) };
    with_one_and_four("a_trace_looked_up_after_the_answer_has_no_deadline", more, async |pod, _| {
        let trace = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        let inbound = [("baggage", &*remaining(SHORT_MS)), trace];
        assert_eq!(get(pod.proxy.at("inbound"), "/traced", &inbound).await.unwrap(), 200);
        tokio::time::sleep(LONGER).await;
        for _ in 0..REQUESTS {
            assert_eq!(get(pod.proxy.at("outbound"), "/pay", &[trace]).await.unwrap(), 200);
        }
        assert!(pod.callee.seen().iter().all(|seen| seen.context().is_none()));
        pod.is_sound();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clocks_that_differ_refuse_nothing() {
    with_one_and_four("clocks_that_differ_refuse_nothing", pod, async |pod, _| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let mut invalid = 0;
        for at in [now - 5_000, now + 5_000] {
            for context in [format!("v2.checkout.a{at}.0000.17"), format!("v1:checkout:{at}:0000")] {
                let headers = [("baggage", &*format!("emac={context}"))];
                assert_eq!(get(pod.proxy.at("inbound"), "/skewed", &headers).await.unwrap(), 200);
                assert_eq!(pod.arrived("/skewed").await.context(), None, "{context}");
                invalid += 1;
            }
        }
        pod.proxy.counted("emac_context_invalid_total", &[], invalid).await;
        assert_eq!(get(pod.proxy.at("outbound"), "/pay", &[]).await.unwrap(), 200);
        pod.is_sound();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_that_streams_goes_on_calling() {
    with_one_and_four("an_application_that_streams_goes_on_calling", pod, async |pod, _| {
        let mut user = Connection::open(pod.proxy.at("inbound")).await.unwrap();
        user.ask("/events", &[("baggage", &remaining(SHORT_MS))]).await.unwrap();
        assert_eq!(user.head().await.unwrap().0, 200);
        user.until("data: first").await.unwrap();
        let context = pod.arrived("/events").await.context().unwrap();
        tokio::time::sleep(LONGER).await;
        for _ in 0..REQUESTS {
            assert_eq!(call(&pod, "/pay", &context).await, 200);
        }
        pod.app.release();
        user.until("data: last").await.unwrap();
        pod.proxy.counted(LATE, &[], REQUESTS).await;
        pod.is_sound();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_upload_takes_no_time_of_the_journey() {
    with_one_and_four("a_slow_upload_takes_no_time_of_the_journey", pod, async |pod, _| {
        let mut user = Connection::open(pod.proxy.at("inbound")).await.unwrap();
        let baggage = remaining(SHORT_MS);
        let head =
            format!("POST /held HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\nbaggage: {baggage}\r\n\r\n");
        user.write(&format!("{head}12345")).await.unwrap();
        let context = pod.arrived("/held").await.context().unwrap();
        tokio::time::sleep(LONGER).await;
        for _ in 0..REQUESTS {
            assert_eq!(call(&pod, "/pay", &context).await, 200);
        }
        user.write("67890").await.unwrap();
        assert_eq!(call(&pod, "/pay", &context).await, 200);
        pod.app.release();
        assert_eq!(user.answer().await.unwrap(), 200);
        assert_eq!(pod.callee.seen().iter().filter_map(|seen| seen.context()).count() as u64, REQUESTS + 1);
        pod.is_sound();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_internal_redirect_is_one_request() {
    const WAIT: u64 = 50;
    let left_of = |context: &str| context.split('.').nth(2)?.strip_prefix('r')?.parse::<u64>().ok();
    let policy = json!({"internal_redirect_policy": {"max_internal_redirects": 2, "redirect_response_codes": [302],
        "allow_cross_scheme_redirect": true}});
    let more = |workers| More { route: json!({"route": policy}), ..pod(workers) };
    with_one_and_four("an_internal_redirect_is_one_request", more, async |pod, _| {
        // As many as it takes until marks are no longer looked for.
        for _ in 0..USUAL {
            assert_eq!(get(pod.proxy.at("edge"), "/pay", &[]).await.unwrap(), 200);
        }
        for _ in 0..REQUESTS {
            assert_eq!(get(pod.proxy.at("edge"), &format!("/redirect/{WAIT}"), &[]).await.unwrap(), 200);
        }
        let moved = pod.callee.seen().into_iter().filter(|seen| seen.path == "/moved");
        let left: Vec<u64> = moved.filter_map(|seen| left_of(&seen.context()?)).collect();
        assert_eq!(left.len() as u64, REQUESTS);
        assert!(left.iter().all(|left| left + WAIT <= u64::from(DEADLINE_MS)), "time goes on: {left:?}");
        let all = USUAL + REQUESTS;
        pod.proxy.counted("emac_hop_requests_total", &[("outcome", "success")], all).await;
        pod.proxy.counted("emac_hop_requests_total", &[], all).await;
        pod.proxy.counted("journey_requests_total", &[], all).await;
        pod.proxy.counted("emac_second_filter_total", &[], 0).await;
        pod.is_sound();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_filters_the_second_steps_aside() {
    let test = "of_two_filters_the_second_steps_aside";
    let Some((_, wasm)) = parts(test) else { return };
    let edge = emac_filter(&wasm, &plugin("edge", &hop(json!({}))));
    let auto = emac_filter(&wasm, &plugin("auto", &hop(json!({}))));
    let mut elsewhere = edge.clone();
    elsewhere["typed_config"]["config"]["vm_config"]["vm_id"] = json!("another");
    for filters in [vec![edge.clone(), auto], vec![edge.clone(), edge.clone()], vec![edge, elsewhere]] {
        let more = |workers| More { edge: filters.clone(), ..pod(workers) };
        with_one_and_four(test, more, async |pod, _| {
            for _ in 0..REQUESTS {
                assert_eq!(get(pod.proxy.at("edge"), "/pay", &[]).await.unwrap(), 200);
            }
            pod.proxy.counted("emac_second_filter_total", &[], REQUESTS).await;
            pod.proxy.counted("emac_hop_requests_total", &[], REQUESTS).await;
            pod.proxy.counted("journey_requests_total", &[], REQUESTS).await;
            pod.is_sound();
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirrored_request_is_no_journey() {
    let Some((envoy, wasm)) = parts("a_mirrored_request_is_no_journey") else { return };
    for workers in [1, 4] {
        let shadow = Pod::start(&envoy, &wasm, pod(workers)).await;
        let more = More {
            route: json!({"route": {"request_mirror_policies": [{"cluster": "shadow"}]}}),
            shadow: Some(shadow.proxy.at("inbound").port()),
            ..pod(workers)
        };
        let first = Pod::start(&envoy, &wasm, more).await;
        for _ in 0..REQUESTS {
            assert_eq!(get(first.proxy.at("edge"), "/pay", &[]).await.unwrap(), 200);
        }
        let mirrored = || async { shadow.app.count("/pay") as u64 == REQUESTS };
        assert!(wait_until(PATIENCE, mirrored).await, "{}", shadow.app.count("/pay"));
        assert!(shadow.app.seen().iter().all(|seen| seen.context().is_none()));
        assert!(first.callee.seen().iter().all(|seen| seen.context().is_some()));
        shadow.proxy.counted("emac_shadow_total", &[], REQUESTS).await;
        first.proxy.counted("journey_requests_total", &[], REQUESTS).await;
        first.proxy.counted("emac_hop_requests_total", &[], REQUESTS).await;
        first.is_sound();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_we_cut_ejects_no_host() {
    let outlier = json!({
        "outlier_detection": {"consecutive_gateway_failure": 5, "enforcing_consecutive_gateway_failure": 100,
            "consecutive_5xx": 5, "base_ejection_time": "30s", "max_ejection_percent": 100},
        "common_lb_config": {"healthy_panic_threshold": {"value": 0.0}},
    });
    let more =
        |workers| More { hops: hop(json!({"timeout_ms": 300})), cluster: outlier.clone(), ..pod(workers) };
    with_one_and_four("what_we_cut_ejects_no_host", more, async |pod, _| {
        let mut calls = JoinSet::new();
        for _ in 0..3 * REQUESTS {
            let edge = pod.proxy.at("edge");
            calls.spawn(async move { get(edge, "/slow/4000", &[]).await.unwrap() });
        }
        assert!(calls.join_all().await.into_iter().all(|status| status == 504));
        for _ in 0..REQUESTS {
            assert_eq!(get(pod.proxy.at("edge"), "/pay", &[]).await.unwrap(), 200);
        }
        assert_eq!(pod.proxy.stat("cluster.callee.outlier_detection.ejections_enforced_total").await, 0);
        pod.proxy.counted("emac_hop_requests_total", &[("outcome", "timeout")], 3 * REQUESTS).await;
        pod.proxy.counted("emac_hop_requests_total", &[("outcome", "success")], REQUESTS).await;
        pod.is_sound();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shorter_route_stays_shorter() {
    let more = |workers| More {
        hops: hop(json!({"timeout_ms": 245})),
        route: json!({"route": {"timeout": "0.1s"}}),
        ..pod(workers)
    };
    with_one_and_four("a_shorter_route_stays_shorter", more, async |pod, _| {
        for _ in 0..REQUESTS {
            assert_eq!(get(pod.proxy.at("edge"), "/slow/4000", &[]).await.unwrap(), 504);
        }
        // The route's own timer, each time.
        assert_eq!(pod.proxy.stat("cluster.callee.upstream_rq_timeout").await, REQUESTS);
        pod.proxy.counted("emac_hop_requests_total", &[("outcome", "timeout")], REQUESTS).await;
        pod.is_sound();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_tries_that_fail_are_retried_at_low_traffic() {
    let budget = json!({"ratio_ppm": 200_000, "floor_milli_per_s": 10_000, "burst": 100});
    let policy = json!({"retry_policy": {"retry_on": "5xx", "num_retries": 2}});
    let more = |workers| More {
        hops: hop(json!({"retry": budget})),
        route: json!({"route": policy}),
        ..pod(workers)
    };
    with_one_and_four("first_tries_that_fail_are_retried_at_low_traffic", more, async |pod, _| {
        for number in 0..REQUESTS {
            let headers = [("x-number", &*number.to_string())];
            assert_eq!(get(pod.proxy.at("edge"), "/fails/503", &headers).await.unwrap(), 200);
        }
        pod.proxy.counted("emac_hop_requests_total", &[("outcome", "success")], REQUESTS).await;
        assert_eq!(pod.proxy.stat("cluster.callee.upstream_rq_retry").await, REQUESTS);
        pod.is_sound();
    })
    .await;
}
