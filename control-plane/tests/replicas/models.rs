//! What the plan in force was made from: every replica shows it, whatever its own files say; the next planner knows it; what is no such value is told.

use std::path::Path;
use std::time::{Duration, Instant};

use async_nats::jetstream::kv::Store;
use emac_compile::accept::{Consent, Proposal, Selection};
use emac_compile::declared::Declared;
use emac_compile::model::{AcceptedModel, CandidateModel, EvidenceRef, EvidenceSource};
use emac_core::journey::{Journey, parse};
use emac_document::{Limits, Problems, read_all};
use emac_journey::slo::Slos;
use serde_json::{Value, json};
use tokio_stream::StreamExt as _;

use crate::nats::{Nats, not_run, program};
use crate::replica::{Replica, intent};
use crate::support::process::PATIENCE;
use crate::support::{api, get, scrape};
use crate::world::World;

const FIRST: &str = "Series(front, Parallel(Fallback(pricing, 0.5*cached-price), cart), Race(paya, payb))";
const SECOND: &str = "Series(front, Parallel(Fallback(pricing, 0.25*cached-price), cart), Race(paya, payb))";

/// A model as somebody accepted it, the first or after another one.
fn accepted(before: Option<&AcceptedModel>, structure: &str) -> AcceptedModel {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("intent.yaml"), intent(400)).unwrap();
    let problems = Problems::new();
    let documents = read_all(&[folder.path().to_owned()], &Limits::default(), &problems);
    let intent = Declared::of(&documents, &Slos::default(), &problems).remove(0).intent;
    let own = AcceptedModel::declared(&intent);
    let base = before.unwrap_or(&own);
    let mut model = base.model().clone();
    model.structure = Some(Journey::new(parse(structure).unwrap()).unwrap());
    let (name, digest) = ("traces.json".to_owned(), "0".repeat(64));
    model.evidence.push(EvidenceRef { name, source: EvidenceSource::Traces, digest });
    let candidate = CandidateModel::new(model, base.version().map(str::to_owned));
    let proposal = Proposal::new(base, &candidate, Some(&intent));
    let all = Selection::new(&proposal, &[], true).unwrap();
    proposal.accept(&all, Some(&intent), Consent { by: "ann", at: "2026-01-31T12:00:00Z" }).unwrap()
}

/// Another journey, at another path.
fn search() -> String {
    intent(300).replace("name: checkout", "name: search").replace("path: /checkout", "path: /search")
}

/// The bucket of a control plane.
async fn bucket(nats: &Nats, prefix: &str) -> Store {
    let context = async_nats::jetstream::new(async_nats::connect(nats.url()).await.unwrap());
    context.get_key_value(format!("{prefix}-state")).await.unwrap()
}

/// Its models, by key.
async fn kept(bucket: &Store) -> Vec<String> {
    let mut keys = bucket.keys().await.unwrap();
    let mut found = Vec::new();
    while let Some(key) = keys.next().await {
        found.extend(key.ok().filter(|key| key.starts_with("model.")));
    }
    found.sort();
    found
}

