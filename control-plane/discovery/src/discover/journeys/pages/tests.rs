//! Requests of many pages behind one operation, and requests of one page that only look like it.

use std::collections::BTreeSet;

use emac_compile::model::EvidenceSource;
use emac_document::{Limits, Problems, Source, parse};
use emac_journey::intent::{self, Intent};
use emac_trace::{Call, CallKind, CallOutcome, Symbol, Symbols, Trace, TraceId};

use crate::discover::observe::Observations;
use crate::discover::{Discovered, DiscoveryContext, discover};

/// What one kind of request calls, one call after the other, and how many there are.
type Page<'a> = (&'a [&'a str], u64);

const SHOP: [Page<'static>; 5] = [
    (&["one", "list", "get", "conv", "hints", "ads"], 192),
    (&["list", "all", "get", "conv", "ads"], 159),
    (&["list", "get", "hints", "quote", "conv"], 77),
    (&["one", "add"], 45),
    (&["pay", "hints", "list"], 27),
];

/// Requests of some pages behind one operation, which is itself called through `before`.
struct World {
    symbols: Symbols,
    observations: Observations,
    made: u64,
}

impl World {
    fn new() -> Self {
        Self { symbols: Symbols::default(), observations: Observations::default(), made: 0 }
    }

    fn of(pages: &[Page<'_>]) -> Self {
        let mut world = Self::new();
        pages
            .iter()
            .for_each(|(calls, requests)| (0..*requests).for_each(|_| world.request(&["gate"], calls)));
        world
    }

    /// A request through some services that each call the next, the last of which makes the calls.
    fn request(&mut self, through: &[&str], calls: &[&str]) {
        self.made += 1;
        let mut trace = Trace {
            id: TraceId(u128::from(self.made) * 0x9e37_79b9_7f4a_7c15),
            calls: Vec::new(),
            journey: Symbol::NONE,
            complete: true,
            headless: false,
        };
        let end = 1_000_000 * (calls.len() as i64 + 1);
        for (depth, service) in (0_u32..).zip(through) {
            trace.calls.push(self.call(depth.checked_sub(1), service, "Recv", (0, end)));
        }
        for (at, name) in (0_i64..).zip(calls) {
            let times = (1_000_000 * at + 100_000, 1_000_000 * at + 900_000);
            trace.calls.push(self.call(Some(through.len() as u32 - 1), name, name, times));
        }
        self.observations.observe(&trace);
    }

    fn call(&mut self, parent: Option<u32>, service: &str, operation: &str, times: (i64, i64)) -> Call {
        let operation = self.symbols.of(operation);
        Call {
            parent,
            service: self.symbols.of(service),
            operation,
            via: operation,
            kind: CallKind::Request,
            start_ns: times.0,
            end_ns: times.1,
            done_ns: times.1,
            outcome: CallOutcome::Good,
            served: CallOutcome::Good,
            nameless: false,
            attempts: 1,
            mesh_retries: 0,
            cut: false,
        }
    }

    fn found(&self, intents: &[&Intent]) -> Vec<Discovered> {
        let given = DiscoveryContext { intents, source: EvidenceSource::Traces, evidence: &[] };
        discover(&self.observations, &self.symbols, &given)
    }

    fn structures(&self) -> Vec<String> {
        self.found(&[]).iter().map(|one| one.structure().unwrap().to_string()).collect()
    }
}

fn series(pages: &[Page<'_>]) -> Vec<String> {
    pages.iter().map(|(calls, _)| format!("Series(gate, {})", calls.join(", "))).collect()
}

#[test]
fn pages_behind_one_operation_are_journeys() {
    let found = World::of(&SHOP).found(&[]);
    let names: Vec<_> = found.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["gate-ads-hints", "gate-all", "gate-quote", "gate-add", "gate-pay"]);
    let structures: Vec<_> = found.iter().map(|one| one.structure().unwrap().to_string()).collect();
    assert_eq!(structures, series(&SHOP));
}

#[test]
fn what_stands_before_the_pages_does_not_matter() {
    let mut world = World::new();
    for (calls, requests) in SHOP {
        (0..requests).for_each(|_| world.request(&["balancer", "gate"], calls));
    }
    let expected: Vec<_> = series(&SHOP).iter().map(|one| one.replace("gate", "balancer, gate")).collect();
    assert_eq!(world.structures(), expected);
}

#[test]
fn parallel_calls_of_a_page_do_not_hide_that_it_is_one() {
    let mut world =
        World::of(&[(&["catalog", "reviews", "stock"], 110), (&["cart", "catalog", "coupons"], 60)]);
    for request in 0..90 {
        // Stock and tax at the same time, either first.
        let calls =
            if request % 2 == 0 { ["cart", "stock", "tax", "pay"] } else { ["cart", "tax", "stock", "pay"] };
        world.request(&["gate"], &calls);
    }
    let structures = world.structures();
    assert_eq!(structures.len(), 3, "{structures:?}");
    assert!(
        structures.iter().any(|one| one == "Series(gate, cart, Parallel(stock, tax), pay)"),
        "{structures:?}"
    );
}

#[test]
fn pages_that_leave_a_step_out_now_and_then_stay_together() {
    let pages: [Page<'_>; 5] = [
        (&["a", "b", "c", "d", "e"], 100),
        (&["a", "b", "c", "e"], 40),
        (&["e", "f", "b", "g"], 80),
        (&["f", "b", "g"], 30),
        (&["a", "b", "c", "d", "e", "rare"], 2),
    ];
    let traces: Vec<_> = World::of(&pages).found(&[]).iter().map(|one| one.traces).collect();
    assert_eq!(traces, [142, 110]);
}

#[test]
fn choices_made_each_for_itself_are_one_journey() {
    let mut world = World::new();
    for request in 0..400_u64 {
        let chosen = |bit: u64, name: &'static str| (request >> bit & 1 == 1).then_some(name);
        let calls = [chosen(0, "x"), Some("m"), chosen(1, "y"), Some("n"), chosen(2, "z")];
        world.request(&["gate"], &calls.into_iter().flatten().collect::<Vec<_>>());
    }
    assert_eq!(world.found(&[]).len(), 1);
}

#[test]
fn a_step_that_is_filled_in_later_is_one_journey() {
    // A cache that was missed: the database is asked, and the cache is written at the end.
    let pages: [Page<'_>; 2] = [(&["cache", "work"], 150), (&["cache", "base", "work", "fill"], 50)];
    assert_eq!(World::of(&pages).found(&[]).len(), 1);
}

#[test]
fn one_choice_is_one_journey() {
    let pages: [Page<'_>; 3] = [
        (&["login", "card", "mail"], 90),
        (&["login", "bank", "mail"], 70),
        (&["login", "coupon", "mail"], 40),
    ];
    assert_eq!(World::of(&pages).found(&[]).len(), 1);
}

#[test]
fn few_requests_prove_nothing() {
    let pages: [Page<'_>; 2] = [(&["a", "b", "c", "d"], 4), (&["d", "c", "e", "f"], 4)];
    assert_eq!(World::of(&pages).found(&[]).len(), 1);
}

#[test]
fn a_dispatcher_within_a_journey_is_a_choice_between_its_pages() {
    let mut world = World::new();
    for (calls, requests) in SHOP {
        for _ in 0..requests {
            world.request_with_login(calls);
        }
    }
    let [found] = &world.structures()[..] else { panic!("one journey") };
    assert!(!found.contains("Parallel"), "{found}");
    assert_eq!(found.matches("Series(").count(), 6, "{found}");
    assert_eq!(found.matches("Branch(").count(), 1, "{found}");
}

impl World {
    /// The entry calls `login`, and then the service with the pages.
    fn request_with_login(&mut self, calls: &[&str]) {
        self.made += 1;
        let end = 1_000_000 * (calls.len() as i64 + 3);
        let mut all = vec![
            self.call(None, "edge", "GET", (0, end)),
            self.call(Some(0), "login", "login", (100_000, 900_000)),
            self.call(Some(0), "gate", "Recv", (1_000_000, end - 100_000)),
        ];
        for (at, name) in (1_i64..).zip(calls) {
            let times = (1_000_000 * at + 100_000, 1_000_000 * at + 900_000);
            all.push(self.call(Some(2), name, name, times));
        }
        let id = TraceId(u128::from(self.made) * 0x9e37_79b9_7f4a_7c15);
        let trace = Trace { id, calls: all, journey: Symbol::NONE, complete: true, headless: false };
        self.observations.observe(&trace);
    }
}

const INTENT: &str = "
apiVersion: emac.dev/v1alpha1
kind: JourneyIntent
metadata: {name: NAME}
spec:
  objectives: {availability: {window: 30d, target: 0.9}}
  operator: {type: series, steps: [STEPS]}
  components: {COMPONENTS}
";

fn intent(name: &str, calls: &[&str]) -> Intent {
    let each =
        |write: &dyn Fn(&str) -> String| calls.iter().map(|call| write(call)).collect::<Vec<_>>().join(", ");
    let text = INTENT
        .replace("NAME", name)
        .replace("STEPS", &each(&|call| format!("{{ref: {call}}}")))
        .replace("COMPONENTS", &each(&|call| format!("{call}: {{availability: 0.99}}")));
    let problems = Problems::new();
    let documents = parse(&Source::new("intent.yaml", &text), &Limits::default(), &problems);
    intent::read(&documents[0], &problems).unwrap()
}

#[test]
fn an_intent_for_a_page_takes_the_page() {
    let pay = intent("pay", &["gate", "pay", "hints", "list"]);
    let found = World::of(&SHOP).found(&[&pay]);
    assert_eq!(found.len(), 5);
    let declared = found.iter().find(|one| one.declared.is_some()).unwrap();
    assert_eq!((declared.name.as_str(), declared.traces), ("pay", 27));
}

#[test]
fn an_intent_for_all_pages_keeps_them_together_as_a_choice() {
    let all = ["gate", "one", "list", "get", "conv", "hints", "ads", "all", "quote", "add", "pay"];
    let whole = intent("shop", &all);
    let found = World::of(&SHOP).found(&[&whole]);
    let [one] = &found[..] else { panic!("{:?}", found.iter().map(|one| &one.name).collect::<Vec<_>>()) };
    assert_eq!((one.name.as_str(), one.traces), ("shop", 500));
    let text = one.structure().unwrap().to_string();
    assert!(!text.contains("Parallel") && text.matches("Branch(").count() == 1, "{text}");
}

#[test]
fn each_page_finds_its_own_intent() {
    let intents: Vec<_> = (0_u32..)
        .zip(SHOP)
        .map(|(n, (calls, _))| intent(&format!("page-{n}"), &[&["gate"][..], calls].concat()))
        .collect();
    let found = World::of(&SHOP).found(&intents.iter().collect::<Vec<_>>());
    let names: Vec<_> = found.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["page-0", "page-1", "page-2", "page-3", "page-4"]);
    assert!(found.iter().all(|one| one.model.disagreements.is_empty()));
}

/// Pages of any calls in any order, of twelve services: what is found has no calls at the same time, because there were none.
#[test]
fn no_gateway_of_plain_pages_gets_a_parallel() {
    let services = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    let (mut pages_made, mut journeys) = (0, 0);
    for start in 0..30_u64 {
        let mut seed = start;
        let mut draw = |from: u64, to: u64| {
            seed = emac_core::mix::mix(seed.wrapping_add(0x9e37_79b9_7f4a_7c15));
            from + seed % (to - from)
        };
        let mut pages: Vec<(Vec<&str>, u64)> = Vec::new();
        for _ in 0..draw(3, 8) {
            let mut left = services[..draw(6, 13) as usize].to_vec();
            let calls: Vec<_> =
                (0..draw(2, 7)).map(|_| left.swap_remove(draw(0, left.len() as u64) as usize)).collect();
            let set = |calls: &[&str]| calls.iter().map(|call| call.to_string()).collect::<BTreeSet<_>>();
            // What calls the same things in another order is told apart by nobody.
            if pages.iter().all(|(other, _)| set(other) != set(&calls)) {
                pages.push((calls, draw(20, 200)));
            }
        }
        let page = |(calls, requests): &(Vec<&'static str>, u64)| (calls.clone(), *requests);
        let pages: Vec<_> = pages.iter().map(page).collect();
        let as_pages: Vec<Page<'_>> = pages.iter().map(|(calls, requests)| (&calls[..], *requests)).collect();
        let structures = World::of(&as_pages).structures();
        assert!(structures.iter().all(|one| !one.contains("Parallel")), "{start}: {pages:?} {structures:?}");
        (pages_made, journeys) = (pages_made + pages.len(), journeys + structures.len());
    }
    // The others differ in one place, and are one with a choice.
    assert!(journeys * 10 >= pages_made * 8, "{journeys} of {pages_made}");
}
