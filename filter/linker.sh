#!/bin/sh
# The filter's linker: rust's own, which is asked to export less. The SDK exports every callback that there is, and an Envoy calls each that
# is exported, also where nothing is done in it. What is taken away here is thrown away with all that it alone needs.
#
# proxy_on_done: what ends is told once more by proxy_on_delete, where `envoy.rs` ends a root context; the rest is nothing the filter does.
unwanted='
proxy_on_done
proxy_on_downstream_connection_close
proxy_on_downstream_data
proxy_on_foreign_function
proxy_on_grpc_receive_initial_metadata
proxy_on_grpc_receive_trailing_metadata
proxy_on_new_connection
proxy_on_queue_ready
proxy_on_upstream_connection_close
proxy_on_upstream_data
'
left=$#
while [ "$left" -gt 0 ]; do
    argument=$1
    shift
    left=$((left - 1))
    if [ "$argument" = --export ]; then
        case $unwanted in *"
$1
"*)
            shift
            left=$((left - 1))
            continue
            ;;
        esac
    fi
    set -- "$@" "$argument"
done
rustc=${RUSTC:-rustc}
host=$("$rustc" -vV | sed -n 's/^host: //p')
exec "$("$rustc" --print sysroot)/lib/rustlib/$host/bin/rust-lld" "$@"