/// Asks until the answer is as it should be.
async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Result<T, String>) -> T {
    let begun = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(found) => assert!(begun.elapsed() < PATIENCE, "{what}: {found}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// An answer of the API, less what each replica says of its own files.
async fn shown(replica: &Replica, what: &str) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(members) => {
                let own = ["files", "source", "recent", "window", "last_report_age_ms"];
                members.retain(|name, _| !own.contains(&name.as_str()) && !name.ends_with("unix_ms"));
                members.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut answer = api(replica.http, what).await;
    strip(&mut answer);
    answer
}

/// Waits until every replica shows the same, and it has this model.
async fn alike(replicas: &[&Replica], version: &str) {
    for what in ["models", "models/checkout", "plan", "journeys", "enforcement"] {
        until(&format!("all show the same {what}"), async || {
            let mut answers = Vec::new();
            for replica in replicas {
                answers.push(shown(replica, what).await);
            }
            let same = answers.iter().all(|answer| *answer == answers[0]);
            let right = what != "models/checkout" || answers[0]["model"] == version;
            if same && right { Ok(()) } else { Err(format!("{answers:#?}")) }
        })
        .await;
    }
    let intent = shown(replicas[0], "models/checkout").await["intent"].clone();
    assert_eq!(intent["metadata"]["name"], "checkout");
}

async fn origin(replica: &Replica, journey: &str) -> (Value, Value) {
    let model = api(replica.http, &format!("models/{journey}")).await;
    (model["source"].clone(), model["files"].clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_show_what_the_plan_was_made_from_and_the_next_planner_knows_it() {
    if program().is_none() {
        return not_run("all_show_what_the_plan_was_made_from_and_the_next_planner_knows_it");
    }
    let mut world = World::start(|folder| vec![Nats::alone(folder, "")], 3).await;
    let (first, second) = {
        let first = accepted(None, FIRST);
        let second = accepted(Some(&first), SECOND);
        (first, second)
    };
    let bucket = bucket(&world.nats[0], "emac").await;
    // One replica has the model before, another mode, and lacks a journey; it is not the one that plans.
    let planner = world.planner().await;
    let stale = world.replicas.remove((planner + 1) % 3);
    stale.file("model.yaml", &first.to_text());
    stale.file("intent.yaml", &intent(400).replace("mode: enforce", "mode: observe"));
    for replica in &world.replicas {
        replica.file("model.yaml", &second.to_text());
        replica.file("search.yaml", &search());
        // Of a folder with several intents each model says whose it is.
        replica.file("checkout.model.yaml", &second.to_text());
    }
    let version = second.version().unwrap();
    let [one, other] = [&world.replicas[0], &world.replicas[1]];
    alike(&[one, other, &stale], version).await;

    let plan = api(stale.http, "plan").await["journeys"]["checkout"].clone();
    assert_eq!((&plan["source"], &plan["files"]), (&json!("nats"), &json!("older")), "{plan:#}");
    assert_eq!(origin(&stale, "search").await, (json!("nats"), json!("absent")));
    assert_eq!(origin(one, "checkout").await, (json!("files"), json!("equal")));
    let modes = api(stale.http, "journeys").await;
    assert_eq!(modes["edges"].as_array().unwrap().len(), 2, "{modes}");
    assert_eq!(stale.engine().await["models"]["differing"], json!({"checkout": "older", "search": "absent"}));
    assert_eq!(one.engine().await["models"]["differing"], json!({}));
    assert_eq!(scrape(stale.http).await["emac_engine_differing_journeys"], 2.0);
    assert_eq!(scrape(stale.http).await["emac_engine_models_missing"], 0.0);
    let (status, _, said) = get(stale.http, "/api/v1/models/nothing", "*/*").await;
    assert_eq!((status, said), (404, b"no journey `nothing` is planned or declared\n".to_vec()));

    // Removed by hand, with a marker and without one, it is written again.
    until("both are in NATS", async || {
        Some(kept(&bucket).await).filter(|it| it.len() >= 2).ok_or_else(String::new)
    })
    .await;
    let declaration = api(one.http, "models/checkout").await["declaration"].as_str().unwrap().to_owned();
    let key = format!("model.checkout.{declaration}");
    for marked in [true, false] {
        match marked {
            true => bucket.delete(&key).await.unwrap(),
            false => drop(bucket.stream.purge().filter(format!("$KV.emac-state.{key}")).await.unwrap()),
        }
        until("it is there again", async || {
            let found = kept(&bucket).await;
            if found.contains(&key) { Ok(()) } else { Err(format!("{found:?}")) }
        })
        .await;
        alike(&[one, other, &stale], version).await;
    }

    // The planner dies: the next one is that which has the same files.
    let planner = world.planner().await;
    world.replicas[planner].kill();
    let next = world.replicas.remove(1 - planner);
    until("the next one plans", async || {
        let engine = next.engine().await;
        if engine["planner"] == engine["replica"] { Ok(()) } else { Err(engine.to_string()) }
    })
    .await;
    alike(&[&next, &stale], version).await;
    assert_eq!(next.engine().await["models"]["missing"], json!([]));
    assert!(!next.log().contains("its files decide"), "its files are the same");

    // Now the stale one has to: its files decide, and it says so.
    drop(next);
    until("the stale one plans by its own files", async || {
        let model = api(stale.http, "models/checkout").await;
        let well = model["files"] == "equal" && model["model"] == first.version().unwrap();
        if well { Ok(()) } else { Err(model.to_string()) }
    })
    .await;
    let log = stale.log();
    let line = log.lines().find(|line| line.contains("its files decide")).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains("search") && line.contains("checkout"), "{line}");
    // What no plan names any more goes.
    until("only the model in force is left", async || {
        let found = kept(&bucket).await;
        let declaration = api(stale.http, "models/checkout").await["declaration"].clone();
        let right = vec![format!("model.checkout.{}", declaration.as_str().unwrap())];
        if found == right { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_model_of_this_control_plane_is_told_and_passed_over() {
    if program().is_none() {
        return not_run("what_is_no_model_of_this_control_plane_is_told_and_passed_over");
    }
    let world = World::start(|folder| vec![Nats::alone(folder, "")], 2).await;
    let folder: &Path = world.folder.path();
    // Another control plane beside it, with the same journey: the same name, another value.
    let _beside = Replica::start(folder, "beside", &[world.nats[0].url()], "cluster: other, prefix: other");
    let (ours, theirs) = (bucket(&world.nats[0], "emac").await, async {
        until("the other one has a bucket", async || {
            let context = async_nats::jetstream::new(async_nats::connect(world.nats[0].url()).await.unwrap());
            context.get_key_value("other-state").await.map_err(|error| error.to_string())
        })
        .await
    });
    let theirs = theirs.await;
    let [key] = until("one model", async || {
        <[String; 1]>::try_from(kept(&ours).await).map_err(|found| format!("{found:?}"))
    })
    .await;
    let value = until("the other's", async || {
        theirs.get(&key).await.ok().flatten().ok_or_else(|| format!("{key} is not there"))
    })
    .await;
    let digest = "0".repeat(64);
    let before = world.replicas[0].engine().await["models"].clone();
    assert_eq!(before["ignored"], 0);
    for (key, value) in [
        (format!("model.checkout.{digest}"), value.clone()),
        ("model.nothing.like-this".to_owned(), b"no model".to_vec().into()),
        (format!("model.search.{digest}"), vec![0x1f, 0x8b, 8, 0, 0, 0].into()),
        // In place of the one in force.
        (key.clone(), value),
    ] {
        ours.put(&key, value).await.unwrap();
    }
    let mine = ours.get(&key).await.unwrap().unwrap();
    for replica in &world.replicas {
        until("told", async || {
            let ignored = scrape(replica.http).await["emac_engine_models_ignored_total"];
            let log = replica.log();
            let well = ignored == 4.0 && log.contains("a model in NATS is passed over");
            if well { Ok(()) } else { Err(format!("{ignored} {log}")) }
        })
        .await;
        assert!(
            replica.log().contains("it is of the control plane `other`, this one is `test`"),
            "{}",
            replica.log()
        );
        assert_eq!(origin(replica, "checkout").await, (json!("files"), json!("equal")));
        assert_eq!(replica.engine().await["models"]["missing"], json!([]));
    }
    until("the one in force is as it was", async || {
        let found = ours.get(&key).await.unwrap();
        if found.is_some_and(|found| found != mine) { Ok(()) } else { Err("it is the other's".to_owned()) }
    })
    .await;
    until("the others are removed", async || {
        let found = kept(&ours).await;
        if found == [key.clone()] { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_too_long_for_nats_is_told_and_budgets_do_not_wait_for_it() {
    if program().is_none() {
        return not_run("a_model_too_long_for_nats_is_told_and_budgets_do_not_wait_for_it");
    }
    let small = |folder: &Path| {
        let mut nats = Nats::alone(folder, "");
        nats.kill();
        nats.edit(|text| text.replace("max_payload: 8MB", "max_payload: 16KB"));
        nats.start();
        vec![nats]
    };
    let world = World::start(small, 2).await;
    let mut rng = fastrand::Rng::with_seed(7);
    let noise: String = (0..60_000).map(|_| rng.alphanumeric()).collect();
    let long = intent(410)
        .replace("  name: checkout\n", &format!("  name: checkout\n  annotations: {{noise: {noise}}}\n"));
    let planner = world.planner().await;
    let (plans, other) = (&world.replicas[planner], &world.replicas[1 - planner]);
    plans.file("intent.yaml", &long);
    until("the plan is in force at both", async || {
        let plan = shown(other, "plan").await;
        if plan["journeys"]["checkout"]["deadline_ms"] == 410 { Ok(()) } else { Err(plan.to_string()) }
    })
    .await;
    for replica in [plans, other] {
        until("it is missing", async || {
            let missing = replica.engine().await["models"]["missing"].clone();
            if missing == json!(["checkout"]) { Ok(()) } else { Err(missing.to_string()) }
        })
        .await;
        assert_eq!(scrape(replica.http).await["emac_engine_models_missing"], 1.0);
    }
    let said = plans.engine().await["models"]["problem"].as_str().unwrap().to_owned();
    assert!(said.contains("bytes compressed") && said.contains("max_payload 16384"), "{said}");
    let told = plans.log().lines().filter(|line| line.contains("a model is not given")).count();
    assert_eq!(told, 1, "once: {}", plans.log());
    assert_eq!(origin(other, "checkout").await, (json!("unknown"), json!("other")));
    let model = api(other.http, "models/checkout").await;
    assert_eq!((&model["intent"], &model["accepted"]), (&Value::Null, &Value::Null));
    // What is short enough again is shown again.
    plans.file("intent.yaml", &intent(420));
    until("it is there", async || {
        let found = origin(other, "checkout").await;
        if found == (json!("nats"), json!("other")) { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
    assert_eq!(scrape(other.http).await["emac_engine_models_missing"], 0.0);
}
