#!/bin/sh
# Puts the programs that judge what `emac compile` writes into .tools/gates (git-ignored), once: a program of some fifty lines over Argo Rollouts' published
# module, which takes the metrics of an AnalysisTemplate as the controller does, and Sloth. With `all` also what `make e2e-gates` needs beside: the controllers
# of Argo Rollouts and Flagger with their resource definitions. Cold the first takes about two minutes on two cores, all of it about six.
# Where it cannot be done the tests say "not run: <why>".
set -u
cd "$(dirname "$0")/../.." || exit 1
from=$PWD/tests/setup/gates
tools=$PWD/.tools/gates
log=$tools/build.log

rollouts=v1.9.2
flagger=v1.36.1
sloth=v0.16.0

note() { printf 'gates: %s\n' "$1" >&2; }
not_run() {
    note "not run: $1"
    printf '%s\n' "$1" >"$tools/not-run.txt"
    exit 0
}

mkdir -p "$tools/bin" "$tools/crds"
rm -f "$tools/not-run.txt"
pinned="argo-rollouts $rollouts $(cksum <"$from/argo-measure/main.go")
sloth $sloth $(cksum <"$from/promql-judge/main.go")"
[ "${1:-}" = all ] && pinned="$pinned
flagger $flagger"
case "$(cat "$tools/pinned.txt" 2>/dev/null)" in "$pinned"*) exit 0 ;; esac
command -v go >/dev/null 2>&1 || not_run "no Go"

export CGO_ENABLED=0 GOFLAGS=-mod=mod
: >"$log"

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

like argo github.com/argoproj/argo-rollouts "$rollouts"
cp "$from/argo-measure/main.go" . || not_run "tests/setup/gates is incomplete"
build argo-measure .
if [ "${1:-}" = all ]; then
    build rollouts-controller github.com/argoproj/argo-rollouts/cmd/rollouts-controller
    folder=$(go list -m -f '{{.Dir}}' github.com/argoproj/argo-rollouts)
    for kind in rollout analysis-run analysis-template cluster-analysis-template experiment; do
        install -m 644 "$folder/manifests/crds/$kind-crd.yaml" "$tools/crds/" || not_run "Argo Rollouts' module lacks $kind"
    done
fi
like sloth github.com/slok/sloth "$sloth"
build sloth github.com/slok/sloth/cmd/sloth
# Sloth's module has Prometheus's among its own.
mkdir -p promql-judge && cp "$from/promql-judge/main.go" promql-judge/ || not_run "tests/setup/gates is incomplete"
build promql-judge ./promql-judge
if [ "${1:-}" = all ]; then
    like flagger github.com/fluxcd/flagger "$flagger"
    build flagger github.com/fluxcd/flagger/cmd/flagger
    folder=$(go list -m -f '{{.Dir}}' github.com/fluxcd/flagger)
    install -m 644 "$folder/artifacts/flagger/crd.yaml" "$tools/crds/flagger.yaml" || not_run "Flagger's module lacks its definitions"
fi
printf '%s\n' "$pinned" >"$tools/pinned.txt"
