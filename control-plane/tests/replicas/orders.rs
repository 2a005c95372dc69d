//! The kill switch over several replicas: whichever takes the order, the sidecars of all obey, whatever dies meanwhile.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::mover::Mover;
use crate::nats::{Nats, not_run, program};
use crate::replica::Replica;
use crate::support::process::{PATIENCE, run};
use crate::support::{api, scrape};
use crate::world::World;

/// What the requirement allows.
const WITHIN: Duration = Duration::from_secs(2);
const STOP: [&str; 5] = ["stop-enforcing", "--why", "INC-42: checkouts fail", "--who", "jane"];
const RESUME: [&str; 5] = ["resume-enforcing", "--why", "INC-42 is over", "--who", "bob"];

/// `emac` against a replica, without blocking the sidecars of the test.
async fn emac(folder: &Path, replica: &Replica, args: &[&str]) -> (i32, String) {
    let server = format!("http://{}", replica.http);
    let args: Vec<String> =
        args.iter().map(ToString::to_string).chain(["--server".to_owned(), server]).collect();
    let folder = folder.to_owned();
    let work = move || run(&folder, &args.iter().map(String::as_str).collect::<Vec<_>>());
    let (code, stdout, stderr) = tokio::task::spawn_blocking(work).await.unwrap();
    (code, stdout + &stderr)
}

