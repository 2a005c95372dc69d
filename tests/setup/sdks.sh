#!/bin/sh
# Puts the OpenTelemetry packages that tests/tests/sdks runs into .tools/sdks (git-ignored), once; about a minute. Versions are pinned beside
# each program. What is missing on this machine is no error: `why` in the language's folder says it, and the test says "not run".
set -u
cd "$(dirname "$0")/../.." || exit 1
root=$(pwd)
programs=$root/tests/tests/sdks
tools=$root/.tools/sdks

# Each is run in its own empty folder and leaves there what the test starts. $1 is the folder of the program.
build_python() {
    python3 -m pip install --quiet --retries 1 --timeout 30 --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
        --target packages -r "$1/requirements.txt"
}
build_node() {
    cp "$1/package.json" "$1/package-lock.json" . && npm ci --silent --no-audit --no-fund --fetch-retries 1 --ignore-scripts
}
build_java() {
    mvn --quiet --batch-mode --file "$1/pom.xml" \
        org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies "-DoutputDirectory=$PWD/jars" &&
        javac -nowarn -cp 'jars/*' -d classes "$1/RoundTrip.java"
}
build_go() {
    here=$PWD
    (cd "$1" && GOTOOLCHAIN=local GOFLAGS=-mod=readonly go build -trimpath -o "$here/roundtrip" .)
}
build_rust() {
    cargo build --quiet --locked --manifest-path "$1/Cargo.toml" --target-dir target &&
        cp target/debug/baggage-round-trip roundtrip && rm -rf target
}

# Programs that print spans are built as the others are.
build_python_spans() { build_python "$1"; }
build_node_spans() { build_node "$1"; }
build_go_spans() { build_go "$1"; }

# $1: language; $2: its files, in this order; the rest: commands it needs.
# `ready` holds the files it was built from, so that a change is built anew and the test knows what it runs.
fetch() {
    language=$1 files=$2
    shift 2
    want=$(cd "$programs/$language" && cat $files) || return
    [ "$want" = "$(cat "$tools/$language/ready" 2>/dev/null)" ] && return
    rm -rf "${tools:?}/$language" && mkdir -p "$tools/$language" && cd "$tools/$language" || return
    for needed in "$@"; do
        command -v "$needed" >/dev/null 2>&1 || { echo "no $needed on this machine" >why; return; }
    done
    printf 'tools: fetching the OpenTelemetry packages of %s\n' "$language" >&2
    if "build_$language" "$programs/$language" >log 2>&1; then
        printf '%s' "$want" >ready
    else
        echo "fetching or building failed, see .tools/sdks/$language/log" >why
    fi
}

mkdir -p "$tools"
fetch python "requirements.txt" python3 &
fetch node "package.json package-lock.json" node npm &
fetch java "pom.xml RoundTrip.java" java javac mvn &
fetch go "go.mod go.sum main.go" go &
fetch rust "Cargo.toml Cargo.lock src/main.rs" cargo &
fetch python_spans "requirements.txt" python3 &
fetch node_spans "package.json package-lock.json" node npm &
fetch go_spans "go.mod go.sum main.go" go &
wait
for language in python node java go rust python_spans node_spans go_spans; do
    [ -f "$tools/$language/ready" ] ||
        printf 'tools: incomplete\n  not run: what the OpenTelemetry SDK of %s writes: %s\n' "$language" "$(cat "$tools/$language/why" 2>/dev/null)" >&2
done
exit 0
