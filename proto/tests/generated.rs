//! The committed code is what the .proto files say. `EMAC_REGENERATE=1 cargo test -p emac-proto --test generated` rewrites it.

use std::path::Path;

const FILES: [&str; 3] =
    ["emac/v1/budgets.proto", "emac/v1/evidence.proto", "envoy/service/discovery/v3/discovery.proto"];

#[test]
fn generated_code_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = tempfile::tempdir().unwrap();
    let descriptors = protox::compile(FILES, [root]).unwrap();
    tonic_prost_build::configure()
        .build_client(true)
        .build_server(true)
        .client_mod_attribute(".", "#[cfg(feature = \"grpc\")]")
        .server_mod_attribute(".", "#[cfg(feature = \"grpc\")]")
        .btree_map(".")
        .codec_path("crate::codec::LeanCodec")
        .out_dir(out.path())
        .compile_fds(descriptors)
        .unwrap();
    let committed = root.join("src/generated");
    let regenerate = std::env::var_os("EMAC_REGENERATE").is_some();
    let mut names = Vec::new();
    for entry in std::fs::read_dir(out.path()).unwrap() {
        let name = entry.unwrap().file_name();
        let fresh = std::fs::read_to_string(out.path().join(&name)).unwrap();
        if regenerate {
            std::fs::write(committed.join(&name), &fresh).unwrap();
        }
        let kept = std::fs::read_to_string(committed.join(&name)).unwrap_or_default();
        assert!(kept == fresh, "{name:?} differs from what the .proto files generate: run `make proto`");
        names.push(name);
    }
    names.sort();
    let mut held: Vec<_> = std::fs::read_dir(&committed).unwrap().map(|e| e.unwrap().file_name()).collect();
    held.sort();
    assert_eq!(held, names, "files under src/generated that no .proto generates");
}
