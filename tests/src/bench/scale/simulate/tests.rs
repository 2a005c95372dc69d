//! What must hold of a simulation whatever its costs are.

use super::costs::Costs;
use super::mesh::Mesh;
use super::queue::{Cores, Events, Nanos, Running};
use super::{Changes, SECOND, Setting, predict, seconds};

fn setting(sidecars: usize, cores: usize) -> Setting {
    Setting {
        sidecars,
        cores,
        report_every: 5 * SECOND,
        queue: 1_024,
        delay: 5_000_000,
        shared: false,
        seed: 11,
    }
}

#[test]
fn alone_a_report_takes_the_sum_of_its_parts() {
    let costs = Costs::MEASURED;
    let alone = setting(1, 2);
    let found = predict(&alone, &costs, Changes { single: 1, whole: 1 });
    let parts = costs.receive + alone.delay + costs.commit + costs.commit_report + costs.flush + costs.answer;
    assert_eq!(found.durable, Some([seconds(parts); 2]));
    let first = costs.start + costs.read + costs.plan + costs.publish + costs.put;
    // The mesh of one sidecar has one journey, whose other workloads are nobody's: ten are encoded, one is told.
    let first = first + 10 * costs.encode + costs.send;
    assert_eq!(found.first_plan, Some(seconds(first)));
    assert_eq!((found.refused, found.again), (0.0, 0.0));
}

/// A minute of a mesh, with what is asked of it each second.
fn watched(mut mesh: Mesh, mut each: impl FnMut(&Mesh)) -> Mesh {
    mesh.run(60 * SECOND, |mesh| mesh.told.0 > 0);
    mesh.connect();
    let begun = mesh.events.now();
    for second in 1..=60 {
        mesh.run(begun + second * SECOND, |_| false);
        each(&mesh);
    }
    mesh
}

#[test]
fn no_report_is_lost_or_counted_twice_however_full_it_is() {
    // Roomy; a queue that refuses; cores so slow that reports are sent again and streams are replaced.
    let slow = Costs { receive: 20_000_000, ..Costs::MEASURED };
    let stuck = Costs { flush: 4 * SECOND, ..Costs::MEASURED };
    let tight = Setting { queue: 3, ..setting(2_000, 2) };
    let mut seen = (0, 0);
    for (setting, costs) in [
        (setting(2_000, 2), Costs::MEASURED),
        (tight.clone(), stuck),
        (tight, slow.clone()),
        (setting(2_000, 2), slow),
    ] {
        let mesh = watched(Mesh::new(setting, &costs), |mesh| {
            let [produced, counted, in_flight, pending] = mesh.balance();
            assert_eq!(produced, counted + in_flight + pending);
        });
        let [produced, counted, ..] = mesh.balance();
        assert!(produced >= 11 * 2_000 && counted > 0, "{produced} {counted}");
        seen = (seen.0 + mesh.counted.refused, seen.1 + mesh.counted.again);
    }
    assert!(seen.0 > 0 && seen.1 > 0, "the hard ways were not gone: {seen:?}");
}

#[test]
fn a_seed_gives_the_same_figures_and_another_one_others() {
    let of = |seed| {
        let setting = Setting { seed, ..setting(3_000, 2) };
        predict(&setting, &Costs::MEASURED, Changes { single: 2, whole: 1 })
    };
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2));
}

/// Poisson arrivals at one core, each with the same work: the mean wait is that of Pollaczek and Khinchine, rho s / (2 (1 - rho)).
#[test]
fn a_core_with_random_arrivals_waits_as_queueing_theory_says() {
    enum Event {
        Arrives,
        Worked(Running<Nanos>),
    }
    let work: Nanos = 400_000;
    for load in [0.3, 0.6, 0.8] {
        let (mut events, mut cores) = (Events::default(), Cores::new(1, &[1]));
        let mut random = fastrand::Rng::with_seed(3);
        let mut pause = || (-(1.0 - random.f64()).ln() * work as f64 / load) as Nanos;
        let (mut waited, mut served) = (0.0, 0.0);
        events.after(pause(), Event::Arrives);
        while let Some(event) = events.next_before(600 * SECOND) {
            match event {
                Event::Arrives => {
                    cores.offer(0, work, events.now());
                    events.after(pause(), Event::Arrives);
                }
                Event::Worked(running) => {
                    if let Some(arrived) = cores.end(running) {
                        waited += (events.now() - arrived - work) as f64;
                        served += 1.0;
                    }
                }
            }
            while let Some(turn) = cores.take() {
                events.after(turn.length, Event::Worked(turn.running));
            }
        }
        let (mean, expected) = (waited / served, load * work as f64 / (2.0 * (1.0 - load)));
        assert!((mean / expected - 1.0).abs() < 0.03, "{load}: {mean} for {expected}");
        let used = cores.busy()[0] as f64 / (600 * SECOND) as f64;
        assert!((used / load - 1.0).abs() < 0.01, "{used} for {load}");
    }
}

#[test]
fn long_jobs_of_one_lane_do_not_keep_short_ones_of_another_waiting() {
    let mut cores = Cores::new(1, &[2, 1]);
    cores.offer(0, 10_000_000, "long");
    cores.offer(0, 10_000_000, "long");
    let turn = cores.take().unwrap();
    assert_eq!(turn.length, 1_000_000);
    cores.offer(1, 20_000, "short");
    assert!(cores.take().is_none(), "the core is taken");
    assert!(cores.end(turn.running).is_none(), "it is not done");
    let turn = cores.take().unwrap();
    assert_eq!((turn.length, cores.end(turn.running)), (20_000, Some("short")));
}

/// Two threads of one lane, each with much to do, and one of another: on two cores a third of the time is the other's, however short its jobs are.
#[test]
fn time_is_shared_by_threads_and_not_by_jobs() {
    let (mut events, mut cores) = (Events::default(), Cores::new(2, &[2, 1]));
    for _ in 0..100_000 {
        cores.offer(0, 900_000, ());
        cores.offer(1, 30_000, ());
    }
    loop {
        while let Some(turn) = cores.take() {
            events.after(turn.length, turn.running);
        }
        let Some(running) = events.next_before(SECOND) else { break };
        cores.end(running);
    }
    let [long, short] = [0, 1].map(|lane| seconds(cores.busy()[lane]));
    assert!((short - 2.0 / 3.0).abs() < 0.01 && (long - 4.0 / 3.0).abs() < 0.01, "{long} {short}");
}

/// A look at all journeys longer than any step's time, as in a large mesh: what changed is planned all the same, and what only has evidence too.
#[test]
fn a_long_look_keeps_nothing_from_being_planned() {
    let changes = Changes { single: 2, whole: 1 };
    // A hundred journeys on two cores: 200 ms, with a change of one and one of all.
    let slow = predict(&setting(1_000, 2), &Costs { look: 4_000_000, ..Costs::MEASURED }, changes);
    assert!(slow.look > 0.15, "{slow:?}");
    assert!(slow.single.is_some_and(|times| times[1] < 0.5), "{slow:?}");
    assert!(slow.whole.is_some_and(|time| time < 2.0), "{slow:?}");
}
