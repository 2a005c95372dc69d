//! How the shared object is linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        // Envoy may close a module with the last configuration that names it (`do_not_close: false`); a thread of ours would go on in
        // memory that is gone.
        println!("cargo::rustc-link-arg-cdylib=-Wl,-z,nodelete");
    }
}
