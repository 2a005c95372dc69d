#!/bin/sh
# Puts an API server, etcd and kubectl into .tools/kubernetes (git-ignored), once, built from published Go modules: what scenarios with a real Kubernetes API
# share (`make e2e-istio`, `make e2e-gates`). Cold it takes some three minutes on two cores. Where it cannot be done the scenarios say "not run: <why>".
set -u
cd "$(dirname "$0")/../.." || exit 1
from=$PWD/tests/setup/kubernetes
tools=$PWD/.tools/kubernetes
log=$tools/build.log

kubernetes=v1.36.3
staging=v0.36.3 # what kubernetes is made of
etcd=v3.6.8
pinned="kubernetes $kubernetes
etcd $etcd"

note() { printf 'kubernetes: %s\n' "$1" >&2; }
not_run() {
    note "not run: $1"
    printf '%s\n' "$1" >"$tools/not-run.txt"
    exit 0
}

mkdir -p "$tools/bin"
# One at a time: whoever comes second finds what the first has built.
if command -v flock >/dev/null 2>&1; then
    exec 9>"$tools/lock"
    flock 9
fi
rm -f "$tools/not-run.txt"
[ "$(cat "$tools/pinned.txt" 2>/dev/null)" = "$pinned" ] && exit 0
command -v go >/dev/null 2>&1 || not_run "no Go"

export CGO_ENABLED=0 GOFLAGS=-mod=mod
: >"$log"

# run WHAT COMMAND...: with its output in the log; tells how long it took.
run() {
    what=$1
    shift
    begun=$(date +%s)
    note "$what"
    "$@" >>"$log" 2>&1 || not_run "$what failed, see .tools/kubernetes/build.log"
    note "$what: $(($(date +%s) - begun)) s"
}
# Its own build system tells the server its version; Flagger refuses one that has none.
says="-X k8s.io/component-base/version.gitVersion=$kubernetes -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36"
build() { # NAME
    run "building $1" go build -trimpath -buildvcs=false -ldflags "-s -w $says" -o "$tools/bin/$1" "./$1"
}

# A module of our own, so that versions are resolved by what we name alone. The mains are a line each.
rm -rf "$tools/src"
mkdir -p "$tools/src"
cd "$tools/src" || not_run "cannot write $tools/src"
cp -r "$from/kube-apiserver" "$from/etcd" "$from/kubectl" . || not_run "tests/setup/kubernetes is incomplete"
printf 'module emac.dev/e2e/kubernetes\n\ngo 1.26.0\n' >go.mod
manifest=$(go mod download -json "k8s.io/kubernetes@$kubernetes" 2>>"$log" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p')
[ -f "$manifest" ] || not_run "fetching Kubernetes failed, see .tools/kubernetes/build.log"
# Its parts are required at v0.0.0 and lie in its own repository; published they bear versions of their own.
sed -n 's/^\t\(k8s\.io\/[a-z-]*\) v0\.0\.0\( .*\)*$/\1/p' "$manifest" | while read -r part; do
    go mod edit -replace "$part=$part@$staging"
done
go mod edit -require "k8s.io/kubernetes@$kubernetes" -require "k8s.io/kubectl@$staging" -require "go.etcd.io/etcd/server/v3@$etcd"
run "fetching Kubernetes and etcd" go mod tidy
build kube-apiserver
build etcd
build kubectl

printf '%s\n' "$pinned" >"$tools/pinned.txt"
