//! One VM: an instance of the module, its memory, and the callbacks into it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use wasmi::{Instance, Store, Val};

use super::abi;
use super::artifact::FilterModule;
use super::setup::{Direction, Setup};
use super::state::{Context, RootContext, StreamContext, VmState};
use super::world::{VmMetrics, World};

/// Most fuel of one callback; the filter's dearest ones take a hundredth of it.
const FUEL: u64 = 300_000_000;

/// The module panicked, looped without end or touched memory it does not have.
#[derive(Debug)]
pub struct Trap {
    callback: String,
    reason: String,
    log: Vec<String>,
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "trap in {}: {}\nlast of the log:\n{}", self.callback, self.reason, self.log.join("\n"))
    }
}

/// An instance of the module on one thread.
pub struct Vm {
    store: Store<VmState>,
    instance: Instance,
    fuel_used: BTreeMap<String, u64>,
    entries: u64,
}

impl Vm {
    /// Instantiates and initialises; no root context yet.
    pub(super) fn new(module: &FilterModule, index: usize, world: Rc<RefCell<World>>) -> Result<Self, Trap> {
        let mut store = Store::new(&module.engine, VmState::new(index, world));
        let fail = |reason: String| Trap { callback: "instantiation".into(), reason, log: Vec::new() };
        store.set_fuel(FUEL).map_err(|error| fail(error.to_string()))?;
        let linker = abi::linker(&module.engine).map_err(|error| fail(error.to_string()))?;
        let instance = linker
            .instantiate_and_start(&mut store, &module.module)
            .map_err(|error| fail(error.to_string()))?;
        store.data_mut().memory = instance.get_memory(&store, "memory");
        store.data_mut().allocate = instance.get_typed_func(&store, "proxy_on_memory_allocate").ok();
        let mut vm = Self { store, instance, fuel_used: BTreeMap::new(), entries: 0 };
        vm.call(0, "_initialize", &[])?;
        Ok(vm)
    }

    /// Makes the root context of a listener and configures it, as a new configuration of the listener does.
    pub(super) fn configure(&mut self, setup: &Setup, direction: Direction, text: &str) -> Result<u32, Trap> {
        let root = RootContext {
            plugin_name: direction.label().to_string(),
            configuration: text.as_bytes().to_vec(),
            properties: setup.node.clone(),
            ..RootContext::default()
        };
        let id = self.state().add(Context::Root(Box::new(root)));
        self.call(id, "proxy_on_context_create", &[id, 0])?;
        self.call(id, "proxy_on_vm_start", &[id, 0])?;
        self.with_root(id, |root| root.configuring = true);
        let accepted = self.call(id, "proxy_on_configure", &[id, text.len() as u32])?;
        self.with_root(id, |root| root.configuring = false);
        match accepted {
            0 => Err(self.trap("proxy_on_configure", "the configuration was refused".to_string())),
            _ => Ok(id),
        }
    }

    /// Calls an export if the module has it; its result, or 0.
    pub(super) fn call(&mut self, context: u32, name: &str, args: &[u32]) -> Result<u32, Trap> {
        let Some(function) = self.instance.get_func(&self.store, name) else { return Ok(0) };
        self.entries += 1;
        self.state().current = context;
        self.state().effective = 0;
        let args: Vec<Val> = args.iter().map(|arg| Val::I32(*arg as i32)).collect();
        let mut results = vec![Val::I32(0); function.ty(&self.store).results().len()];
        self.store.set_fuel(FUEL).map_err(|error| self.trap(name, error.to_string()))?;
        let outcome = function.call(&mut self.store, &args, &mut results);
        let used = FUEL - self.store.get_fuel().unwrap_or(FUEL);
        *self.fuel_used.entry(name.to_string()).or_default() += used;
        outcome.map_err(|error| self.trap(name, error.to_string()))?;
        Ok(results.first().and_then(Val::i32).unwrap_or(0) as u32)
    }

    fn trap(&self, callback: &str, reason: String) -> Trap {
        let state = self.store.data();
        let world = state.world.borrow();
        let mine: Vec<String> =
            world.log.iter().filter(|line| line.vm == state.index).map(|line| line.text.clone()).collect();
        let callback = format!("{callback} (vm {})", state.index);
        Trap { callback, reason, log: mine[mine.len().saturating_sub(8)..].to_vec() }
    }

    pub(super) fn state(&mut self) -> &mut VmState {
        self.store.data_mut()
    }

    pub(super) fn with_root<R>(&mut self, id: u32, act: impl FnOnce(&mut RootContext) -> R) -> Option<R> {
        self.state().root(id).map(act)
    }

    /// A root context is gone, with the gRPC streams it opened.
    pub(super) fn forget_root(&mut self, id: u32) {
        self.state().contexts.remove(&id);
        self.state().grpc.retain(|_, handle| handle.root != id);
    }

    /// # Panics
    /// For a stream that is gone.
    pub(super) fn stream(&mut self, id: u32) -> &mut StreamContext {
        self.state().stream(id).expect("the stream is over")
    }

    /// Bytes of linear memory.
    pub fn memory_bytes(&self) -> usize {
        self.store.data().memory.map_or(0, |memory| memory.data_size(&self.store))
    }

    /// Fuel burnt so far: repeatable, but only an upper bound of the work, as the interpreter charges a function's branches taken or not.
    pub fn fuel_used(&self) -> u64 {
        self.fuel_used.values().sum()
    }

    /// The same by callback.
    pub fn fuel_by_callback(&self) -> &BTreeMap<String, u64> {
        &self.fuel_used
    }

    /// How often the host has called into this VM, not counting where it asked for room.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Metrics defined in this VM; one more each time `define` is called, even for an old name.
    pub fn metrics_defined(&self) -> usize {
        let metrics: &VmMetrics = &self.store.data().metrics;
        metrics.defined()
    }

    /// gRPC streams that the host still keeps, closed by the far end or not.
    pub fn grpc_handles(&self) -> usize {
        self.store.data().grpc.len()
    }

    /// HTTP streams that are not over.
    pub fn open_streams(&self) -> usize {
        self.store.data().contexts.values().filter(|context| matches!(context, Context::Stream(_))).count()
    }
}
