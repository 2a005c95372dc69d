//! NATS away, lost, full, forbidding, or another control plane's: said clearly, and nothing acknowledged is lost.

use std::path::Path;
use std::time::{Duration, Instant};

use async_nats::jetstream;
use serde_json::Value;
use tonic::Code;

use crate::load::Subscriber;
use crate::nats::{Nats, not_run, program};
use crate::replica::{LEASE, Replica};
use crate::support::process::PATIENCE;
use crate::support::{Sidecar, Truth, get, report};
use crate::world::World;

/// Waits until `/readyz` says something.
pub async fn says(replica: &Replica, status: u16, what: &str) {
    let begun = Instant::now();
    loop {
        let (found, text) = replica.readiness().await;
        if found == status && text.contains(what) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{found} {text}, expected {status} {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until the metric of a stream's fill lies within a range.
async fn fills(replica: &Replica, stream: &str, range: std::ops::RangeInclusive<f64>) {
    let (begun, row) = (Instant::now(), format!("emac_engine_stream_fill{{stream=\"{stream}\"}} "));
    loop {
        let (_, _, body) = get(replica.http, "/metrics", "*/*").await;
        let text = String::from_utf8(body).unwrap();
        let found = text.lines().find_map(|line| line.strip_prefix(&row)?.parse().ok());
        if found.is_some_and(|share: f64| range.contains(&share)) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{stream}: {found:?}, expected {range:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// One report on a stream of its own.
async fn send(replica: &Replica, sequence: u64) -> Result<u64, Code> {
    let mut sidecar = Sidecar::connect(replica.grpc).await.map_err(|status| status.code())?;
    let answer = sidecar.send(report("node", 7, sequence, 11)).await;
    answer.map(|answer| answer.acknowledged_sequence).map_err(|status| status.code())
}

/// Sends until it is acknowledged.
pub async fn deliver(replica: &Replica, sequence: u64) {
    let begun = Instant::now();
    while send(replica, sequence).await != Ok(sequence) {
        assert!(begun.elapsed() < PATIENCE, "report {sequence} is never acknowledged: {}", replica.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn truth(sequences: std::ops::RangeInclusive<u64>) -> Truth {
    let mut truth = Truth::default();
    sequences.for_each(|sequence| truth.add(&report("node", 7, sequence, 11)));
    truth
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_away_at_the_start_and_lost_later_costs_time_only() {
    if program().is_none() {
        return not_run("nats_away_at_the_start_and_lost_later_costs_time_only");
    }
    let folder = tempfile::tempdir().unwrap();
    let mut nats = Nats::alone(folder.path(), "");
    nats.kill();
    let replica = Replica::start(folder.path(), "emac-0", &[nats.url()], "cluster: test");
    says(&replica, 503, "not ready: NATS is not connected").await;
    assert_eq!(send(&replica, 1).await, Err(Code::Unavailable));
    nats.start();
    says(&replica, 200, "ready").await;
    deliver(&replica, 1).await;

    let mut world = World {
        replicas: vec![replica],
        nats: vec![nats],
        folder,
        doors: tokio::sync::watch::Sender::new(Vec::new()),
        more: "",
    };
    world.open();
    world.settled(1).await;
    let subscriber = Subscriber::start("shop/front", 0, &world.doors.subscribe());
    subscriber.generation.clone().wait_for(|generation| *generation > 0).await.unwrap();
    world.nats[0].kill();
    says(&world.replicas[0], 503, "not ready: NATS is not connected").await;
    assert_eq!(send(&world.replicas[0], 2).await, Err(Code::Unavailable));
    // The plan in force stays, and its lease is renewed, for longer than one lease lasts.
    let begun = Instant::now();
    while begun.elapsed() < LEASE + LEASE / 4 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    world.nats[0].start();
    says(&world.replicas[0], 200, "ready").await;
    deliver(&world.replicas[0], 2).await;
    world.check(&truth(1..=2)).await;
    let watched = subscriber.finish().await;
    assert!(watched.longest_gap < LEASE / 2, "{watched:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_stream_refuses_and_the_sidecar_keeps_its_report() {
    if program().is_none() {
        return not_run("a_full_stream_refuses_and_the_sidecar_keeps_its_report");
    }
    let folder = tempfile::tempdir().unwrap();
    let nats = Nats::alone(folder.path(), "");
    let replica =
        Replica::start(folder.path(), "emac-0", &[nats.url()], "cluster: test, streamBytes: 1048576");
    says(&replica, 200, "ready").await;
    deliver(&replica, 1).await;
    // Somebody fills a partition that nobody has.
    let context = jetstream::new(async_nats::connect(nats.url()).await.unwrap());
    let junk = || context.publish("emac.evidence.99", vec![7; 64 << 10].into());
    while junk().await.unwrap().await.is_ok() {}
    while context.publish("emac.evidence.99", vec![7; 1].into()).await.unwrap().await.is_ok() {}
    assert_eq!(send(&replica, 2).await, Err(Code::Unavailable));
    says(&replica, 503, "maximum bytes exceeded").await;
    fills(&replica, "evidence", 0.9..=1.0).await;
    let stream = context.get_stream("emac-evidence").await.unwrap();
    stream.purge().filter("emac.evidence.99").await.unwrap();
    deliver(&replica, 2).await;
    says(&replica, 200, "ready").await;
    fills(&replica, "evidence", 0.0..=0.5).await;
    let world = World {
        replicas: vec![replica],
        nats: vec![nats],
        folder,
        doors: tokio::sync::watch::Sender::new(Vec::new()),
        more: "",
    };
    world.check(&truth(1..=2)).await;
}

/// A user who may do everything but these.
fn users(denied: &str) -> String {
    format!(
        "authorization {{users: [{{user: emac, password: secret, permissions: {{publish: {{allow: \">\", deny: [{denied}]}}, subscribe: \">\"}}}}]}}\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_right_is_named_and_giving_it_is_enough() {
    if program().is_none() {
        return not_run("a_missing_right_is_named_and_giving_it_is_enough");
    }
    for denied in
        ["emac.evidence.0", "emac.counted.3", "$JS.API.STREAM.CREATE.emac-counted", "$KV.emac-state.plan"]
    {
        let folder = tempfile::tempdir().unwrap();
        let nats = Nats::alone(folder.path(), &users(&format!("\"{denied}\"")));
        std::fs::write(folder.path().join("password"), "secret\n").unwrap();
        let more = "cluster: test, user: emac, passwordFile: ../password";
        let replica = Replica::start(folder.path(), "emac-0", &[nats.url()], more);
        says(&replica, 503, &format!("Permissions Violation for Publish to \"{denied}\"")).await;
        nats.reconfigure(|text| text.replace(&users(&format!("\"{denied}\"")), &users("")));
        says(&replica, 200, "ready").await;
        deliver(&replica, 1).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let nats = Nats::alone(folder.path(), &users(""));
    let replica = Replica::start(folder.path(), "emac-0", &[nats.url()], "cluster: test");
    says(&replica, 503, "not ready: NATS is not connected").await;
    says(&replica, 503, "authorization violation").await;
}

/// The first to come plans, and may not write plans; the second may.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_planner_that_may_not_write_gives_its_place_up() {
    if program().is_none() {
        return not_run("a_planner_that_may_not_write_gives_its_place_up");
    }
    let folder = tempfile::tempdir().unwrap();
    let users = "authorization {users: [{user: all, password: secret}, {user: some, password: secret, permissions: {publish: {allow: \">\", \
                 deny: [\"$KV.emac-state.plan\"]}, subscribe: \">\"}}]}\n";
    let nats = Nats::alone(folder.path(), users);
    std::fs::write(folder.path().join("password"), "secret\n").unwrap();
    let as_user = |user: &str| format!("cluster: test, user: {user}, passwordFile: ../password");
    let weak = Replica::start(folder.path(), "weak", &[nats.url()], &as_user("some"));
    says(&weak, 503, "the plan cannot be written").await;
    let begun = Instant::now();
    let strong = Replica::start(folder.path(), "strong", &[nats.url()], &as_user("all"));
    says(&strong, 200, "ready").await;
    println!("planned {:?} after a replica came that may", begun.elapsed());
    // What only a planner needs keeps nobody from serving.
    says(&weak, 200, "ready").await;
    let engine = weak.engine().await;
    assert_eq!(engine["planner"], strong.engine().await["replica"]);
    assert!(weak.log().contains("this replica cannot write plans"), "{}", weak.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_of_two_control_planes_do_not_mix() {
    if program().is_none() {
        return not_run("replicas_of_two_control_planes_do_not_mix");
    }
    let world = World::start(|folder| vec![Nats::alone(folder, "")], 1).await;
    let folder: &Path = world.folder.path();
    let mut other = Replica::start(folder, "other", &[world.nats[0].url()], "cluster: other");
    let begun = Instant::now();
    let ended = loop {
        if let Some(ended) = other.child.try_wait().unwrap() {
            break ended;
        }
        assert!(begun.elapsed() < PATIENCE, "it goes on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(ended.code(), Some(65), "{}", other.log());
    let said =
        "stream emac-evidence belongs to the control plane `test`, this one is `other` (engine.nats.cluster)";
    assert!(other.log().contains(said), "{}", other.log());
    // With a prefix of its own it is welcome.
    let more = "cluster: other, prefix: other";
    let beside = Replica::start(folder, "beside", &[world.nats[0].url()], more);
    says(&beside, 200, "ready").await;
    let engine: Value = beside.engine().await;
    assert_eq!(engine["replicas"].as_array().unwrap().len(), 1);
}
