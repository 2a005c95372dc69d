//! Configurations as people write them, and as they get them wrong.

use super::super::{
    Allowed, Api, Capacity, Changers, ConnectionLimits, Discovery, Engine, Identity, Nats, NatsTls,
    Overrides, Proof, Readers, TlsFiles,
};
use super::*;
use emac_core::id::{JourneyName, WorkloadName};
use emac_document::{Source, parse, render_text};

fn read_text(text: &str) -> Result<Config, String> {
    let problems = Problems::new();
    let source = Source::new("emac.yaml", text);
    let documents = parse(&source, &Limits::default(), &problems);
    let config =
        documents.first().and_then(|document| read(document.reader(&problems), Path::new("/etc/emac")));
    config.ok_or_else(|| render_text(&problems, false))
}

const HEAD: &str = "apiVersion: emac.dev/v1alpha1\nkind: ControlPlaneConfig\n";

#[test]
fn nothing_said_means_the_defaults() {
    assert_eq!(read_text(HEAD), Ok(Config::default()));
    assert!(Config::default().listen.grpc.is_local() && Config::default().listen.http.ip().is_loopback());
}

#[test]
fn every_field_is_read_and_paths_are_relative_to_the_file() {
    let text = format!(
        "{HEAD}listen: {{grpc: \"0.0.0.0:1\", http: \"[::1]:2\"}}
identity: {{trustDomains: [td], tls: {{certificate: c.pem, key: /k.pem, authorities: a.pem}}, tokenKeys: keys,
  accounts: {{shop/gateway: [shop/edge, \"web/*\"]}}}}
connections: {{open: 9, streams: 8, streamsPerConnection: 7, messagesMiB: 77, firstMessage: 6s, idle: 5s, keepalive: 4s, stalled: 3s}}
portsFile: ports.json
state: /var/lib/emac
intents: [journeys, \"more/*.yaml\"]
evidence: {{window: 3s, queue: 7, commitDelay: 20ms,
  capacity: {{hops: 50, hopsPerWorkload: 5, hopsMemoryMiB: 64, journeys: 9, journeysPerWorkload: 2, epochs: 99}}}}
plan: {{period: 250ms}}
engine: {{nats: {{url: [\"nats://a:1\", \"tls://b:2\"], cluster: prod, prefix: p, replicas: 3, replica: emac-0, user: u, passwordFile: pw, credentials: user.creds,
  tls: {{authorities: ca.pem, certificate: n.pem, key: n.key}}, streamBytes: 1048576}}}}
discovery: {{enabled: true, window: 1m, step: 10s, silence: 2s, minTraces: 7, recurrence: {{windows: 3, of: 4, absent: 5}}, queue: 9,
  mesh: [k8s], aliases: {{cart-svc: cart.shop}}, otlp: {{grpc: \"127.0.0.1:4317\"}}, candidates: found}}
api: {{change: proven, read: proven, tokenKeys: op.keys, operators: [ops/jane], hosts: [Emac.ops]}}
enforcement: {{stopped: [checkout], by: jane, why: INC-42}}
log: {{format: json, level: \"warn,emac_control_plane=debug\"}}
"
    );
    let expected = Config {
        listen: Listen { grpc: "0.0.0.0:1".parse().unwrap(), http: "[::1]:2".parse().unwrap() },
        identity: Some(Identity::Proven(Proof {
            trust_domains: vec!["td".to_owned()],
            tls: Some(TlsFiles {
                certificate: "/etc/emac/c.pem".into(),
                key: "/k.pem".into(),
                authorities: "/etc/emac/a.pem".into(),
            }),
            sidecar: false,
            token_keys: Some("/etc/emac/keys".into()),
            accounts: vec![(
                WorkloadName::new("shop/gateway").unwrap(),
                vec![
                    Allowed::One(WorkloadName::new("shop/edge").unwrap()),
                    Allowed::Namespace("web".to_owned()),
                ],
            )],
        })),
        connections: ConnectionLimits {
            open: 9,
            streams: 8,
            streams_per_connection: 7,
            messages_mib: 77,
            first_message: Millis(6_000),
            idle: Millis(5_000),
            keepalive: Millis(4_000),
            stalled: Millis(3_000),
        },
        ports_file: Some("/etc/emac/ports.json".into()),
        state: Some("/var/lib/emac".into()),
        intents: vec!["/etc/emac/journeys".into(), "/etc/emac/more/*.yaml".into()],
        evidence: EvidenceConfig {
            window: Millis(3_000),
            queue: 7,
            commit_delay: Millis(20),
            capacity: Capacity {
                hops: 50,
                hops_per_workload: 5,
                hops_memory_mib: 64,
                journeys: 9,
                journeys_per_workload: 2,
                epochs: 99,
            },
        },
        plan_period: Millis(250),
        engine: Engine::Nats(Box::new(Nats {
            url: vec!["nats://a:1".into(), "tls://b:2".into()],
            cluster: "prod".into(),
            prefix: "p".into(),
            replicas: 3,
            replica: Some("emac-0".into()),
            user: Some(("u".into(), "/etc/emac/pw".into())),
            credentials: Some("/etc/emac/user.creds".into()),
            tls: Some(NatsTls {
                authorities: "/etc/emac/ca.pem".into(),
                client: Some(("/etc/emac/n.pem".into(), "/etc/emac/n.key".into())),
            }),
            stream_bytes: 1 << 20,
        })),
        discovery: Discovery {
            enabled: true,
            window: Millis(60_000),
            step: Millis(10_000),
            silence: Millis(2_000),
            traces_min: 7,
            recurrence: emac_discovery::watch::Recurrence { windows: 3, of: 4, absent: 5 },
            queue: 9,
            mesh: vec!["/etc/emac/k8s".into()],
            aliases: vec![("cart-svc".to_owned(), "cart.shop".to_owned())],
            otlp: crate::config::Otlp { grpc: Some("127.0.0.1:4317".parse().unwrap()), http: None },
            candidates: Some("/etc/emac/found".into()),
        },
        api: Api {
            change: Some(Changers::Proven),
            read: Readers::Proven,
            metrics: Readers::Anyone,
            token_keys: Some("/etc/emac/op.keys".into()),
            operators: vec![WorkloadName::new("ops/jane").unwrap()],
            hosts: vec!["emac.ops".to_owned()],
        },
        enforcement: Some(Stopped {
            journeys: Some(vec![JourneyName::new("checkout").unwrap()]),
            by: Some("jane".to_owned()),
            why: Some("INC-42".to_owned()),
        }),
        file: None,
        log: Log { format: LogFormat::Json, level: "warn,emac_control_plane=debug".into() },
    };
    assert_eq!(read_text(&text), Ok(expected));
}

#[test]
fn windows_overlap_by_no_more_than_a_dozen() {
    let step = |text: &str| {
        let read = read_text(&format!("{HEAD}discovery: {text}\n"));
        read.map(|config| (config.discovery.window.0, config.discovery.step.0))
    };
    assert_eq!(step("{window: 1m}"), Ok((60_000, 60_000)));
    assert_eq!(step("{window: 1m, step: 5s}"), Ok((60_000, 5_000)));
    assert_eq!(step("{window: 50s, step: 20s}"), Ok((50_000, 20_000)));
    for text in ["{window: 1m, step: 4s}", "{window: 1m, step: 61s}"] {
        let problem = step(text).unwrap_err();
        assert!(problem.contains("a twelfth of window") && problem.contains("5000 ms"), "{problem}");
    }
}

#[test]
fn all_problems_are_told_at_once_with_their_place() {
    let text = "apiVersion: emac.dev/v1
listen: {grpc: localhost:18000, htp: \"127.0.0.1:0\"}
intents: [\"a[\"]
evidence: {queue: 0, window: 5}
plan: {period: 1ms}
discovery: {window: 1ms, recurrence: {windows: 3, of: 2}, mesh: k8s, aliases: {a: a}}
log: {format: xml, level: inof}
";
    insta::assert_snapshot!(read_text(text).unwrap_err());
}

#[test]
fn a_socket_is_relative_to_the_file_as_every_path() {
    let grpc =
        |text: &str| read_text(&format!("{HEAD}listen: {{grpc: \"{text}\"}}\n")).map(|it| it.listen.grpc);
    assert_eq!(grpc("unix:emac.sock"), Ok(Address::Unix("/etc/emac/emac.sock".into())));
    assert_eq!(grpc("unix:/run/emac.sock"), Ok(Address::Unix("/run/emac.sock".into())));
    for text in ["unix:", "localhost:1", "emac.sock"] {
        let problem = grpc(text).unwrap_err();
        assert!(problem.contains("or unix:PATH"), "{problem}");
    }
}

#[test]
fn flags_win_over_the_file() {
    let mut config = read_text(&format!("{HEAD}state: a\nintents: [b]\n")).unwrap();
    let overrides = Overrides {
        http: Some("127.0.0.1:0".parse().unwrap()),
        state: Some("c".into()),
        intents: vec!["d".into()],
        ..Overrides::default()
    };
    overrides.apply(&mut config);
    assert_eq!((config.state, config.intents), (Some("c".into()), vec!["d".to_string()]));
    assert_eq!(config.listen.http.port(), 0);
    assert_eq!(config.listen.grpc.to_string(), "127.0.0.1:18000", "what no flag says stays");
}

#[test]
fn an_identity_that_proves_nothing_or_not_what_is_meant_is_refused() {
    let read =
        |identity: &str| read_text(&format!("{HEAD}identity: {identity}\n")).map(|config| config.identity);
    assert_eq!(read("none"), Ok(Some(Identity::Nobody)));
    for (identity, says) in [
        ("{}", "no way to prove an identity"),
        ("nobody", "none"),
        ("{sidecar: false}", "no way to prove an identity"),
        ("{sidecar: true, tls: {certificate: a, key: b, authorities: c}}", "one of them ends TLS"),
        ("{tls: {certificate: a}}", "key"),
        ("{sidecar: true, trustDomains: [\"spiffe://cluster.local\"]}", "without `spiffe://`"),
        ("{sidecar: true, accounts: {gateway: [shop/edge]}}", "<namespace>/<account>"),
        ("{sidecar: true, accounts: {shop/gateway: [\"*\"]}}", "<namespace>/*"),
    ] {
        let problem = read(identity).unwrap_err();
        assert!(problem.contains(says), "{identity}: {problem}");
    }
}

#[test]
fn a_line_stops_everything_or_some_whatever_is_wrong_elsewhere() {
    let of = |text: &str| {
        let problems = Problems::new();
        let read = enforcement_of(&Source::new("emac.yaml", text), &problems);
        read.ok_or_else(|| render_text(&problems, false))
    };
    let all = || Some(Stopped::default());
    assert_eq!(of(HEAD), Ok(None));
    assert_eq!(of(&format!("{HEAD}enforcement: running\n")), Ok(None));
    assert_eq!(of(&format!("{HEAD}enforcement: stopped\n")), Ok(all()));
    assert_eq!(of(&format!("{HEAD}enforcement: {{stopped: all}}\n")), Ok(all()));
    assert_eq!(of("listen: {grpc: nonsense}\nwhat: is this\nenforcement: stopped\n"), Ok(all()));
    for (text, says) in [
        ("enforcement: stoped\n", "stopped"),
        ("enforcement: {stopped: []}\n", "no journey is named"),
        ("enforcement: {why: x}\n", "`stopped` is missing"),
        ("enforcement: {stopped: [Checkout]}\n", "not allowed in a name"),
        ("enforcement: {stopped: all, why: \"\\e[2J\"}\n", "controls a terminal"),
        ("enforcement: {stopped: all\n", "emac.yaml"),
    ] {
        let problem = of(text).unwrap_err();
        assert!(problem.contains(says), "{text}: {problem}");
    }
}

#[test]
fn a_field_that_is_there_twice_is_no_configuration() {
    let problems = Problems::new();
    let text = format!("{HEAD}enforcement: running\nenforcement: stopped\n");
    assert_eq!(of_text(&Source::new("emac.yaml", text), Path::new(""), &problems), None);
    let told = render_text(&problems, false);
    assert!(told.contains("enforcement") && told.contains("twice"), "{told}");
}
