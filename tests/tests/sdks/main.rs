//! The journey context travels through what applications hand baggage on with: the published OpenTelemetry packages, run here where their
//! language is, and what they wrote once, recorded, everywhere. README.md says what each of them does.

mod cases;
mod packages;
mod recorded;
mod spans;
mod standby;

use emac_core::context::baggage;
use emac_core::context::{Deadline, Flags};
use emac_tests::not_run;

use cases::Case;
use packages::{PACKAGES, PRINTERS};
use recorded::Line;

/// A header this long is worth recording; longer ones are made by [`cases`] and not reviewed by eye.
const RECORDED_BYTES_MAX: usize = 300;

/// What our reader takes from a header.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ours {
    journey: String,
    deadline: Deadline,
    flags: Flags,
    id: u64,
}

impl Ours {
    fn of(header: &str) -> Option<Self> {
        let mut room = Vec::new();
        let found = baggage::find(header.as_bytes(), &mut room)
            .unwrap_or_else(|why| panic!("{why}: {:.400}", header));
        found.map(|c| Self { journey: c.journey.to_owned(), deadline: c.deadline, flags: c.flags, id: c.id })
    }
}

/// Members of others. Sorted: Go and Rust write them in any order, Java in that of their keys.
fn others(header: &str) -> Vec<String> {
    let header = baggage::replace(header.as_bytes(), None).header;
    let mut members: Vec<String> = String::from_utf8(header)
        .unwrap()
        .split(',')
        .map(|member| member.trim().to_owned())
        .filter(|member| !member.is_empty())
        .collect();
    members.sort_unstable();
    members
}

/// `given` went in with our member and `out` came out; `alone` came out of the same without our member.
fn judge(package: &str, keeps_properties: bool, given: &str, out: &str, alone: &str) {
    let what = format!("{package}\n  in    {given:.300}\n  out   {out:.300}\n  alone {alone:.300}\n");
    let mut expected = Ours::of(given).unwrap_or_else(|| panic!("no context goes in\n{what}"));
    // The old form kept its id in a property of the member; without it the request is still of its journey.
    let is_old = given.split(',').any(|member| member.starts_with("emac=v1:"));
    if is_old && !keeps_properties {
        expected.id = 0;
    }
    assert_eq!(Ours::of(out), Some(expected), "ours\n{what}");
    assert_eq!(others(out), others(alone), "those of others\n{what}");
}

#[test]
fn published_packages_hand_the_context_on() {
    let cases = cases::all();
    let lines: Vec<String> =
        cases.iter().flat_map(|case| [case.with.clone(), case.without.clone()]).collect();
    let mut fresh = Vec::new();
    for package in &PACKAGES {
        let out = match package.hand_on(&lines) {
            Ok(out) => out,
            Err(why) => {
                not_run(&format!("sdks::published_packages_hand_the_context_on ({})", package.name), &why.0);
                continue;
            }
        };
        for (case, out) in cases.iter().zip(out.chunks(2)) {
            let Case { name, with, without } = case;
            let [out, alone] = out else { panic!("an odd number of lines") };
            judge(&format!("{} ({name})", package.name), true, with, out, alone);
            for (given, out) in [(with, out), (without, alone)] {
                if !given.is_empty() && given.len() <= RECORDED_BYTES_MAX && out.len() <= RECORDED_BYTES_MAX {
                    fresh.push(Line::new(package.name, given, out));
                }
            }
        }
    }
    recorded::are(fresh);
}

#[test]
fn what_was_recorded_hands_the_context_on() {
    let lines = recorded::lines();
    let mut judged = 0;
    for line in lines.iter().filter(|line| Ours::of(&line.given).is_some()) {
        let alone = String::from_utf8(baggage::replace(line.given.as_bytes(), None).header).unwrap();
        let same = |other: &&Line| other.package == line.package && other.given == alone;
        let alone = lines.iter().find(same).map_or("", |line| line.out.as_str());
        judge(&line.package, !recorded::drops_properties(&line.package), &line.given, &line.out, alone);
        judged += 1;
    }
    assert!(judged > 0, "nothing is recorded");
}

/// One place says which version is fetched, another under which name its results are recorded.
#[test]
fn names_say_the_versions_that_are_fetched() {
    for package in PACKAGES.iter().chain(&PRINTERS) {
        let (_, version) = package.name.rsplit_once(' ').expect("name and version");
        assert!(package.source().contains(version), "{} is not what is fetched", package.name);
    }
}
