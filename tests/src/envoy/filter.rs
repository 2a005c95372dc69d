//! What stands in front of the router: nothing, ours, or one of the yardsticks that benches compare ours with.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::shell::Shell;

/// Labels our filter's metrics carry. Envoy has no labels for wasm metrics: `name.key=.=value;.;` and a regular expression per
/// key take their place.
pub const LABELS: [&str; 7] =
    ["journey", "result", "source", "destination", "operation", "outcome", "decision"];

/// Type of a native filter's configuration.
pub const NATIVE_TYPE: &str =
    "type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter";

/// The HTTP filter of one listener.
#[derive(Debug, Clone, Default)]
pub enum HttpFilter {
    /// Bare Envoy.
    #[default]
    None,
    /// A module whose every callback returns at once: what wasm costs by itself. See [`noop_wasm`].
    NoopWasm(PathBuf),
    /// Two lines of Lua: read a request header, set another.
    Lua,
    /// Ours.
    Emac(EmacFilter),
}

/// Our module and its plugin configuration on one listener.
#[derive(Debug, Clone)]
pub struct EmacFilter {
    /// The module, of either shell.
    pub module: PathBuf,
    /// Given to it as JSON text.
    pub configuration: Value,
}

impl HttpFilter {
    /// The filter's entry in `http_filters`, if there is one.
    pub(super) fn to_json(&self) -> Option<Value> {
        match self {
            Self::None => None,
            Self::NoopWasm(module) => Some(wasm("noop", module, &json!({}))),
            Self::Lua => Some(lua()),
            Self::Emac(filter) => Some(emac_filter(&filter.module, &filter.configuration)),
        }
    }
}

/// Tags that turn the encoded names of our metrics into labels.
pub(super) fn stats_tags() -> Vec<Value> {
    LABELS
        .iter()
        .map(|label| json!({"tag_name": label, "regex": format!(r"({label}=\.=(.*?);\.;)")}))
        .collect()
}

/// Our filter's entry in `http_filters`, of whichever shell the module is.
pub fn emac_filter(module: &Path, configuration: &Value) -> Value {
    match Shell::of(module) {
        Shell::Wasm => wasm("emac", module, configuration),
        Shell::Native => native(module, configuration),
    }
}

/// `layered_runtime` of a bootstrap: names of dynamic modules' metrics are shown as they are, as those of wasm modules always are.
pub fn runtime() -> Value {
    let layer = json!({"envoy.reloadable_features.dynamic_modules_strip_custom_stat_prefix": true});
    json!({"layers": [{"name": "static", "static_layer": layer}]})
}

fn native(module: &Path, configuration: &Value) -> Value {
    json!({
        "name": "envoy.filters.http.dynamic_modules",
        "typed_config": {
            "@type": NATIVE_TYPE,
            "dynamic_module_config": {
                "module": {"local": {"filename": module.display().to_string()}},
                "do_not_close": true,
            },
            "filter_name": "emac",
            "filter_config": {
                "@type": "type.googleapis.com/google.protobuf.StringValue",
                "value": configuration.to_string(),
            },
        },
    })
}

fn wasm(name: &str, module: &Path, configuration: &Value) -> Value {
    json!({
        "name": format!("envoy.filters.http.wasm.{name}"),
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": name,
                "root_id": name,
                // After a trap a new VM, not 503 for ever.
                "failure_policy": "FAIL_RELOAD",
                "vm_config": {
                    "vm_id": name,
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"filename": module.display().to_string()}},
                },
                "configuration": {
                    "@type": "type.googleapis.com/google.protobuf.StringValue",
                    "value": configuration.to_string(),
                },
            },
        },
    })
}

fn lua() -> Value {
    let code = "function envoy_on_request(handle)\n  \
                local path = handle:headers():get(\":path\")\n  \
                handle:headers():replace(\"x-lua-path\", path)\nend\n";
    json!({
        "name": "envoy.filters.http.lua",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": {"inline_string": code},
        },
    })
}

/// A module with the callbacks of a real filter and nothing in them (proxy-wasm ABI 0.2.1), as WebAssembly bytes.
///
/// # Errors
/// Those of the text-to-binary translation; the text is a constant, so none are expected.
pub fn noop_wasm() -> Result<Vec<u8>, wat::Error> {
    wat::parse_str(NOOP)
}

/// Return values: 1 is "yes" for configure and done, 0 is "continue" for headers.
const NOOP: &str = r#"(module
  (memory (export "memory") 2)
  (global $free (mut i32) (i32.const 1024))
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $free))
    (global.set $free (i32.add (global.get $free) (local.get $size)))
    (local.get $at))
  (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (i32.const 1))
  (func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.const 1))
  (func (export "proxy_on_context_create") (param i32 i32))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 0))
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) (i32.const 0))
  (func (export "proxy_on_done") (param i32) (result i32) (i32.const 1))
  (func (export "proxy_on_log") (param i32))
  (func (export "proxy_on_delete") (param i32)))"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_yardstick_module_is_wasm() {
        assert!(noop_wasm().unwrap().starts_with(b"\0asm"));
    }

    #[test]
    fn every_label_has_its_tag() {
        let tags = stats_tags();
        assert_eq!(tags.len(), LABELS.len());
        assert_eq!(tags[0]["regex"], r"(journey=\.=(.*?);\.;)");
    }
}
