//! The imports of the module: names, arguments and pointers of the proxy-wasm 0.2.1 ABI, and the few WASI calls that Envoy has.
//!
//! Each function reads its arguments from linear memory, acts on [`VmState`], writes its result back. An armed fault answers
//! before anything is done.

mod callouts;
mod messages;
mod process;
mod shared;
mod wasi;

use wasmi::{AsContextMut, Caller, Error, Linker};

use super::fault::{HostCall, Status};
use super::state::VmState;

type Host<'a> = Caller<'a, VmState>;

/// Why a host call does not succeed.
enum Failure {
    Status(Status),
    Trap(Error),
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Trap(error)
    }
}

type Answer = Result<(), Failure>;

/// Refuses what would crash Envoy itself: a trap, and so a failed test. (A panic may not cross the interpreter.)
fn require(holds: bool, rule: &str) -> Answer {
    if holds { Ok(()) } else { Err(Failure::Trap(Error::new(rule.to_string()))) }
}

/// A linker with every import Envoy 1.40 offers to a proxy-wasm 0.2.1 module of this kind.
pub(super) fn linker(engine: &wasmi::Engine) -> Result<Linker<VmState>, Error> {
    let mut linker = Linker::new(engine);
    process::define(&mut linker)?;
    messages::define(&mut linker)?;
    shared::define(&mut linker)?;
    callouts::define(&mut linker)?;
    wasi::define(&mut linker)?;
    Ok(linker)
}

/// Runs a host call: counts it, lets a fault strike, turns the result into the ABI's number.
fn answer<'a>(
    mut host: Host<'a>,
    call: HostCall,
    run: impl FnOnce(&mut Host<'a>) -> Answer,
) -> Result<i32, Error> {
    let fault = host.data().world.borrow_mut().faults.on_call(call);
    if let Some(status) = fault {
        return Ok(status as i32);
    }
    match run(&mut host) {
        Ok(()) => Ok(0),
        Err(Failure::Status(status)) => Ok(status as i32),
        Err(Failure::Trap(error)) => Err(error),
    }
}

/// Bytes of the module's memory.
fn read(host: &Host<'_>, at: u32, len: u32) -> Result<Vec<u8>, Failure> {
    let memory = host.data().memory.ok_or(Status::InvalidMemoryAccess)?;
    let start = at as usize;
    let bytes = memory.data(host).get(start..start + len as usize);
    bytes.map(<[u8]>::to_vec).ok_or(Failure::Status(Status::InvalidMemoryAccess))
}

fn read_text(host: &Host<'_>, at: u32, len: u32) -> Result<String, Failure> {
    Ok(String::from_utf8_lossy(&read(host, at, len)?).into_owned())
}

fn write(host: &mut Host<'_>, at: u32, bytes: &[u8]) -> Answer {
    let memory = host.data().memory.ok_or(Status::InvalidMemoryAccess)?;
    memory.write(host, at as usize, bytes).map_err(|_| Failure::Status(Status::InvalidMemoryAccess))
}

fn write_u32(host: &mut Host<'_>, at: u32, value: u32) -> Answer {
    write(host, at, &value.to_le_bytes())
}

/// Hands bytes to the module: it allocates them, the host writes pointer and length. Nothing is a null pointer.
fn give(host: &mut Host<'_>, bytes: &[u8], pointer_at: u32, size_at: u32) -> Answer {
    let mut pointer = 0;
    if !bytes.is_empty() {
        host.data().world.borrow_mut().faults.give();
        let allocate = host.data().allocate.ok_or(Status::InvalidMemoryAccess)?;
        pointer = allocate.call(host.as_context_mut(), bytes.len() as u32)?;
        write(host, pointer, bytes)?;
    }
    write_u32(host, pointer_at, pointer)?;
    write_u32(host, size_at, bytes.len() as u32)
}
