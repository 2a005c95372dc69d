#!/bin/sh
# Puts the real parts of `make e2e-istio` into .tools/istio (git-ignored), once: istiod and Istio's agent, built from published Go modules; their resource
# definitions and Envoy's bootstrap template come from the same modules. The API server is kubernetes.sh's, Envoy itself `make tools`'.
# Cold all of it takes some ten minutes on two cores and 8 GB of Go's caches. Where it cannot be done the scenario says "not run: <why>".
set -u
cd "$(dirname "$0")/../.." || exit 1
sh tests/setup/kubernetes.sh
tools=$PWD/.tools/istio
log=$tools/build.log

# What is built, and from what. A change of anything in here builds again.
istio=v0.0.0-20260827124520-eed52ebb66ad # between 1.31 and 1.32; Istio's tags have no `v`, so Go knows pseudo-versions only
pinned="istio $istio"

note() { printf 'istio: %s\n' "$1" >&2; }
not_run() {
    note "not run: $1"
    printf '%s\n' "$1" >"$tools/not-run.txt"
    exit 0
}

mkdir -p "$tools/bin" "$tools/crds"
rm -f "$tools/not-run.txt"
[ "$(cat "$tools/pinned.txt" 2>/dev/null)" = "$pinned" ] && exit 0
command -v go >/dev/null 2>&1 || not_run "no Go"

export CGO_ENABLED=0 GOFLAGS=-mod=mod
: >"$log"
started=$(date +%s)

# run WHAT COMMAND...: with its output in the log; tells how long it took.
run() {
    what=$1
    shift
    begun=$(date +%s)
    note "$what"
    "$@" >>"$log" 2>&1 || not_run "$what failed, see .tools/istio/build.log"
    note "$what: $(($(date +%s) - begun)) s"
}
build() { # NAME PACKAGE
    run "building $1" go build -trimpath -buildvcs=false -ldflags "-s -w" -o "$tools/bin/$1" "$2"
}

# A module of our own each, so that versions are resolved by what we name alone.
fresh() {
    rm -rf "$tools/src/$1"
    mkdir -p "$tools/src/$1"
    cd "$tools/src/$1" || not_run "cannot write $tools/src"
}

# --- Istio
fresh istio
printf 'module emac.dev/e2e/istio\n\ngo 1.26.0\n' >go.mod
run "fetching Istio" go get "istio.io/istio@$istio"
build pilot-discovery istio.io/istio/pilot/cmd/pilot-discovery
build pilot-agent istio.io/istio/pilot/cmd/pilot-agent
folder=$(go list -m -f '{{.Dir}}' istio.io/istio)
install -m 644 "$folder/manifests/charts/base/files/crd-all.gen.yaml" "$tools/crds/istio.yaml" &&
    install -m 644 "$folder/tools/packaging/common/envoy_bootstrap.json" "$tools/envoy_bootstrap.json" ||
    not_run "Istio's module lacks a file"
run "fetching the Gateway API's definitions" go mod download sigs.k8s.io/gateway-api
folder=$(go list -m -f '{{.Dir}}' sigs.k8s.io/gateway-api)
for kind in gatewayclasses gateways httproutes grpcroutes referencegrants; do
    install -m 644 "$folder/config/crd/standard/gateway.networking.k8s.io_$kind.yaml" "$tools/crds/" || not_run "the Gateway API's module lacks $kind"
done

printf '%s\n' "$pinned" >"$tools/pinned.txt"
note "built in $(($(date +%s) - started)) s"
