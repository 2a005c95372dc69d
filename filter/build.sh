#!/bin/sh
# Builds the filter that ships into dist/emac-filter.wasm: `make wasm`, and the tests where it is older than its sources.
# The bytes are the same wherever it is built: what a panic would say names source files, and without care those of dependencies by the
# folder of cargo's home, whose registries differ in name too. Flags of the environment (RUSTFLAGS) are left out for the same reason.
set -eu
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}
target=${CARGO_TARGET_DIR:-target}
wasm=dist/emac-filter.wasm

# Before the first fetch there is no folder to name.
"$cargo" fetch --quiet --locked --target wasm32-wasip1 2>/dev/null || true
between=$(printf '\037') # as CARGO_ENCODED_RUSTFLAGS has it, so that folders may have spaces
flags=--remap-path-prefix=$PWD=.
for folder in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do
    flags=$flags$between--remap-path-prefix=$folder=crates
done
CARGO_TARGET_WASM32_WASIP1_LINKER=$PWD/filter/linker.sh CARGO_ENCODED_RUSTFLAGS=$flags "$cargo" build --quiet -p emac-filter --target wasm32-wasip1 --profile filter --target-dir "$target"

# Never half a file: an Envoy may be about to read it.
mkdir -p dist
cp "$target/wasm32-wasip1/filter/emac_filter.wasm" "$wasm.tmp"
mv "$wasm.tmp" "$wasm"
