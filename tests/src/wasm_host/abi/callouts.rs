//! Calls that leave the process: HTTP and gRPC.

use prost::Message;
use wasmi::{Error, Linker};

use super::{Answer, Failure, Host, answer, give, read, read_text, require, write_u32};
use crate::wasm_host::fault::{HostCall as Call, Status};
use crate::wasm_host::headers::Headers;
use crate::wasm_host::state::{GrpcHandle, VmState};
use crate::wasm_host::world::{Event, GrpcOp, HttpCall};

/// The part of `envoy.config.core.v3.GrpcService` that a filter fills in.
#[derive(Clone, PartialEq, Message)]
struct GrpcService {
    #[prost(message, optional, tag = "1")]
    envoy_grpc: Option<EnvoyGrpc>,
}

#[derive(Clone, PartialEq, Message)]
struct EnvoyGrpc {
    #[prost(string, tag = "1")]
    cluster_name: String,
    #[prost(string, tag = "2")]
    authority: String,
}

/// `UNAVAILABLE`, what a stream to a cluster that does not exist is closed with.
const UNAVAILABLE: u32 = 14;

pub(super) fn define(linker: &mut Linker<VmState>) -> Result<(), Error> {
    http(linker)?;
    grpc_open(linker)?;
    grpc_use(linker)
}

fn http(linker: &mut Linker<VmState>) -> Result<(), Error> {
    linker.func_wrap(
        "env",
        "proxy_http_call",
        |host: Host<'_>,
         cluster: u32,
         cluster_len: u32,
         headers: u32,
         headers_len: u32,
         body: u32,
         body_len: u32,
         _trailers: u32,
         _trailers_len: u32,
         timeout_ms: u32,
         out: u32| {
            answer(host, Call::HttpCall, |host| {
                let cluster = read_text(host, cluster, cluster_len)?;
                let headers = Headers::decode(&read(host, headers, headers_len)?);
                let body = read(host, body, body_len)?;
                let token = http_call(host.data_mut(), cluster, headers, body, timeout_ms)?;
                write_u32(host, out, token)
            })
        },
    )?;
    Ok(())
}

fn http_call(
    vm: &mut VmState,
    cluster: String,
    headers: Headers,
    body: Vec<u8>,
    timeout_ms: u32,
) -> Result<u32, Status> {
    let complete = [":path", ":method", ":authority"].iter().all(|name| headers.get_bytes(name).is_some());
    let missing = vm.world.borrow().missing_clusters.contains(&cluster);
    if missing || !complete || i32::try_from(timeout_ms).is_err() {
        return Err(Status::BadArgument);
    }
    let (token, root) = (vm.next_http_call(), vm.acting_root());
    let call =
        HttpCall { vm: vm.index, root, context: vm.acting(), token, cluster, headers, body, timeout_ms };
    vm.world.borrow_mut().http_calls.push(call);
    Ok(token)
}

fn grpc_open(linker: &mut Linker<VmState>) -> Result<(), Error> {
    linker.func_wrap(
        "env",
        "proxy_grpc_stream",
        |host: Host<'_>,
         upstream: u32,
         upstream_len: u32,
         service: u32,
         service_len: u32,
         method: u32,
         method_len: u32,
         metadata: u32,
         metadata_len: u32,
         out: u32| {
            answer(host, Call::GrpcStream, |host| {
                let upstream = read(host, upstream, upstream_len)?;
                let service = read_text(host, service, service_len)?;
                let path = format!("{service}/{}", read_text(host, method, method_len)?);
                let metadata = Headers::decode(&read(host, metadata, metadata_len)?);
                let token = open(host.data_mut(), &upstream, path, metadata)?;
                write_u32(host, out, token)
            })
        },
    )?;
    // No filter of ours makes unary gRPC calls; Envoy would, so the import is there and says no.
    linker.func_wrap(
        "env",
        "proxy_grpc_call",
        |host: Host<'_>,
         _: u32,
         _: u32,
         _: u32,
         _: u32,
         _: u32,
         _: u32,
         _: u32,
         _: u32,
         _: u32,
         _: u32,
         _: u32,
         _: u32| { answer(host, Call::GrpcCall, |_| Err(Status::InternalFailure.into())) },
    )?;
    Ok(())
}

