//! What a version has sent is read for ever: `wire/<version>` holds its bytes, and here stands what each of their fields means.
//!
//! A field that is added later stands in the older versions' literals with what its absence means. A new version, or a field that no fixture
//! has, wants a fixture of its own: write its literals and `EMAC_REGENERATE=1 cargo test -p emac-proto --test wire` adds its files. Files
//! that are there are never written again.

#[path = "wire/v0_1_0.rs"]
mod v0_1_0;
#[path = "wire/v0_2_0.rs"]
mod v0_2_0;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use emac_core::budget::WorkloadBudgets;
use emac_proto::convert::NodeReport;
use emac_proto::xds::DeltaDiscoveryResponse;
use emac_proto::{WORKLOAD_BUDGETS_TYPE_URL, v1};
use prost::Message;
use prost::encoding::{WireType, decode_key, decode_varint};
use prost_types::field_descriptor_proto::Type;
use prost_types::{DescriptorProto, FileDescriptorSet};

/// A version's literals.
struct Version {
    name: &'static str,
    report: v1::ReportRequest,
    budgets: v1::WorkloadBudgets,
    response: DeltaDiscoveryResponse,
}

/// Every version there was, the newest last.
fn versions() -> Vec<Version> {
    vec![
        Version {
            name: "0.1.0",
            report: v0_1_0::report(),
            budgets: v0_1_0::budgets(),
            response: v0_1_0::response(),
        },
        Version {
            name: "0.2.0",
            report: v0_2_0::report(),
            budgets: v0_2_0::budgets(),
            response: v0_2_0::response(),
        },
    ]
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn file(version: &Version, name: &str) -> PathBuf {
    root().join("tests/wire").join(version.name).join(name)
}

/// The committed bytes; those of a version that has none yet are written when asked for.
fn bytes(version: &Version, name: &str, literal: &impl Message) -> Vec<u8> {
    let file = file(version, name);
    if std::env::var_os("EMAC_REGENERATE").is_some() && !file.exists() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, literal.encode_to_vec()).unwrap();
    }
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[test]
fn evidence_of_every_version_means_what_it_meant() {
    for version in versions() {
        let bytes = bytes(&version, "report.bin", &version.report);
        let read = v1::ReportRequest::decode(&bytes[..]).unwrap();
        assert_eq!(read, version.report, "{}", version.name);
        let taken = NodeReport::try_from(read).unwrap();
        assert_eq!(NodeReport::to_wire(&taken.node, &taken.workload, &taken.report), version.report);
    }
}

#[test]
fn budgets_of_every_version_mean_what_they_meant() {
    for version in versions() {
        let bytes = bytes(&version, "budgets.bin", &version.response);
        let read = DeltaDiscoveryResponse::decode(&bytes[..]).unwrap();
        assert_eq!(read, version.response, "{}", version.name);
        let resource = read.resources[0].resource.clone().unwrap();
        assert_eq!(resource.type_url, WORKLOAD_BUDGETS_TYPE_URL);
        let budgets = v1::WorkloadBudgets::decode(&resource.value[..]).unwrap();
        assert_eq!(budgets, version.budgets, "{}", version.name);
        let taken = WorkloadBudgets::try_from(budgets).unwrap();
        assert_eq!(v1::WorkloadBudgets::from(&taken), version.budgets);
    }
}

/// Every field of every message that crosses the wire stands in some version's bytes: a new field is not forgotten.
#[test]
fn every_field_is_in_some_version() {
    let files = ["emac/v1/budgets.proto", "emac/v1/evidence.proto"];
    let descriptors = protox::compile(files, [root()]).unwrap();
    let mut seen = BTreeSet::new();
    for version in versions() {
        let report = std::fs::read(file(&version, "report.bin")).unwrap();
        let response = std::fs::read(file(&version, "budgets.bin")).unwrap();
        let response = DeltaDiscoveryResponse::decode(&response[..]).unwrap();
        let budgets = response.resources[0].resource.clone().unwrap().value;
        fields(&descriptors, ".emac.v1.ReportRequest", &report, &mut seen);
        fields(&descriptors, ".emac.v1.WorkloadBudgets", &budgets, &mut seen);
    }
    let messages = ["ReportRequest", "WorkloadBudgets"].map(|name| format!(".emac.v1.{name}"));
    let missing: Vec<_> = declared(&descriptors, &messages).difference(&seen).cloned().collect();
    assert!(missing.is_empty(), "in no fixture: {missing:?}");
}

fn message<'a>(descriptors: &'a FileDescriptorSet, name: &str) -> &'a DescriptorProto {
    let all = descriptors.file.iter().flat_map(|file| &file.message_type);
    let short = name.rsplit('.').next().unwrap();
    all.into_iter().find(|message| message.name() == short).unwrap_or_else(|| panic!("no message {name}"))
}

/// `Message.field` of these messages and all in them.
fn declared(descriptors: &FileDescriptorSet, names: &[String]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for name in names {
        let message = message(descriptors, name);
        for field in &message.field {
            found.insert(format!("{}.{}", message.name(), field.name()));
        }
        let inner: Vec<_> = message
            .field
            .iter()
            .filter(|f| f.r#type() == Type::Message)
            .map(|f| f.type_name().to_owned())
            .collect();
        found.extend(declared(descriptors, &inner));
    }
    found
}

/// `Message.field` of what stands in the bytes.
fn fields(descriptors: &FileDescriptorSet, name: &str, mut bytes: &[u8], seen: &mut BTreeSet<String>) {
    let message = message(descriptors, name);
    while !bytes.is_empty() {
        let (number, kind) = decode_key(&mut bytes).unwrap();
        let field = message.field.iter().find(|field| field.number() == number as i32).unwrap();
        seen.insert(format!("{}.{}", message.name(), field.name()));
        match kind {
            WireType::Varint => drop(decode_varint(&mut bytes).unwrap()),
            WireType::LengthDelimited => {
                let length = decode_varint(&mut bytes).unwrap() as usize;
                let (value, rest) = bytes.split_at(length);
                bytes = rest;
                if field.r#type() == Type::Message {
                    fields(descriptors, field.type_name(), value, seen);
                }
            }
            other => panic!("{}: {other:?} is not used", field.name()),
        }
    }
}
