//! The WASI calls a Rust module makes, as Envoy answers them: no files, no environment, clock and randomness of the host.

use wasmi::{Error, Linker};

use super::{Host, process, read, write, write_u32};
use crate::wasm_host::fault::HostCall;
use crate::wasm_host::state::VmState;

const MODULE: &str = "wasi_snapshot_preview1";
const SUCCESS: i32 = 0;
const BADF: i32 = 8;
const FAULT: i32 = 21;
const NOTSUP: i32 = 58;

pub(super) fn define(linker: &mut Linker<VmState>) -> Result<(), Error> {
    empty_lists(linker)?;
    sources(linker)?;
    linker.func_wrap(MODULE, "fd_write", |mut host: Host<'_>, fd: u32, at: u32, count: u32, out: u32| {
        match fd {
            1 | 2 => fd_write(&mut host, fd, at, count, out).unwrap_or(FAULT),
            _ => BADF,
        }
    })?;
    linker.func_wrap(MODULE, "proc_exit", |_: Host<'_>, code: i32| -> Result<(), Error> {
        Err(Error::i32_exit(code))
    })?;
    linker.func_wrap(MODULE, "sched_yield", |_: Host<'_>| SUCCESS)?;
    Ok(())
}

fn empty_lists(linker: &mut Linker<VmState>) -> Result<(), Error> {
    for name in ["environ_sizes_get", "args_sizes_get"] {
        linker.func_wrap(MODULE, name, |mut host: Host<'_>, count: u32, size: u32| {
            let written = write_u32(&mut host, count, 0).and_then(|()| write_u32(&mut host, size, 0));
            if written.is_ok() { SUCCESS } else { FAULT }
        })?;
    }
    for name in ["environ_get", "args_get"] {
        linker.func_wrap(MODULE, name, |_: Host<'_>, _: u32, _: u32| SUCCESS)?;
    }
    Ok(())
}

fn sources(linker: &mut Linker<VmState>) -> Result<(), Error> {
    linker.func_wrap(MODULE, "clock_time_get", |mut host: Host<'_>, id: u32, _: u64, out: u32| {
        let nanoseconds = {
            let mut world = host.data().world.borrow_mut();
            world.faults.on_call(HostCall::Clock);
            match id {
                0 => world.clock_ns,
                1 => world.monotonic_ms * 1_000_000,
                _ => return NOTSUP,
            }
        };
        if write(&mut host, out, &nanoseconds.to_le_bytes()).is_ok() { SUCCESS } else { FAULT }
    })?;
    linker.func_wrap(MODULE, "random_get", |mut host: Host<'_>, at: u32, len: u32| {
        let bytes: Vec<u8> = (0..len).map(|_| host.data().world.borrow_mut().random_byte()).collect();
        if write(&mut host, at, &bytes).is_ok() { SUCCESS } else { FAULT }
    })?;
    Ok(())
}

/// What the module prints (a panic's message, above all) goes to the log.
fn fd_write(host: &mut Host<'_>, fd: u32, at: u32, count: u32, out: u32) -> Option<i32> {
    let mut text = Vec::new();
    for vector in 0..count {
        let pair = read(host, at + vector * 8, 8).ok()?;
        let word =
            |from: usize| u32::from_le_bytes([pair[from], pair[from + 1], pair[from + 2], pair[from + 3]]);
        text.extend(read(host, word(0), word(4)).ok()?);
    }
    write_u32(host, out, text.len() as u32).ok()?;
    let level = if fd == 1 { 2 } else { 4 };
    process::log(host, level, String::from_utf8_lossy(&text).trim_end().to_string());
    Some(SUCCESS)
}
