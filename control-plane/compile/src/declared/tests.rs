use emac_core::journey::{Journey, parse};

use super::*;
use crate::accept::{Consent, Proposal, Selection};
use crate::model::{CandidateModel, EvidenceRef, EvidenceSource};
use emac_document::{read_all, render_text};

const INTENT: &str = include_str!("../../../examples/checkout/intent.yaml");
const RACE: &str = "Series(front, Parallel(Fallback(pricing, 0.5*cached-price), cart), Race(paya, payb))";

/// The checkout whose providers race, as somebody agreed to it.
fn raced(intent: &Intent) -> AcceptedModel {
    let declared = AcceptedModel::declared(intent);
    let mut model = declared.model().clone();
    model.structure = Some(Journey::new(parse(RACE).unwrap()).unwrap());
    let (name, digest) = ("traces.json".to_owned(), "0".repeat(64));
    model.evidence.push(EvidenceRef { name, source: EvidenceSource::Traces, digest });
    let candidate = CandidateModel::new(model, None);
    let proposal = Proposal::new(&declared, &candidate, Some(intent));
    let all = Selection::new(&proposal, &[], true).unwrap();
    let consent = Consent { by: "ann", at: "2026-01-31T12:00:00Z" };
    proposal.accept(&all, Some(intent), consent).unwrap()
}

fn load(folder: &Path) -> Result<Vec<Declared>, String> {
    let problems = Problems::new();
    let documents = read_all(&[folder.to_owned()], &Limits::default(), &problems);
    let declared = Declared::of(&documents, &Slos::default(), &problems);
    if problems.errors() == 0 { Ok(declared) } else { Err(render_text(&problems, false)) }
}

/// What is told of a folder that can be used.
fn warnings(folder: &Path) -> String {
    let problems = Problems::new();
    let documents = read_all(&[folder.to_owned()], &Limits::default(), &problems);
    Declared::of(&documents, &Slos::default(), &problems);
    assert_eq!(problems.errors(), 0);
    render_text(&problems, false)
}

#[test]
fn what_somebody_agreed_to_is_planned_and_what_somebody_edited_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("intent.yaml"), INTENT).unwrap();
    let alone = load(folder.path()).unwrap();
    assert_eq!(alone[0].structure_version(), alone[0].intent.digest);

    let accepted = raced(&alone[0].intent);
    std::fs::write(folder.path().join("model.yaml"), accepted.to_text()).unwrap();
    let both = load(folder.path()).unwrap();
    assert_eq!(both[0].structure().to_string(), RACE);
    assert_eq!(Some(both[0].structure_version()), accepted.version());

    let edited = accepted.to_text().replace("payment-network-b", "payment-network-a");
    std::fs::write(folder.path().join("model.yaml"), edited).unwrap();
    let problem = load(folder.path()).unwrap_err();
    assert!(problem.contains("seal") && problem.contains("model.yaml"), "{problem}");
}

#[test]
fn journeys_that_share_a_folder_have_files_of_their_own_whichever_of_them_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    std::fs::write(file("a.yaml"), INTENT).unwrap();
    let alone = load(folder.path()).unwrap();
    assert_eq!(alone[0].files.candidate, file("candidate.yaml"));
    let other = INTENT.replace("name: checkout", "name: other").replace("path: /checkout", "path: /other");
    std::fs::write(file("b.yaml"), other).unwrap();
    let of = |name: &str| (file(&format!("{name}.model.yaml")), file(&format!("{name}.candidate.yaml")));
    let both = load(folder.path()).unwrap();
    let names = |one: &Declared| (one.files.model.clone(), one.files.candidate.clone());
    assert_eq!(both.iter().map(names).collect::<Vec<_>>(), ["checkout", "other"].map(of));
    let one = load(&file("a.yaml")).unwrap();
    assert_eq!(names(&one[0]), of("checkout"));
    std::fs::write(file("model.yaml"), raced(&one[0].intent).to_text()).unwrap();
    assert!(warnings(&file("a.yaml")).contains("this file is not read"));
    // A mistake in the neighbour renames nothing.
    std::fs::write(file("b.yaml"), "kind: JourneyIntent\nmetadata: {name: other}\n").unwrap();
    assert_eq!(names(&load(&file("a.yaml")).unwrap()[0]), of("checkout"));
}