/// One sidecar at every replica, each acting.
async fn movers(world: &World) -> Vec<Mover> {
    let mut movers = Vec::new();
    for (place, replica) in world.replicas.iter().enumerate() {
        let mover = Mover::start(&format!("front-{place}"), replica.grpc).await;
        mover.until(true).await;
        movers.push(mover);
    }
    // Replicas tell each other of their sidecars every second.
    for replica in &world.replicas {
        let begun = Instant::now();
        while state(replica).await["sidecars"]["connected"] != movers.len() {
            assert!(begun.elapsed() < PATIENCE, "{}", state(replica).await["sidecars"]);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    movers
}

/// Longest that one of them takes.
async fn all(movers: &[Mover], acts: bool) -> Duration {
    let begun = Instant::now();
    for mover in movers {
        mover.until(acts).await;
    }
    begun.elapsed()
}

async fn state(replica: &Replica) -> Value {
    api(replica.http, "enforcement").await
}

/// Waits until every replica says the same about what is stopped, and that everybody has been told.
async fn agreed(world: &World) -> Value {
    let begun = Instant::now();
    loop {
        let mut states = Vec::new();
        for replica in &world.replicas {
            states.push(state(replica).await);
        }
        let same = |it: &Value| {
            it["stopped"] == states[0]["stopped"]
                && it["revision"] == states[0]["revision"]
                && it["history"] == states[0]["history"]
                && it["replicas"]["not_told"].is_null()
                && it["replicas"]["not_obeying"] == Value::Array(Vec::new())
        };
        if states.iter().all(same) {
            return states.remove(0);
        }
        assert!(begun.elapsed() < PATIENCE, "never agreed: {states:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The sidecar goes round, and is offered nothing odd.
async fn round(world: &World, mover: &mut Mover, acts: bool) {
    for replica in world.replicas.iter().chain(world.replicas.first()) {
        mover.go(replica.grpc).await;
        assert_eq!((mover.acts(), mover.oddities()), (acts, (0, 0)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_at_one_replica_is_obeyed_at_all_and_survives_all_of_them() {
    if program().is_none() {
        return not_run("an_order_at_one_replica_is_obeyed_at_all_and_survives_all_of_them");
    }
    let mut world = World::start(|folder| vec![Nats::alone(folder, "")], 3).await;
    let folder = world.folder.path().to_owned();
    let mut movers = movers(&world).await;
    let before = movers[1].generation();
    let given = emac(&folder, &world.replicas[0], &STOP);
    let (obeyed, (code, said)) = tokio::join!(all(&movers, false), given);
    println!("every sidecar observes {obeyed:?} after the command began");
    assert!(obeyed < WITHIN, "{obeyed:?}");
    assert_eq!(code, 0, "{said}");
    assert!(said.starts_with("enforcement is STOPPED for all journeys by jane (not proven), "), "{said}");
    assert!(said.contains("\n3 of 3 connected sidecars have acknowledged it\n"), "{said}");
    assert!(movers.iter().all(|mover| mover.generation() > before && mover.oddities() == (0, 0)));
    // Said wherever the mode is, at every replica.
    for replica in &world.replicas {
        let state = state(replica).await;
        assert_eq!((&state["stopped"]["all"]["by"], &state["durable"]), (&"jane".into(), &true.into()));
        assert_eq!(state["journeys"][0]["mode"], "observe");
        assert!(replica.log().contains("enforcement is stopped for all journeys by jane"));
        assert_eq!(scrape(replica.http).await["emac_enforcement_stopped_all"], 1.0);
        let (_, status) = emac(&folder, replica, &["status"]).await;
        assert!(status.contains("enforcement is STOPPED for all journeys by jane"), "{status}");
    }
    round(&world, &mut movers[0], false).await;
    // A plan is made while it is stopped.
    let generation = world.generation(1).await;
    world.deadline(410);
    while world.generation(1).await == generation {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    round(&world, &mut movers[0], false).await;

    // All of them die at once; what their sidecars hold is of before.
    world.replicas.iter_mut().for_each(Replica::kill);
    world.replicas.iter_mut().for_each(Replica::restart);
    world.open();
    world.settled(3).await;
    for (mover, replica) in movers.iter_mut().zip(&world.replicas) {
        mover.go(replica.grpc).await;
        assert_eq!((mover.acts(), mover.oddities()), (false, (0, 0)), "forgotten");
    }
    assert_eq!(agreed(&world).await["stopped"]["all"]["why"], "INC-42: checkouts fail");

    // And back, by another replica.
    let (code, said) = emac(&folder, &world.replicas[2], &RESUME).await;
    assert!(code == 0 && said.starts_with("enforcement is as the intents say\n"), "{said}");
    all(&movers, true).await;
    round(&world, &mut movers[1], true).await;
    assert_eq!(agreed(&world).await["history"].as_array().unwrap().len(), 2);
    assert!(movers.iter().all(|mover| mover.oddities() == (0, 0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_needs_no_nats_and_is_given_to_all_once_it_is_back() {
    if program().is_none() {
        return not_run("a_stop_needs_no_nats_and_is_given_to_all_once_it_is_back");
    }
    let mut world = World::start(|folder| vec![Nats::alone(folder, "")], 2).await;
    let folder = world.folder.path().to_owned();
    let movers = movers(&world).await;
    world.nats[0].kill();
    for replica in &world.replicas {
        while replica.readiness().await.0 == 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let args = [&STOP[..], &["--wait", "500ms"]].concat();
    let begun = Instant::now();
    let (obeyed, (code, said)) =
        tokio::join!(movers[0].until(false), emac(&folder, &world.replicas[0], &args));
    assert!(obeyed < WITHIN && begun.elapsed() < WITHIN, "{obeyed:?} {:?}", begun.elapsed());
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("\nONLY THIS REPLICA does as ordered"), "{said}");
    assert!(said.contains("NATS is not connected"), "{said}");
    assert!(movers[1].acts(), "nobody told it");
    assert_eq!(scrape(world.replicas[0].http).await["emac_engine_orders_waiting"], 1.0);
    // The other one is told to stop one journey, and then to go on with it.
    let one = [&STOP[..], &["--journey", "checkout", "--wait", "0"]].concat();
    assert_eq!(emac(&folder, &world.replicas[1], &one).await.0, 3);
    movers[1].until(false).await;

    world.nats[0].start();
    let stopped = agreed(&world).await["stopped"].clone();
    assert_eq!(stopped["all"]["by"], "jane", "{stopped}");
    world.settled(2).await;
    assert!(movers.iter().all(|mover| !mover.acts()));
    assert_eq!(emac(&folder, &world.replicas[1], &RESUME).await.0, 0);
    all(&movers, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opposite_orders_at_once_come_to_the_same_everywhere() {
    if program().is_none() {
        return not_run("opposite_orders_at_once_come_to_the_same_everywhere");
    }
    let world = World::start(|folder| vec![Nats::alone(folder, "")], 2).await;
    let folder = world.folder.path().to_owned();
    let mut movers = movers(&world).await;
    for _ in 0..6 {
        let (stop, resume) = tokio::join!(
            emac(&folder, &world.replicas[0], &STOP),
            emac(&folder, &world.replicas[1], &RESUME)
        );
        assert!([0, 3].contains(&stop.0), "{stop:?}");
        assert!([0, 3, 65].contains(&resume.0), "{resume:?}");
        let stopped = !agreed(&world).await["stopped"]["all"].is_null();
        all(&movers, !stopped).await;
        round(&world, &mut movers[0], !stopped).await;
    }
}

/// The replica that took the order dies before NATS is back, and comes back before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_that_nobody_else_has_survives_the_replica_that_has_it() {
    if program().is_none() {
        return not_run("a_stop_that_nobody_else_has_survives_the_replica_that_has_it");
    }
    let mut world = World::start(|folder| vec![Nats::alone(folder, "")], 2).await;
    let folder = world.folder.path().to_owned();
    let mut movers = movers(&world).await;
    world.nats[0].kill();
    while world.replicas[0].readiness().await.0 == 200 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let args = [&STOP[..], &["--wait", "0"]].concat();
    assert_eq!(emac(&folder, &world.replicas[0], &args).await.0, 3);
    movers[0].until(false).await;
    world.replicas[0].kill();
    world.replicas[0].restart();
    // It has no plan, and no way to one; whoever comes to it is let pass.
    for mover in &mut movers {
        mover.go(world.replicas[0].grpc).await;
        assert_eq!((mover.acts(), mover.oddities()), (false, (0, 0)));
    }
    let alone = state(&world.replicas[0]).await;
    assert_eq!((&alone["durable"], &alone["replicas"]["waiting_orders"]), (&true.into(), &1.into()));
    world.nats[0].start();
    world.open();
    world.settled(2).await;
    assert_eq!(agreed(&world).await["stopped"]["all"]["by"], "jane");
    round(&world, &mut movers[0], false).await;
    assert_eq!(emac(&folder, &world.replicas[1], &RESUME).await.0, 0);
    all(&movers, true).await;
    round(&world, &mut movers[1], true).await;
}

/// Every replica reads its own file, at its own time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_all_replicas_read_stops_all_and_is_lifted_by_all() {
    if program().is_none() {
        return not_run("a_line_that_all_replicas_read_stops_all_and_is_lifted_by_all");
    }
    let world = World::start(|folder| vec![Nats::alone(folder, "")], 2).await;
    let mut movers = movers(&world).await;
    for there in [true, false, true, false] {
        world.replicas.iter().for_each(|replica| replica.line("enforcement: stopped", there));
        all(&movers, !there).await;
        agreed(&world).await;
        round(&world, &mut movers[0], !there).await;
    }
}
