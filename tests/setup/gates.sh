#!/bin/sh
# Puts the programs that judge what `emac compile` writes into .tools/gates (git-ignored), each once: a program of some fifty lines over Argo Rollouts'
# published module, which takes the metrics of an AnalysisTemplate as the controller does; Sloth; the controllers of Argo Rollouts and Flagger with their resource
# definitions, and those of the Prometheus operator. The API server is kubernetes.sh's. Cold all of it takes some ten minutes on two cores.
# Where it cannot be done the tests say "not run: <why>".
set -u
cd "$(dirname "$0")/../.." || exit 1
sh tests/setup/kubernetes.sh
from=$PWD/tests/setup/gates
tools=$PWD/.tools/gates
log=$tools/build.log

rollouts=v1.9.2
flagger=v1.36.1
sloth=v0.16.0
operator=v0.85.0

note() { printf 'gates: %s\n' "$1" >&2; }
not_run() {
    note "not run: $1"
    printf '%s\n' "$1" >"$tools/not-run.txt"
    exit 0
}

mkdir -p "$tools/bin" "$tools/crds" "$tools/pinned"
rm -f "$tools/not-run.txt"

export CGO_ENABLED=0 GOFLAGS=-mod=mod

# lacks PART VERSION: whether it is not there, or another version is. Ends all where it is not and cannot be built.
lacks() {
    part=$1 version=$2
    [ "$(cat "$tools/pinned/$part" 2>/dev/null)" = "$version" ] && return 1
    command -v go >/dev/null 2>&1 || not_run "no Go"
}
built() { printf '%s\n' "$version" >"$tools/pinned/$part"; }
# run WHAT COMMAND...: with its output in the log; tells how long it took.
run() {
    what=$1
    shift
    begun=$(date +%s)
    "$@" >>"$log" 2>&1 || not_run "$what failed, see .tools/gates/build.log"
    note "$what: $(($(date +%s) - begun)) s"
}
build() { # NAME PACKAGE
    run "building $1" go build -trimpath -buildvcs=false -ldflags "-s -w" -o "$tools/bin/$1" "$2"
}
# A module of our own whose go.mod begins as a copy of theirs: theirs has replace lines, which hold in the main module only.
like() { # NAME MODULE VERSION
    rm -rf "$tools/src/$1"
    mkdir -p "$tools/src/$1"
    cd "$tools/src/$1" || not_run "cannot write $tools/src"
    manifest=$(go mod download -json "$2@$3" 2>>"$log" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p')
    [ -f "$manifest" ] || not_run "fetching $2 failed, see .tools/gates/build.log"
    sed "s#^module .*#module emac.dev/gates/$1#" "$manifest" >go.mod
    go mod edit -require "$2@$3"
}
define() { # FILE NAME
    install -m 644 "$1" "$tools/crds/$2" || not_run "no definitions in $1"
}

if lacks argo "$rollouts $(cksum <"$from/argo-measure/main.go")"; then
    like argo github.com/argoproj/argo-rollouts "$rollouts"
    cp "$from/argo-measure/main.go" . || not_run "tests/setup/gates is incomplete"
    build argo-measure .
    build rollouts-controller github.com/argoproj/argo-rollouts/cmd/rollouts-controller
    folder=$(go list -m -f '{{.Dir}}' github.com/argoproj/argo-rollouts)
    for kind in rollout analysis-run analysis-template cluster-analysis-template experiment; do
        define "$folder/manifests/crds/$kind-crd.yaml" "$kind-crd.yaml"
    done
    built
fi
if lacks sloth "$sloth $(cksum <"$from/promql-judge/main.go")"; then
    like sloth github.com/slok/sloth "$sloth"
    build sloth github.com/slok/sloth/cmd/sloth
    # Sloth's module has Prometheus's among its own.
    mkdir -p promql-judge && cp "$from/promql-judge/main.go" promql-judge/ || not_run "tests/setup/gates is incomplete"
    build promql-judge ./promql-judge
    built
fi
if lacks flagger "$flagger"; then
    like flagger github.com/fluxcd/flagger "$flagger"
    build flagger github.com/fluxcd/flagger/cmd/flagger
    define "$(go list -m -f '{{.Dir}}' github.com/fluxcd/flagger)/artifacts/flagger/crd.yaml" flagger.yaml
    built
fi
if lacks operator "$operator"; then
    folder=$(go mod download -json "github.com/prometheus-operator/prometheus-operator@$operator" 2>>"$log" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
    for kind in prometheusrules servicemonitors podmonitors; do
        define "$folder/example/prometheus-operator-crd/monitoring.coreos.com_$kind.yaml" "operator-$kind.yaml"
    done
    built
fi