#[test]
fn what_does_not_act_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    std::fs::write(file("intent.yaml"), INTENT).unwrap();
    assert!(warnings(folder.path()).contains("0 warnings"));
    let intent = load(folder.path()).unwrap()[0].intent.clone();
    let accepted = raced(&intent);

    // It calls a component of which nobody says how it is reached.
    let smaller = INTENT.replace("    payb:\n", "    payc:\n").replace("ref: payb,", "ref: payc,");
    std::fs::write(file("intent.yaml"), &smaller).unwrap();
    std::fs::write(file("model.yaml"), accepted.to_text()).unwrap();
    assert!(warnings(folder.path()).contains("calls `payb`"));
    let declared = &load(folder.path()).unwrap()[0];
    assert_eq!(declared.structure(), &declared.intent.structure);
    assert_eq!((declared.acting().version(), declared.agreed().version()), (None, accepted.version()));

    let candidate = CandidateModel::new(accepted.model().clone(), None);
    std::fs::write(file("model.yaml"), candidate.to_text()).unwrap();
    assert!(warnings(folder.path()).contains("a candidate that nobody has accepted"));
}

#[test]
fn a_journey_comes_back_from_its_text_whatever_it_was_written_like() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("intent.yaml"), INTENT).unwrap();
    let alone = load(folder.path()).unwrap().remove(0);
    let accepted = raced(&alone.intent);
    std::fs::write(folder.path().join("model.yaml"), accepted.to_text()).unwrap();
    let mut raced = load(folder.path()).unwrap().remove(0);
    let promise = |share| emac_journey::slo::Promise {
        availability: emac_core::units::Ratio::new(share).ok(),
        ..Default::default()
    };
    raced.promises.insert(emac_core::journey::ComponentName::new("cart").unwrap(), promise(0.1 + 0.2));

    for declared in [&alone, &raced] {
        let problems = Problems::new();
        let declaration = declared.declaration().unwrap();
        let back = Declared::of_declaration(&declaration, "elsewhere", &problems)
            .unwrap_or_else(|| panic!("{}", render_text(&problems, false)));
        assert_eq!((&back.intent, back.agreed().version()), (&declared.intent, declared.agreed().version()));
        assert_eq!(back.structure_version(), declared.structure_version());
        assert_eq!(
            (back.declaration(), back.declaration_digest()),
            (Some(declaration), declared.declaration_digest())
        );
        let availabilities =
            |it: &Declared| -> Vec<_> { it.promises.values().filter_map(|it| it.availability).collect() };
        assert_eq!(availabilities(&back), availabilities(declared));
    }
    let digests = [&alone, &raced].map(Declared::declaration_digest);
    assert!(digests[0] != digests[1] && digests.iter().all(|digest| digest.len() == 64));

    // Comments and layout are nobody's business; a threshold is, also where the structure is the model's.
    let before = load(folder.path()).unwrap()[0].declaration_digest();
    std::fs::write(folder.path().join("intent.yaml"), format!("# mine\n{INTENT}")).unwrap();
    assert_eq!(load(folder.path()).unwrap()[0].declaration_digest(), before);
    std::fs::write(folder.path().join("intent.yaml"), INTENT.replace("400ms", "410ms")).unwrap();
    let slower = load(folder.path()).unwrap().remove(0);
    assert_eq!(slower.structure_version(), raced.structure_version());
    assert_ne!(slower.declaration_digest(), before);
}

#[test]
fn what_is_no_journey_is_told_and_what_came_before_is_known_by_lineage() {
    for text in [
        "",
        "{}",
        "no journey",
        "{\"intent\":{\"kind\":\"JourneyIntent\"}}",
        "{\"intent\":[1,2",
        "\u{0}\u{1}",
    ] {
        let problems = Problems::new();
        assert!(Declared::of_declaration(text, "elsewhere", &problems).is_none(), "{text}");
        assert!(render_text(&problems, false).contains("elsewhere"), "{text}");
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("intent.yaml"), INTENT).unwrap();
    let intent = load(folder.path()).unwrap().remove(0).intent;
    let first = raced(&intent);
    let second = {
        let mut model = first.model().clone();
        model.structure = Some(Journey::new(parse(&RACE.replace("0.5", "0.25")).unwrap()).unwrap());
        let candidate = CandidateModel::new(model, first.version().map(str::to_owned));
        let proposal = Proposal::new(&first, &candidate, Some(&intent));
        let all = Selection::new(&proposal, &[], true).unwrap();
        proposal.accept(&all, Some(&intent), Consent { by: "bob", at: "2026-02-01T12:00:00Z" }).unwrap()
    };
    let of = |accepted: Option<&AcceptedModel>| {
        let files = Files::beside(Path::new("intent.yaml"), &intent, &Problems::new());
        Declared::new(intent.clone(), accepted.cloned(), Promises::new(), files)
    };
    let [none, first, second] = [of(None), of(Some(&first)), of(Some(&second))];
    assert!(first.is_older_than(&second) && !second.is_older_than(&first));
    assert!(!none.is_older_than(&first) && !first.is_older_than(&none) && !first.is_older_than(&first));
}