/// A bare cluster name can abort the real Envoy: it is read as a message first.
fn open(vm: &mut VmState, upstream: &[u8], path: String, metadata: Headers) -> Result<u32, Failure> {
    let service =
        GrpcService::decode(upstream).ok().and_then(|service| service.envoy_grpc).unwrap_or_default();
    require(!service.cluster_name.is_empty(), "open_grpc_stream wants a GrpcService that names a cluster")?;
    let authority = if service.authority.is_empty() { &service.cluster_name } else { &service.authority };
    require(!authority.contains('|'), "`|` in :authority is refused by Envoy")?;
    let (token, root) = (vm.next_grpc_stream(), vm.acting_root());
    let mut world = vm.world.borrow_mut();
    if world.missing_clusters.contains(&service.cluster_name) {
        // Envoy refuses, and still tells of the close of a number nobody was given.
        let closed = Event::GrpcClosed {
            root,
            token,
            status: UNAVAILABLE,
            message: b"Cluster not available".to_vec(),
        };
        world.events.push_back((vm.index, closed));
        return Err(Status::InternalFailure.into());
    }
    let cluster = service.cluster_name;
    world.grpc.push_back((vm.index, root, token, GrpcOp::Open { cluster, path, metadata }));
    drop(world);
    vm.grpc.insert(token, GrpcHandle { root, ..GrpcHandle::default() });
    Ok(token)
}

fn grpc_use(linker: &mut Linker<VmState>) -> Result<(), Error> {
    linker.func_wrap(
        "env",
        "proxy_grpc_send",
        |host: Host<'_>, token: u32, at: u32, len: u32, end: u32| {
            answer(host, Call::GrpcSend, |host| {
                let message = read(host, at, len)?;
                send(host.data_mut(), token, message, end != 0)
            })
        },
    )?;
    linker.func_wrap("env", "proxy_grpc_close", |host: Host<'_>, token: u32| {
        answer(host, Call::GrpcClose, |host| close(host.data_mut(), token, GrpcOp::Close))
    })?;
    linker.func_wrap("env", "proxy_grpc_cancel", |host: Host<'_>, token: u32| {
        answer(host, Call::GrpcCancel, |host| close(host.data_mut(), token, GrpcOp::Cancel))
    })?;
    linker.func_wrap("env", "proxy_get_status", |host: Host<'_>, code: u32, pointer: u32, size: u32| {
        answer(host, Call::GetStatus, |host| {
            let id = host.data().acting_root();
            let (status, message) = host.data_mut().root(id).map(|r| r.status.clone()).unwrap_or_default();
            write_u32(host, code, status)?;
            give(host, &message, pointer, size)
        })
    })?;
    Ok(())
}

fn send(vm: &mut VmState, token: u32, message: Vec<u8>, end: bool) -> Answer {
    check_token(vm, token)?;
    let root = vm.acting_root();
    // After the far end closed, Envoy still says Ok and loses the message.
    if !vm.grpc.get(&token).is_some_and(|handle| handle.remote_closed) {
        vm.world.borrow_mut().grpc.push_back((vm.index, root, token, GrpcOp::Send { message, end }));
    }
    Ok(())
}

/// Cancelling a stream out of its own message is a trap: Envoy forgets the receiver at once and hands the next message of the same
/// read to freed memory.
fn close(vm: &mut VmState, token: u32, op: GrpcOp) -> Answer {
    check_token(vm, token)?;
    let root = vm.acting_root();
    let cancel = matches!(op, GrpcOp::Cancel);
    require(!cancel || vm.receiving != token, "a gRPC stream is cancelled out of its own message")?;
    let handle = vm.grpc.entry(token).or_default();
    handle.local_closed = true;
    if cancel || handle.remote_closed {
        vm.grpc.remove(&token);
    }
    vm.world.borrow_mut().grpc.push_back((vm.index, root, token, op));
    Ok(())
}

fn check_token(vm: &VmState, token: u32) -> Answer {
    if !VmState::is_grpc_stream(token) {
        return Err(Status::BadArgument.into());
    }
    if !vm.grpc.contains_key(&token) {
        return Err(Status::NotFound.into());
    }
    Ok(())
}
