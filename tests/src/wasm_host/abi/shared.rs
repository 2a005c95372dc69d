//! Shared data and shared queues.

use wasmi::{Error, Linker};

use super::{Answer, Host, answer, give, read, write_u32};
use crate::wasm_host::fault::{HostCall, Status};
use crate::wasm_host::state::VmState;
use crate::wasm_host::world::Event;

pub(super) fn define(linker: &mut Linker<VmState>) -> Result<(), Error> {
    data(linker)?;
    queue_names(linker)?;
    queues(linker)
}

fn data(linker: &mut Linker<VmState>) -> Result<(), Error> {
    linker.func_wrap(
        "env",
        "proxy_get_shared_data",
        |host: Host<'_>, key: u32, len: u32, pointer: u32, size: u32, cas_at: u32| {
            answer(host, HostCall::GetSharedData, |host| {
                let key = read(host, key, len)?;
                let found = host.data().world.borrow().shared_data.get(&key).cloned();
                let (value, cas) = found.ok_or(Status::NotFound)?;
                give(host, &value, pointer, size)?;
                write_u32(host, cas_at, cas)
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_set_shared_data",
        |host: Host<'_>, key: u32, key_len: u32, value: u32, len: u32, cas: u32| {
            answer(host, HostCall::SetSharedData, |host| {
                let (key, value) = (read(host, key, key_len)?, read(host, value, len)?);
                Ok(host.data().world.borrow_mut().shared_data.set(&key, &value, cas)?)
            })
        },
    )?;
    Ok(())
}

fn queue_names(linker: &mut Linker<VmState>) -> Result<(), Error> {
    linker.func_wrap(
        "env",
        "proxy_register_shared_queue",
        |host: Host<'_>, name: u32, len: u32, out: u32| {
            answer(host, HostCall::RegisterQueue, |host| {
                let name = read(host, name, len)?;
                let by = (host.data().index, host.data().acting_root());
                let token = host.data().world.borrow_mut().queues.register(&name, by);
                write_u32(host, out, token)
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_resolve_shared_queue",
        |host: Host<'_>, _vm_id: u32, _vm_id_len: u32, name: u32, len: u32, out: u32| {
            answer(host, HostCall::ResolveQueue, |host| {
                let name = read(host, name, len)?;
                let token = host.data().world.borrow().queues.resolve(&name);
                write_u32(host, out, token.ok_or(Status::NotFound)?)
            })
        },
    )?;
    Ok(())
}

fn queues(linker: &mut Linker<VmState>) -> Result<(), Error> {
    linker.func_wrap(
        "env",
        "proxy_enqueue_shared_queue",
        |host: Host<'_>, queue: u32, at: u32, len: u32| {
            answer(host, HostCall::Enqueue, |host| {
                let value = read(host, at, len)?;
                enqueue(host, queue, &value)
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_dequeue_shared_queue",
        |host: Host<'_>, queue: u32, pointer: u32, size: u32| {
            answer(host, HostCall::Dequeue, |host| {
                let value = host.data().world.borrow_mut().queues.dequeue(queue);
                let value = value.ok_or(Status::NotFound)?.ok_or(Status::Empty)?;
                give(host, &value, pointer, size)
            })
        },
    )?;
    Ok(())
}

/// The registrant is told later, on its own thread.
fn enqueue(host: &mut Host<'_>, queue: u32, value: &[u8]) -> Answer {
    let mut world = host.data().world.borrow_mut();
    let (vm, root) = world.queues.enqueue(queue, value).ok_or(Status::NotFound)?;
    world.events.push_back((vm, Event::QueueReady { root, queue }));
    Ok(())
}
