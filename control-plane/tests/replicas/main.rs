//! Several control planes on a real NATS, under load, while parts of them are killed, frozen and replaced: every report that was acknowledged counts once, no
//! plan goes back, no lease runs out, and somebody plans again within seconds.

#![allow(unreachable_pub)] // a test binary exports nothing

#[path = "../identity/authority.rs"]
mod authority;
mod cut;
mod load;
mod models;
mod mover;
mod nats;
mod orders;
mod replica;
#[path = "../support/mod.rs"]
mod support;
mod tls;
mod trouble;
mod world;

use std::time::{Duration, Instant};

use cut::Wire;
use load::{Load, Subscriber};
use nats::{Nats, not_run, program};
use replica::LEASE;
use support::process::PATIENCE;
use world::World;

/// A new plan is there this long after its planner died.
const FAILOVER: Duration = Duration::from_secs(10);
/// Between two reports of a sidecar.
const PERIOD: Duration = Duration::from_millis(60);
/// Says that there is time for the long form.
const LONG: &str = "EMAC_REPLICAS_LONG";

/// Kills the planner, changes the journey, and waits until a subscriber has the plan of another one.
async fn kill_the_planner(world: &mut World, subscriber: &Subscriber, deadline_ms: u64) {
    let planner = world.planner().await;
    let mut generation = subscriber.generation.clone();
    let before = *generation.borrow_and_update();
    let killed = Instant::now();
    world.kill(planner);
    world.deadline(deadline_ms);
    let changed = generation.wait_for(|generation| *generation > before);
    tokio::time::timeout(FAILOVER, changed).await.expect("a new plan in time").unwrap();
    println!("a new plan {:?} after its planner was killed", killed.elapsed());
}

async fn finish(world: &World, load: Load, subscribers: Vec<Subscriber>) {
    let truth = load.finish().await;
    println!("{} requests in {} latencies", truth.outcomes.total(), truth.latency.values().sum::<u64>());
    world.check(&truth).await;
    for workload in subscribers.iter().map(|subscriber| subscriber.workload) {
        world.lists(workload).await;
    }
    for subscriber in subscribers {
        let watched = subscriber.finish().await;
        println!("{watched:?}");
        assert!(watched.longest_gap < LEASE && watched.renewals > 0, "{watched:?}");
    }
}

fn subscribers(world: &World) -> Vec<Subscriber> {
    let workloads = ["shop/front", "shop/edge", "shop/front"].into_iter().enumerate();
    workloads.map(|(place, workload)| Subscriber::start(workload, place, &world.doors.subscribe())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_planner_and_a_killed_holder_lose_nothing() {
    if program().is_none() {
        return not_run("a_killed_planner_and_a_killed_holder_lose_nothing");
    }
    let mut world = World::start(|folder| vec![Nats::alone(folder, "")], 3).await;
    let load = Load::start(24, PERIOD, &world.doors.subscribe());
    let subscribers = subscribers(&world);
    load.more(600).await;
    kill_the_planner(&mut world, &subscribers[0], 410).await;
    load.more(300).await;
    world.settled(2).await;
    world.join("emac-3");
    world.settled(3).await;
    let holder = (world.planner().await + 1) % 3;
    let killed = Instant::now();
    world.kill(holder);
    world.settled(2).await;
    println!("every partition is held {:?} after its holder was killed", killed.elapsed());
    load.more(300).await;
    finish(&world, load, subscribers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_cut_off_from_nats_acknowledges_nothing_and_comes_back() {
    if program().is_none() {
        return not_run("a_replica_cut_off_from_nats_acknowledges_nothing_and_comes_back");
    }
    let mut world = World::start(|folder| vec![Nats::alone(folder, "")], 1).await;
    let wire = Wire::to(world.nats[0].port).await;
    world.join_by("far", &[wire.url()]);
    world.settled(2).await;
    let load = Load::start(16, PERIOD, &world.doors.subscribe());
    let subscribers = subscribers(&world);
    load.more(300).await;
    let cut = Instant::now();
    wire.cut();
    // What was its share is another's, and its sidecars report elsewhere.
    while world.replicas[0].engine().await["replicas"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["partitions"] != 0)
        .count()
        > 1
    {
        assert!(cut.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("its partitions moved {:?} after it was cut off", cut.elapsed());
    load.more(600).await;
    let (here, far) = (world.generation(0).await, world.generation(1).await);
    world.deadline(410);
    while world.generation(0).await == here {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(world.generation(1).await, far, "what it has stays in force");
    wire.mend();
    world.settled(2).await;
    load.more(300).await;
    finish(&world, load, subscribers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_cut_off_behind_a_snapshot_that_a_late_replica_begins_with() {
    if program().is_none() {
        return not_run("the_log_is_cut_off_behind_a_snapshot_that_a_late_replica_begins_with");
    }
    let mut world =
        World::start_with(|folder| vec![Nats::alone(folder, "")], 1, "streamBytes: 1048576").await;
    let load = Load::start(16, Duration::from_millis(5), &world.doors.subscribe());
    let context = async_nats::jetstream::new(async_nats::connect(world.nats[0].url()).await.unwrap());
    let log = context.get_stream("emac-counted").await.unwrap();
    let begun = Instant::now();
    loop {
        let state = log.get_info().await.unwrap().state;
        // The last entry of every partition stays, so the first one says nothing.
        if state.last_sequence > state.messages + 100 {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "the log is never cut off");
        load.more(50).await;
    }
    world.join("late");
    world.settled(2).await;
    world.replicas[0].kill();
    world.replicas[0].restart();
    world.open();
    world.settled(2).await;
    load.more(100).await;
    finish(&world, load, Vec::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_long_form() {
    if std::env::var_os(LONG).is_none() {
        return println!("left out: the long form of this test (make e2e-replicas)");
    }
    if program().is_none() {
        return not_run("the_long_form");
    }
    let mut world = World::start(Nats::cluster, 3).await;
    let load = Load::start(60, PERIOD, &world.doors.subscribe());
    let subscribers = subscribers(&world);
    load.more(1_000).await;

    kill_the_planner(&mut world, &subscribers[0], 410).await;
    world.join("emac-3");
    world.settled(3).await;
    load.more(500).await;

    for place in 0..3 {
        let killed = Instant::now();
        world.nats[place].kill();
        load.more(500).await;
        println!("500 reports {:?} after nats-server {place} was killed", killed.elapsed());
        world.nats[place].start();
        world.settled(3).await;
        println!("all is well {:?} after nats-server {place} was killed", killed.elapsed());
    }

    // Frozen for longer than it takes to be declared dead: planner and holder wake up and must not act.
    let frozen = world.planner().await;
    world.replicas[frozen].signal("STOP");
    let mut doors = world.doors.borrow().clone();
    doors.remove(frozen);
    world.doors.send_replace(doors);
    load.more(2_000).await;
    world.replicas[frozen].signal("CONT");
    world.open();
    world.settled(3).await;
    load.more(500).await;

    for place in 0..3 {
        let begun = Instant::now();
        world.replicas[place].terminate();
        world.replicas[place].restart();
        world.open();
        world.settled(3).await;
        println!("replica {place} was replaced within {:?}", begun.elapsed());
    }
    load.more(500).await;
    finish(&world, load, subscribers).await;
}
