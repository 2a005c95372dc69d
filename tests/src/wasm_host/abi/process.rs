//! Log, clock, ticks, properties, metrics, effective context, foreign functions.

use wasmi::{Error, Linker};

use super::{Answer, Host, answer, give, read, read_text, write, write_u32};
use crate::wasm_host::fault::{HostCall, Status};
use crate::wasm_host::properties::Phase;
use crate::wasm_host::state::{Context, VmState};
use crate::wasm_host::world::LogLine;

pub(super) fn define(linker: &mut Linker<VmState>) -> Result<(), Error> {
    logging(linker)?;
    time(linker)?;
    properties(linker)?;
    metrics(linker)?;
    contexts(linker)
}

fn logging(linker: &mut Linker<VmState>) -> Result<(), Error> {
    linker.func_wrap("env", "proxy_log", |host: Host<'_>, level: u32, at: u32, len: u32| {
        answer(host, HostCall::Log, |host| {
            let text = read_text(host, at, len)?;
            log(host, level, text);
            Ok(())
        })
    })?;
    linker.func_wrap("env", "proxy_get_log_level", |host: Host<'_>, out: u32| {
        answer(host, HostCall::GetLogLevel, |host| write_u32(host, out, 0))
    })?;
    Ok(())
}

pub(super) fn log(host: &Host<'_>, level: u32, text: String) {
    let vm = host.data().index;
    host.data().world.borrow_mut().log.push(LogLine { vm, level, text });
}

fn time(linker: &mut Linker<VmState>) -> Result<(), Error> {
    linker.func_wrap("env", "proxy_get_current_time_nanoseconds", |host: Host<'_>, out: u32| {
        answer(host, HostCall::GetTime, |host| {
            let now = host.data().world.borrow().clock_ns;
            write(host, out, &now.to_le_bytes())
        })
    })?;
    linker.func_wrap("env", "proxy_set_tick_period_milliseconds", |host: Host<'_>, period: u32| {
        answer(host, HostCall::SetTickPeriod, |host| {
            let now = host.data().world.borrow().monotonic_ms;
            let id = host.data().acting_root();
            let root = host.data_mut().root(id).ok_or(Status::BadArgument)?;
            root.tick_period_ms = u64::from(period);
            root.next_tick_ms = now + u64::from(period);
            Ok(())
        })
    })?;
    Ok(())
}

fn properties(linker: &mut Linker<VmState>) -> Result<(), Error> {
    linker.func_wrap(
        "env",
        "proxy_get_property",
        |host: Host<'_>, at: u32, len: u32, pointer: u32, size: u32| {
            answer(host, HostCall::GetProperty, |host| {
                let path = read(host, at, len)?;
                let value = property(host.data(), &path).ok_or(Status::NotFound)?;
                give(host, &value, pointer, size)
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_set_property",
        |host: Host<'_>, at: u32, len: u32, value: u32, size: u32| {
            answer(host, HostCall::SetProperty, |host| {
                let (path, value) = (read_text(host, at, len)?, read(host, value, size)?);
                let stream = host.data_mut().acting_stream().ok_or(Status::NotFound)?;
                stream.properties.set(Phase::Request, &path.split('\0').collect::<Vec<_>>(), value);
                Ok(())
            })
        },
    )?;
    Ok(())
}

/// A stream's own property, else its root's (node, plugin name).
fn property(vm: &VmState, path: &[u8]) -> Option<Vec<u8>> {
    let (own, root) = match vm.contexts.get(&vm.acting())? {
        Context::Stream(stream) => {
            let stated = stream.properties.get(stream.phase, path).map(<[u8]>::to_vec);
            (stated.or_else(|| stream.attribute(path)), stream.root)
        }
        Context::Root(_) => (None, vm.acting()),
    };
    let Some(Context::Root(root)) = vm.contexts.get(&root) else { return None };
    if path == b"plugin_name" {
        return Some(root.plugin_name.clone().into_bytes());
    }
    own.or_else(|| root.properties.get(Phase::Log, path).map(<[u8]>::to_vec))
}

fn metrics(linker: &mut Linker<VmState>) -> Result<(), Error> {
    linker.func_wrap(
        "env",
        "proxy_define_metric",
        |host: Host<'_>, kind: u32, at: u32, len: u32, out: u32| {
            answer(host, HostCall::DefineMetric, |host| define_metric(host, kind, at, len, out))
        },
    )?;
    linker.func_wrap("env", "proxy_increment_metric", |host: Host<'_>, id: u32, by: i64| {
        answer(host, HostCall::IncrementMetric, |host| {
            let vm = host.data();
            Ok(vm.world.borrow_mut().metrics.increment(&vm.metrics, id, by)?)
        })
    })?;
    linker.func_wrap("env", "proxy_record_metric", |host: Host<'_>, id: u32, value: u64| {
        answer(host, HostCall::RecordMetric, |host| {
            let vm = host.data();
            Ok(vm.world.borrow_mut().metrics.record(&vm.metrics, id, value)?)
        })
    })?;
    linker.func_wrap("env", "proxy_get_metric", |host: Host<'_>, id: u32, out: u32| {
        answer(host, HostCall::GetMetric, |host| {
            let vm = host.data();
            let value = vm.world.borrow().metrics.get(&vm.metrics, id)?;
            write(host, out, &value.to_le_bytes())
        })
    })?;
    Ok(())
}

fn define_metric(host: &mut Host<'_>, kind: u32, at: u32, len: u32, out: u32) -> Answer {
    let name = read_text(host, at, len)?;
    let id = host.data_mut().metrics.define(kind, &name)?;
    host.data().world.borrow_mut().metrics.touch(kind, &name);
    write_u32(host, out, id)
}

fn contexts(linker: &mut Linker<VmState>) -> Result<(), Error> {
    linker.func_wrap("env", "proxy_set_effective_context", |host: Host<'_>, id: u32| {
        answer(host, HostCall::SetEffectiveContext, |host| {
            let vm = host.data_mut();
            if !vm.contexts.contains_key(&id) {
                return Err(Status::BadArgument.into());
            }
            vm.effective = id;
            Ok(())
        })
    })?;
    linker.func_wrap("env", "proxy_done", |host: Host<'_>| answer(host, HostCall::Done, |_| Ok(())))?;
    linker.func_wrap(
        "env",
        "proxy_call_foreign_function",
        |host: Host<'_>, name: u32, len: u32, _args: u32, _args_len: u32, out: u32, out_size: u32| {
            answer(host, HostCall::CallForeignFunction, |host| {
                let name = read_text(host, name, len)?;
                foreign_function(host, &name)?;
                give(host, &[], out, out_size)
            })
        },
    )?;
    Ok(())
}

fn foreign_function(host: &mut Host<'_>, name: &str) -> Answer {
    let missing = host.data().world.borrow().missing_functions.contains(name);
    if missing || name != "clear_route_cache" {
        return Err(Status::NotFound.into());
    }
    if let Some(stream) = host.data_mut().acting_stream() {
        stream.routes_cleared += 1;
    }
    Ok(())
}
