//! Header maps, bodies, and what becomes of a stream: continue, reset, answer.

use wasmi::{Error, Linker};

use super::{Answer, Failure, Host, answer, give, read, read_text};
use crate::wasm_host::fault::{HostCall, Status};
use crate::wasm_host::headers::Headers;
use crate::wasm_host::state::{LocalReply, Part, StreamContext, VmState};

pub(super) fn define(linker: &mut Linker<VmState>) -> Result<(), Error> {
    read_maps(linker)?;
    write_maps(linker)?;
    buffers(linker)?;
    streams(linker)
}

fn read_maps(linker: &mut Linker<VmState>) -> Result<(), Error> {
    linker.func_wrap(
        "env",
        "proxy_get_header_map_pairs",
        |host: Host<'_>, map: u32, pointer: u32, size: u32| {
            answer(host, HostCall::GetMapPairs, |host| {
                // A map that is not there reads as empty, unlike a single value.
                let bytes =
                    map_of(host.data_mut(), map).ok().filter(|map| !map.is_empty()).map(|map| map.encode());
                give(host, &bytes.unwrap_or_default(), pointer, size)
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_get_header_map_value",
        |host: Host<'_>, map: u32, key: u32, len: u32, pointer: u32, size: u32| {
            answer(host, HostCall::GetMapValue, |host| {
                let key = read_text(host, key, len)?;
                let value = map_of(host.data_mut(), map)?.get_bytes(&key).map(<[u8]>::to_vec);
                give(host, &value.ok_or(Status::NotFound)?, pointer, size)
            })
        },
    )?;
    Ok(())
}

fn write_maps(linker: &mut Linker<VmState>) -> Result<(), Error> {
    linker.func_wrap(
        "env",
        "proxy_set_header_map_pairs",
        |host: Host<'_>, map: u32, at: u32, len: u32| {
            answer(host, HostCall::SetMapPairs, |host| {
                let pairs = Headers::decode(&read(host, at, len)?);
                *map_mut(host.data_mut(), map)? = pairs;
                Ok(())
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_remove_header_map_value",
        |host: Host<'_>, map: u32, at: u32, len: u32| {
            answer(host, HostCall::RemoveMapValue, |host| {
                let key = read_text(host, at, len)?;
                map_mut(host.data_mut(), map)?.remove(&key);
                Ok(())
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_add_header_map_value",
        |host: Host<'_>, map: u32, key: u32, key_len: u32, value: u32, len: u32| {
            answer(host, HostCall::AddMapValue, |host| {
                let (key, value) = (read_text(host, key, key_len)?, read(host, value, len)?);
                map_mut(host.data_mut(), map)?.add(&key, &value);
                Ok(())
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_replace_header_map_value",
        |host: Host<'_>, map: u32, key: u32, key_len: u32, value: u32, len: u32| {
            answer(host, HostCall::ReplaceMapValue, |host| {
                let (key, value) = (read_text(host, key, key_len)?, read(host, value, len)?);
                map_mut(host.data_mut(), map)?.set(&key, &value);
                Ok(())
            })
        },
    )?;
    Ok(())
}

/// The map a number means, if this phase has it.
fn map_of(vm: &mut VmState, map: u32) -> Result<&Headers, Failure> {
    let (acting, root) = (vm.acting(), vm.acting_root());
    if map == 6 {
        let call = vm.root(root).and_then(|root| root.http_call.as_ref());
        return Ok(&call.ok_or(Status::BadArgument)?.0);
    }
    let stream = vm.stream(acting).ok_or(Status::BadArgument)?;
    let in_log = stream.in_log;
    let part = part_of(stream, map)?;
    // In the access log every map of the finished stream is there, and an absent one reads as "no such value".
    let missing = if in_log { Status::NotFound } else { Status::BadArgument };
    if part.open || (in_log && map != 1) { Ok(&part.value) } else { Err(missing.into()) }
}

/// The map for writing: never in the access log.
fn map_mut(vm: &mut VmState, map: u32) -> Result<&mut Headers, Failure> {
    let stream = vm.acting_stream().ok_or(Status::BadArgument)?;
    let part = part_of(stream, map)?;
    if part.open { Ok(&mut part.value) } else { Err(Status::BadArgument.into()) }
}

fn part_of(stream: &mut StreamContext, map: u32) -> Result<&mut Part<Headers>, Failure> {
    match map {
        0 => Ok(&mut stream.request_headers),
        1 => Ok(&mut stream.request_trailers),
        2 => Ok(&mut stream.response_headers),
        3 => Ok(&mut stream.response_trailers),
        _ => Err(Status::BadArgument.into()),
    }
}

fn buffers(linker: &mut Linker<VmState>) -> Result<(), Error> {
    linker.func_wrap(
        "env",
        "proxy_get_buffer_bytes",
        |host: Host<'_>, buffer: u32, start: u32, len: u32, pointer: u32, size: u32| {
            answer(host, HostCall::GetBuffer, |host| {
                let end = start.checked_add(len).ok_or(Status::BadArgument)? as usize;
                let bytes = buffer_of(host.data_mut(), buffer)?;
                let part = bytes.get(start as usize..end.min(bytes.len())).unwrap_or_default().to_vec();
                give(host, &part, pointer, size)
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_set_buffer_bytes",
        |host: Host<'_>, buffer: u32, start: u32, len: u32, at: u32, size: u32| {
            answer(host, HostCall::SetBuffer, |host| {
                let bytes = read(host, at, size)?;
                let body = body_mut(host.data_mut(), buffer)?;
                splice(body, start as usize, len as usize, bytes)
            })
        },
    )?;
    Ok(())
}

/// Envoy prepends at (0, 0), replaces all, or appends; anything between is refused.
fn splice(body: &mut Vec<u8>, start: usize, len: usize, bytes: Vec<u8>) -> Answer {
    match (start, len) {
        (0, 0) => drop(body.splice(0..0, bytes)),
        (0, len) if len >= body.len() => *body = bytes,
        (start, _) if start > 0 && start >= body.len() => body.extend(bytes),
        _ => return Err(Status::BadArgument.into()),
    }
    Ok(())
}

fn buffer_of(vm: &mut VmState, buffer: u32) -> Result<Vec<u8>, Failure> {
    let root_id = vm.acting_root();
    let found = match buffer {
        0 | 1 => return Ok(body_mut(vm, buffer)?.clone()),
        4 => vm.root(root_id).and_then(|root| root.http_call.as_ref()).map(|(_, body)| body.clone()),
        5 => vm.root(root_id).and_then(|root| root.grpc_message.clone()),
        6 => Some(Vec::new()),
        7 => vm.root(root_id).filter(|root| root.configuring).map(|root| root.configuration.clone()),
        _ => None,
    };
    found.ok_or(Status::NotFound.into())
}

fn body_mut(vm: &mut VmState, buffer: u32) -> Result<&mut Vec<u8>, Failure> {
    let stream = vm.acting_stream().ok_or(Status::NotFound)?;
    let part = match buffer {
        0 => &mut stream.request_body,
        1 => &mut stream.response_body,
        _ => return Err(Status::NotFound.into()),
    };
    if part.open { Ok(&mut part.value) } else { Err(Status::NotFound.into()) }
}

fn streams(linker: &mut Linker<VmState>) -> Result<(), Error> {
    linker.func_wrap("env", "proxy_continue_stream", |host: Host<'_>, kind: u32| {
        answer(host, HostCall::ContinueStream, |host| {
            let Some(stream) = host.data_mut().acting_stream() else { return Ok(()) };
            match kind {
                0 => stream.continue_request = true,
                1 => stream.continue_response = true,
                2 => return Ok(()),
                3 => return Err(Status::Unimplemented.into()),
                _ => return Err(Status::BadArgument.into()),
            }
            // Envoy forgets the request's parts whichever direction goes on.
            stream.request_headers.open = false;
            stream.request_body.open = false;
            stream.request_trailers.open = false;
            Ok(())
        })
    })?;
    linker.func_wrap("env", "proxy_close_stream", |host: Host<'_>, kind: u32| {
        answer(host, HostCall::CloseStream, |host| {
            if kind > 3 {
                return Err(Status::BadArgument.into());
            }
            if let Some(stream) = host.data_mut().acting_stream() {
                stream.reset = true;
            }
            Ok(())
        })
    })?;
    local_reply(linker)
}

fn local_reply(linker: &mut Linker<VmState>) -> Result<(), Error> {
    linker.func_wrap(
        "env",
        "proxy_send_local_response",
        |host: Host<'_>,
         status: u32,
         _details: u32,
         _details_len: u32,
         body: u32,
         body_len: u32,
         headers: u32,
         headers_len: u32,
         grpc: i32| {
            answer(host, HostCall::SendLocalResponse, |host| {
                let body = read(host, body, body_len)?;
                let headers = Headers::decode(&read(host, headers, headers_len)?);
                let grpc_status = u32::try_from(grpc).ok().filter(|status| *status <= 16);
                if let Some(stream) = host.data_mut().acting_stream() {
                    stream.local_reply = Some(LocalReply { status, headers, body, grpc_status });
                }
                Ok(())
            })
        },
    )?;
    Ok(())
}
