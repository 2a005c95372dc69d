#!/bin/sh
# Builds the native shell that ships into dist/libemac_filter.so: `make native`, and the tests where it is older than its sources.
# What a panic says names source files: by their place in the repository, not on this machine.
set -eu
cd "$(dirname "$0")/../.."
cargo=${CARGO:-cargo}
target=${CARGO_TARGET_DIR:-target}
native=dist/libemac_filter.so

between=$(printf '\037') # as CARGO_ENCODED_RUSTFLAGS has it, so that folders may have spaces
flags=--remap-path-prefix=$PWD=.
for folder in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do
    flags=$flags$between--remap-path-prefix=$folder=crates
done
CARGO_ENCODED_RUSTFLAGS=$flags "$cargo" build --quiet -p emac-filter-native --profile native --target-dir "$target"

# Never half a file: an Envoy may be about to read it. A file that an Envoy has mapped is not written to but replaced.
mkdir -p dist
cp "$target/native/libemac_filter_native.so" "$native.tmp"
mv "$native.tmp" "$native"
