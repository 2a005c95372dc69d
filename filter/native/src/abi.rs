//! Envoy's dynamic modules ABI (`abi.h`, v0.1.0 of Envoy 1.38 and 1.39, v0.2.0 of 1.40): the only file with `unsafe`.
//!
//! What is asked of the proxy is found by `dlsym`, not linked: an Envoy that lacks something must say so in its log and pass traffic, where
//! a symbol that is missing at link time would refuse the listener. What the proxy is given to hold are numbers, never addresses of ours:
//! a stream is its place in a table of its thread ([`STREAMS`]), a configuration a number ([`CONFIGS`]), so that safe code cannot make the
//! proxy touch what is gone, whatever number it passes. Bytes of the proxy are lent to a reader ([`lend`]), and nothing is changed in the
//! proxy while it has them.
//!
//! Every hook stops a panic ([`guarded`]): one that unwinds into C++ would end the proxy.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_char, c_void};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::ThreadId;

use crate::{hooks, process};

/// The newest ABI this was written for. Envoy promises that a minor version understands the one before it.
const VERSION: &CStr = c"v0.2.0";

/// Bytes, as both sides name them.
#[repr(C)]
#[derive(Clone, Copy)]
struct Buffer {
    ptr: *const u8,
    length: usize,
}

impl Buffer {
    const NONE: Self = Self { ptr: std::ptr::null(), length: 0 };

    const fn of(bytes: &[u8]) -> Self {
        Self { ptr: bytes.as_ptr(), length: bytes.len() }
    }

    /// A copy.
    ///
    /// # Safety
    /// Given by the proxy in this hook, and nothing was changed in the proxy since.
    unsafe fn to_vec(self) -> Vec<u8> {
        if self.ptr.is_null() || self.length == 0 {
            return Vec::new();
        }
        // SAFETY: the caller's promise; the length is the proxy's own of the same buffer.
        unsafe { std::slice::from_raw_parts(self.ptr, self.length) }.to_vec()
    }
}

/// A header, as both sides name it.
#[repr(C)]
#[derive(Clone, Copy)]
struct HeaderPair {
    key: Buffer,
    value: Buffer,
}

/// A header in our memory: name, value.
pub(crate) type Header = (String, Vec<u8>);

type Envoy = *mut c_void;
type Module = *const c_void;

/// Which header map.
#[repr(u32)]
#[derive(Clone, Copy)]
pub(crate) enum Map {
    /// Of the request.
    Request = 0,
    /// Of the response.
    Response = 2,
    /// Of the response's end.
    ResponseTrailers = 3,
}

/// Which piece of body.
#[repr(u32)]
#[derive(Clone, Copy)]
pub(crate) enum Piece {
    /// Of the request, at hand.
    Request = 0,
    /// Of the response, at hand.
    Response = 2,
}

/// What can be asked about a stream.
#[repr(u32)]
#[derive(Clone, Copy)]
pub(crate) enum Attribute {
    /// `request.method`.
    RequestMethod = 4,
    /// `response.code`.
    ResponseCode = 15,
    /// `response.code_details`.
    ResponseCodeDetails = 16,
    /// `response.flags`.
    ResponseFlags = 17,
    /// `response.grpc_status`.
    ResponseGrpcStatus = 18,
    /// `connection.id`.
    ConnectionId = 28,
    /// `upstream.request_attempt_count`.
    RequestAttemptCount = 53,
    /// `xds.listener_direction`.
    ListenerDirection = 59,
}

/// What the proxy does with a stream after a hook about headers.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Go {
    /// On.
    On = 0,
    /// Nothing, until it is told to; what comes meanwhile is kept, and the other side slowed down.
    Wait = 4,
}

/// Of a callout, a stream, a metric: everything else is some failure.
const SUCCESS: u32 = 0;

unsafe extern "C" {
    // Of the C library, which `std` links.
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
}

macro_rules! callbacks {
    (required { $($field:ident: $name:literal fn($($arg:ty),*) $(-> $ret:ty)?;)* }
     newer { $($newer:ident: $newer_name:literal fn($($newer_arg:ty),*) $(-> $newer_ret:ty)?;)* }) => {
        /// What is asked of the proxy.
        struct Callbacks {
            $($field: unsafe extern "C" fn($($arg),*) $(-> $ret)?,)*
            $($newer: Option<unsafe extern "C" fn($($newer_arg),*) $(-> $newer_ret)?>,)*
        }

        impl Callbacks {
            /// Or the name of the first that this proxy lacks.
            fn find() -> Result<Self, &'static str> {
                $(
                    // SAFETY: the name ends with a zero; a null handle is the default search order (RTLD_DEFAULT on Linux).
                    let $field = unsafe { dlsym(std::ptr::null_mut(), $name.as_ptr()) };
                    if $field.is_null() {
                        return Err($name.to_str().unwrap_or_default());
                    }
                )*
                Ok(Self {
                    // SAFETY: not null, and declared by the ABI with this signature; an `Option` of a function pointer is a nullable one.
                    $($field: unsafe { std::mem::transmute::<*mut c_void, unsafe extern "C" fn($($arg),*) $(-> $ret)?>($field) },)*
                    // SAFETY: as above; null is `None`.
                    $($newer: unsafe {
                        std::mem::transmute::<*mut c_void, Option<unsafe extern "C" fn($($newer_arg),*) $(-> $newer_ret)?>>(
                            dlsym(std::ptr::null_mut(), $newer_name.as_ptr()),
                        )
                    },)*
                })
            }
        }
    };
}

callbacks! {
    required {
        get_header: c"envoy_dynamic_module_callback_http_get_header" fn(Envoy, u32, Buffer, *mut Buffer, usize, *mut usize) -> bool;
        get_headers_size: c"envoy_dynamic_module_callback_http_get_headers_size" fn(Envoy, u32) -> usize;
        get_headers: c"envoy_dynamic_module_callback_http_get_headers" fn(Envoy, u32, *mut HeaderPair) -> bool;
        set_header: c"envoy_dynamic_module_callback_http_set_header" fn(Envoy, u32, Buffer, Buffer) -> bool;
        send_response: c"envoy_dynamic_module_callback_http_send_response" fn(Envoy, u32, *const HeaderPair, usize, Buffer, Buffer);
        body_size: c"envoy_dynamic_module_callback_http_get_body_size" fn(Envoy, u32) -> usize;
        body_chunks_size: c"envoy_dynamic_module_callback_http_get_body_chunks_size" fn(Envoy, u32) -> usize;
        body_chunks: c"envoy_dynamic_module_callback_http_get_body_chunks" fn(Envoy, u32, *mut Buffer) -> bool;
        get_attribute_int: c"envoy_dynamic_module_callback_http_filter_get_attribute_int" fn(Envoy, u32, *mut u64) -> bool;
        get_attribute_string: c"envoy_dynamic_module_callback_http_filter_get_attribute_string" fn(Envoy, u32, *mut Buffer) -> bool;
        get_cluster_name: c"envoy_dynamic_module_callback_http_get_cluster_name" fn(Envoy, *mut Buffer) -> bool;
        get_filter_state: c"envoy_dynamic_module_callback_http_get_filter_state_bytes" fn(Envoy, Buffer, *mut Buffer) -> bool;
        set_filter_state: c"envoy_dynamic_module_callback_http_set_filter_state_bytes" fn(Envoy, Buffer, Buffer) -> bool;
        clear_route_cache: c"envoy_dynamic_module_callback_http_clear_route_cache" fn(Envoy);
        continue_encoding: c"envoy_dynamic_module_callback_http_filter_continue_encoding" fn(Envoy);
        callout: c"envoy_dynamic_module_callback_http_filter_http_callout" fn(Envoy, *mut u64, Buffer, *const HeaderPair, usize, Buffer, u64) -> u32;
        scheduler_new: c"envoy_dynamic_module_callback_http_filter_scheduler_new" fn(Envoy) -> *mut c_void;
        scheduler_commit: c"envoy_dynamic_module_callback_http_filter_scheduler_commit" fn(*mut c_void, u64);
        scheduler_delete: c"envoy_dynamic_module_callback_http_filter_scheduler_delete" fn(*mut c_void);
        config_scheduler_new: c"envoy_dynamic_module_callback_http_filter_config_scheduler_new" fn(Envoy) -> *mut c_void;
        config_scheduler_commit: c"envoy_dynamic_module_callback_http_filter_config_scheduler_commit" fn(*mut c_void, u64);
        config_scheduler_delete: c"envoy_dynamic_module_callback_http_filter_config_scheduler_delete" fn(*mut c_void);
        start_stream: c"envoy_dynamic_module_callback_http_filter_config_start_http_stream" fn(Envoy, *mut u64, Buffer, *const HeaderPair, usize, Buffer, bool, u64) -> u32;
        send_data: c"envoy_dynamic_module_callback_http_filter_config_stream_send_data" fn(Envoy, u64, Buffer, bool) -> bool;
        reset_stream: c"envoy_dynamic_module_callback_http_filter_config_reset_http_stream" fn(Envoy, u64);
        define_counter: c"envoy_dynamic_module_callback_http_filter_config_define_counter" fn(Envoy, Buffer, *const Buffer, usize, *mut usize) -> u32;
        define_gauge: c"envoy_dynamic_module_callback_http_filter_config_define_gauge" fn(Envoy, Buffer, *const Buffer, usize, *mut usize) -> u32;
        define_histogram: c"envoy_dynamic_module_callback_http_filter_config_define_histogram" fn(Envoy, Buffer, *const Buffer, usize, *mut usize) -> u32;
        increment_counter: c"envoy_dynamic_module_callback_http_filter_increment_counter" fn(Envoy, usize, *const Buffer, usize, u64) -> u32;
        set_gauge: c"envoy_dynamic_module_callback_http_filter_set_gauge" fn(Envoy, usize, *const Buffer, usize, u64) -> u32;
        record_histogram: c"envoy_dynamic_module_callback_http_filter_record_histogram_value" fn(Envoy, usize, *const Buffer, usize, u64) -> u32;
    }
    newer {
        // In 1.38 too, but nothing to do without.
        register_function: c"envoy_dynamic_module_callback_register_function" fn(Buffer, *mut c_void) -> bool;
        get_function: c"envoy_dynamic_module_callback_get_function" fn(Buffer, *mut *mut c_void) -> bool;
        // Not in 1.38: there metrics can only be written on behalf of a stream.
        config_increment_counter: c"envoy_dynamic_module_callback_http_filter_config_increment_counter" fn(Envoy, usize, *const Buffer, usize, u64) -> u32;
        config_set_gauge: c"envoy_dynamic_module_callback_http_filter_config_set_gauge" fn(Envoy, usize, *const Buffer, usize, u64) -> u32;
        config_record_histogram: c"envoy_dynamic_module_callback_http_filter_config_record_histogram_value" fn(Envoy, usize, *const Buffer, usize, u64) -> u32;
    }
}

static CALLBACKS: OnceLock<Result<Callbacks, &'static str>> = OnceLock::new();

fn callbacks() -> Option<&'static Callbacks> {
    CALLBACKS.get_or_init(found).as_ref().ok()
}

fn found() -> Result<Callbacks, &'static str> {
    match hooks::provoked_lack() {
        None => Callbacks::find(),
        Some(missing) => Err(missing),
    }
}

/// What this proxy lacks, if anything: then there is nothing that can be done for a request but to let it pass.
pub(crate) fn lacks() -> Option<&'static str> {
    CALLBACKS.get_or_init(found).as_ref().err().copied()
}

/// Whether metrics can be written without a stream (not in 1.38).
pub(crate) fn has_config_metrics() -> bool {
    callbacks().is_some_and(|callbacks| {
        callbacks.config_increment_counter.is_some()
            && callbacks.config_set_gauge.is_some()
            && callbacks.config_record_histogram.is_some()
    })
}

/// A line in the proxy's log.
pub(crate) fn log(level: Level, message: &str) {
    // Also where something else is missing: this is how it is said.
    // SAFETY: the name ends with a zero; null is the default search order.
    let log = unsafe { dlsym(std::ptr::null_mut(), c"envoy_dynamic_module_callback_log".as_ptr()) };
    if !log.is_null() {
        // SAFETY: declared by the ABI with this signature; the message outlives the call.
        unsafe {
            let log = std::mem::transmute::<*mut c_void, unsafe extern "C" fn(u32, Buffer)>(log);
            log(level as u32, Buffer::of(message.as_bytes()));
        }
    }
}

/// How loud a line is.
#[repr(u32)]
#[derive(Clone, Copy)]
pub(crate) enum Level {
    /// For developers.
    Debug = 1,
    /// A transition.
    Info = 2,
    /// Something is degraded.
    Warn = 3,
}

// ------------------------------------------------------------------------------------------------------------------------- streams

/// A stream of this thread, by its place.
pub(crate) type Slot = u32;

#[derive(Clone, Copy)]
struct LiveStream {
    /// Null: the place is free.
    envoy: Envoy,
    config: u32,
    /// Its response waits to be told to go on.
    held: bool,
}

#[derive(Default)]
struct Streams {
    places: Vec<LiveStream>,
    free: Vec<Slot>,
}

thread_local! {
    // A stream is created, asked about and destroyed on one thread, so what is found here may be used now.
    static STREAMS: RefCell<Streams> = RefCell::default();
}

fn add_stream(envoy: Envoy, config: u32) -> Slot {
    let live = LiveStream { envoy, config, held: false };
    STREAMS.with_borrow_mut(|streams| {
        let free = streams.free.pop();
        if let Some(slot) = free
            && let Some(place) = streams.places.get_mut(slot as usize)
        {
            *place = live;
            return slot;
        }
        streams.places.push(live);
        Slot::try_from(streams.places.len() - 1).unwrap_or(Slot::MAX)
    })
}

fn remove_stream(slot: Slot) {
    STREAMS.with_borrow_mut(|streams| {
        if let Some(place) = streams.places.get_mut(slot as usize)
            && !place.envoy.is_null()
        {
            place.envoy = std::ptr::null_mut();
            streams.free.push(slot);
        }
    });
}

fn live(slot: Slot) -> Option<LiveStream> {
    STREAMS.with_borrow(|streams| {
        streams.places.get(slot as usize).copied().filter(|live| !live.envoy.is_null())
    })
}

/// Asks about a stream.
fn with_stream<T>(slot: Slot, ask: impl FnOnce(&'static Callbacks, Envoy) -> Option<T>) -> Option<T> {
    ask(callbacks()?, live(slot)?.envoy)
}

thread_local! {
    /// Bytes of the proxy are being read: nothing may be changed in it.
    static LENT: Cell<bool> = const { Cell::new(false) };
    /// Room for the headers of a request, kept.
    static PAIRS: RefCell<Vec<HeaderPair>> = const { RefCell::new(Vec::new()) };
}

/// Changes something about a stream: not while anybody reads what the change might move.
fn change_stream<T>(slot: Slot, change: impl FnOnce(&'static Callbacks, Envoy) -> Option<T>) -> Option<T> {
    if LENT.get() { None } else { with_stream(slot, change) }
}

/// For as long as bytes are lent, also when the reader unwinds.
struct Lending(bool);

impl Lending {
    fn begin() -> Self {
        Self(LENT.replace(true))
    }
}

impl Drop for Lending {
    fn drop(&mut self) {
        LENT.set(self.0);
    }
}

impl Buffer {
    /// Lends the bytes.
    ///
    /// # Safety
    /// Given by the proxy in this hook, nothing was changed in the proxy since, and [`Lending`] holds until the last use.
    unsafe fn bytes<'a>(self) -> &'a [u8] {
        if self.ptr.is_null() || self.length == 0 {
            return &[];
        }
        // SAFETY: the caller's promise; the length is the proxy's own of the same buffer.
        unsafe { std::slice::from_raw_parts(self.ptr, self.length) }
    }
}

/// Who reads what is lent.
pub(crate) type Read<'a> = dyn FnMut(&[u8]) + 'a;

/// Asks for bytes and lends them, if there are any.
fn lend(slot: Slot, read: &mut Read<'_>, ask: impl FnOnce(&'static Callbacks, Envoy, &mut Buffer) -> bool) {
    with_stream(slot, |callbacks, envoy| {
        let mut out = Buffer::NONE;
        if ask(callbacks, envoy, &mut out) {
            let _lending = Lending::begin();
            // SAFETY: just given, and nothing is changed while the reader has it.
            read(unsafe { out.bytes() });
        }
        Some(())
    });
}

/// Whether there is such a stream on this thread.
pub(crate) fn is_live(slot: Slot) -> bool {
    live(slot).is_some()
}

/// The configuration of a stream.
pub(crate) fn config_of(slot: Slot) -> Option<u32> {
    live(slot).map(|live| live.config)
}

/// Whether its response waits.
pub(crate) fn is_held(slot: Slot) -> bool {
    live(slot).is_some_and(|live| live.held)
}

fn hold(slot: Slot, held: bool) {
    STREAMS.with_borrow_mut(|streams| {
        if let Some(place) = streams.places.get_mut(slot as usize) {
            place.held = held;
        }
    });
}

/// One header, in the phase of its map.
pub(crate) fn header(slot: Slot, map: Map, name: &str, read: &mut Read<'_>) {
    lend(slot, read, |callbacks, envoy, out| {
        let name = Buffer::of(name.as_bytes());
        // SAFETY: a live stream of this thread; name and `out` outlive the call; the count is not asked for.
        unsafe {
            (callbacks.get_header)(envoy, map as u32, name, out, 0, std::ptr::null_mut())
                && !out.ptr.is_null()
        }
    });
}

/// All headers, in the phase of their map.
pub(crate) fn headers(slot: Slot, map: Map, read: &mut dyn FnMut(&[u8], &[u8])) {
    with_stream(slot, |callbacks, envoy| {
        let mut pairs = PAIRS.take();
        // SAFETY: a live stream of this thread.
        let count = unsafe { (callbacks.get_headers_size)(envoy, map as u32) };
        pairs.clear();
        pairs.resize(count, HeaderPair { key: Buffer::NONE, value: Buffer::NONE });
        // SAFETY: as above; there is room for as many as the proxy has just said it has.
        if unsafe { (callbacks.get_headers)(envoy, map as u32, pairs.as_mut_ptr()) } {
            let _lending = Lending::begin();
            for pair in &pairs {
                // SAFETY: just given, and nothing is changed while the reader has it.
                unsafe { read(pair.key.bytes(), pair.value.bytes()) };
            }
        }
        PAIRS.set(pairs);
        Some(())
    });
}

/// # Safety
/// As [`Buffer::to_vec`], for all of them.
unsafe fn copied(pairs: &[HeaderPair]) -> Vec<Header> {
    // SAFETY: the caller's promise.
    let copy = |pair: &HeaderPair| unsafe {
        (String::from_utf8_lossy(&pair.key.to_vec()).into_owned(), pair.value.to_vec())
    };
    pairs.iter().map(copy).collect()
}

/// Replaces a header, or removes it, in the phase of its map.
pub(crate) fn set_header(slot: Slot, map: Map, name: &str, value: Option<&[u8]>) {
    // An empty value is a value: only null removes.
    let value = value.map_or(Buffer::NONE, Buffer::of);
    change_stream(slot, |callbacks, envoy| {
        // SAFETY: a live stream of this thread; name and value outlive the call, which copies them.
        Some(unsafe { (callbacks.set_header)(envoy, map as u32, Buffer::of(name.as_bytes()), value) })
    });
}

/// Bytes of a piece of body.
pub(crate) fn body_bytes(slot: Slot, piece: Piece) -> usize {
    // SAFETY: a live stream of this thread.
    with_stream(slot, |callbacks, envoy| Some(unsafe { (callbacks.body_size)(envoy, piece as u32) }))
        .unwrap_or_default()
}

/// The first bytes of a piece of body, in parts.
pub(crate) fn body(slot: Slot, piece: Piece, most: usize, read: &mut Read<'_>) {
    with_stream(slot, |callbacks, envoy| {
        // SAFETY: a live stream of this thread.
        let count = unsafe { (callbacks.body_chunks_size)(envoy, piece as u32) };
        let mut chunks = vec![Buffer::NONE; count];
        // SAFETY: as above; there is room for as many as the proxy has just said it has.
        if !unsafe { (callbacks.body_chunks)(envoy, piece as u32, chunks.as_mut_ptr()) } {
            return None;
        }
        let _lending = Lending::begin();
        let mut room = most;
        for chunk in chunks.into_iter().take_while(|_| most > 0) {
            // SAFETY: just given, and nothing is changed while the reader has it; a shorter length is within it.
            read(unsafe { Buffer { length: chunk.length.min(room), ..chunk }.bytes() });
            room = room.saturating_sub(chunk.length);
            if room == 0 {
                break;
            }
        }
        Some(())
    });
}

/// A number about a stream.
pub(crate) fn integer(slot: Slot, attribute: Attribute) -> Option<u64> {
    with_stream(slot, |callbacks, envoy| {
        let mut out = 0;
        // SAFETY: a live stream of this thread; `out` outlives the call.
        unsafe { (callbacks.get_attribute_int)(envoy, attribute as u32, &mut out) }.then_some(out)
    })
}

/// A text about a stream.
pub(crate) fn text(slot: Slot, attribute: Attribute, read: &mut Read<'_>) {
    // SAFETY: a live stream of this thread; `out` outlives the call.
    lend(slot, read, |callbacks, envoy, out| unsafe {
        (callbacks.get_attribute_string)(envoy, attribute as u32, out)
    });
}

/// Name of the cluster that the route chose.
pub(crate) fn cluster_name(slot: Slot, read: &mut Read<'_>) {
    // SAFETY: a live stream of this thread; `out` outlives the call.
    lend(slot, read, |callbacks, envoy, out| unsafe { (callbacks.get_cluster_name)(envoy, out) });
}

/// A value that other filters of the stream see.
pub(crate) fn state(slot: Slot, key: &str, read: &mut Read<'_>) {
    let key = Buffer::of(key.as_bytes());
    // SAFETY: a live stream of this thread; key and `out` outlive the call.
    lend(slot, read, |callbacks, envoy, out| unsafe { (callbacks.get_filter_state)(envoy, key, out) });
}

/// Sets such a value, once.
pub(crate) fn set_state(slot: Slot, key: &str, value: &[u8]) {
    change_stream(slot, |callbacks, envoy| {
        // SAFETY: a live stream of this thread; key and value outlive the call, which copies them.
        Some(unsafe { (callbacks.set_filter_state)(envoy, Buffer::of(key.as_bytes()), Buffer::of(value)) })
    });
}

/// The route is chosen again.
pub(crate) fn clear_route_cache(slot: Slot) -> bool {
    let clear = |callbacks: &Callbacks, envoy| {
        // SAFETY: a live stream of this thread.
        unsafe { (callbacks.clear_route_cache)(envoy) };
        Some(())
    };
    change_stream(slot, clear).is_some()
}

/// Answers the request. May call hooks of this stream, and end it: last act of a hook.
pub(crate) fn respond(slot: Slot, status: u16, headers: &[(&str, &[u8])], body: &[u8]) {
    let headers = pairs(headers);
    hold(slot, false);
    change_stream(slot, |callbacks, envoy| {
        let (count, first) = (headers.len(), headers.as_ptr());
        // SAFETY: a live stream of this thread; all buffers outlive the call, which copies them. No lock of ours is held.
        unsafe {
            (callbacks.send_response)(
                envoy,
                status.into(),
                first,
                count,
                Buffer::of(body),
                Buffer::of(b"emac"),
            );
        }
        Some(())
    });
}

/// A held response goes on. May call hooks of this stream, and end it: last act of a hook.
pub(crate) fn resume(slot: Slot) {
    hold(slot, false);
    change_stream(slot, |callbacks, envoy| {
        // SAFETY: a live stream of this thread. No lock of ours is held.
        unsafe { (callbacks.continue_encoding)(envoy) };
        Some(())
    });
}

/// Calls another cluster on behalf of a stream; the number under which the answer comes.
pub(crate) fn callout(
    slot: Slot,
    cluster: &str,
    headers: &[(&str, &[u8])],
    body: &[u8],
    timeout_ms: u64,
) -> Option<u64> {
    let headers = pairs(headers);
    let body = if body.is_empty() { Buffer::NONE } else { Buffer::of(body) };
    change_stream(slot, |callbacks, envoy| {
        let (mut id, count, first) = (0, headers.len(), headers.as_ptr());
        let cluster = Buffer::of(cluster.as_bytes());
        // SAFETY: a live stream of this thread; all buffers outlive the call, which copies them. A failure that is known at once is
        // returned and calls no hook.
        let result = unsafe { (callbacks.callout)(envoy, &mut id, cluster, first, count, body, timeout_ms) };
        (result == SUCCESS).then_some(id)
    })
}

fn pairs(headers: &[(&str, &[u8])]) -> Vec<HeaderPair> {
    let pair = |(key, value): &(&str, &[u8])| HeaderPair {
        key: Buffer::of(key.as_bytes()),
        value: Buffer::of(value),
    };
    headers.iter().map(pair).collect()
}

/// Wakes a stream on its thread, from any thread; after the stream has gone it wakes nobody.
pub(crate) struct Waker(*mut c_void);

// SAFETY: the ABI says of schedulers that they may be used on any thread; they hold the stream weakly.
unsafe impl Send for Waker {}

impl Waker {
    /// Of a stream of this thread.
    pub(crate) fn new(slot: Slot) -> Option<Self> {
        // SAFETY: a live stream of this thread.
        let scheduler =
            with_stream(slot, |callbacks, envoy| Some(unsafe { (callbacks.scheduler_new)(envoy) }))?;
        (!scheduler.is_null()).then_some(Self(scheduler))
    }

    /// `hooks::on_woken` follows on the stream's thread.
    pub(crate) fn wake(&self) {
        if let Some(callbacks) = callbacks() {
            // SAFETY: not deleted before `drop`.
            unsafe { (callbacks.scheduler_commit)(self.0, 0) };
        }
    }
}

impl Drop for Waker {
    fn drop(&mut self) {
        if let Some(callbacks) = callbacks() {
            // SAFETY: made by `scheduler_new`, deleted once.
            unsafe { (callbacks.scheduler_delete)(self.0) };
        }
    }
}

// ------------------------------------------------------------------------------------------------------------------ configurations

struct LiveConfig {
    number: u32,
    /// An address in the proxy.
    envoy: usize,
    /// The main thread.
    thread: ThreadId,
}

static CONFIGS: Mutex<Vec<LiveConfig>> = Mutex::new(Vec::new());

fn add_config(envoy: Envoy) -> u32 {
    thread_local!(static LAST: Cell<u32> = const { Cell::new(0) });
    let mut configs = CONFIGS.lock().unwrap_or_else(PoisonError::into_inner);
    // Configurations are made on the main thread alone.
    let number = LAST.get().wrapping_add(1).max(1);
    LAST.set(number);
    configs.push(LiveConfig { number, envoy: envoy as usize, thread: std::thread::current().id() });
    number
}

fn remove_config(number: u32) {
    CONFIGS.lock().unwrap_or_else(PoisonError::into_inner).retain(|config| config.number != number);
}

/// Only on the thread that made it. Another may be about to let it go: the lock is held meanwhile, and whoever lets it go takes it too.
/// What may call a hook that comes back here is asked for inside a [`Confined`] value, where that hook stops.
fn with_config<T>(number: u32, ask: impl FnOnce(&'static Callbacks, Envoy) -> Option<T>) -> Option<T> {
    let is_home = |config: &LiveConfig| config.thread == std::thread::current().id();
    with_config_if(number, is_home, ask)
}

fn with_config_if<T>(
    number: u32,
    may: impl FnOnce(&LiveConfig) -> bool,
    ask: impl FnOnce(&'static Callbacks, Envoy) -> Option<T>,
) -> Option<T> {
    let callbacks = callbacks()?;
    let configs = CONFIGS.lock().unwrap_or_else(PoisonError::into_inner);
    let config = configs.iter().find(|config| config.number == number)?;
    if may(config) { ask(callbacks, config.envoy as Envoy) } else { None }
}

/// Whether this is the thread that made a configuration.
pub(crate) fn is_at_home(number: u32) -> bool {
    let configs = CONFIGS.lock().unwrap_or_else(PoisonError::into_inner);
    configs.iter().any(|config| config.number == number && config.thread == std::thread::current().id())
}

/// Wakes the main thread on behalf of a configuration, from any thread.
pub(crate) struct MainWaker(*mut c_void);

// SAFETY: the ABI says of schedulers that they may be used on any thread; they hold the configuration weakly.
unsafe impl Send for MainWaker {}

impl MainWaker {
    /// Of a configuration, on the main thread.
    pub(crate) fn new(config: u32) -> Option<Self> {
        let new = |callbacks: &Callbacks, envoy| {
            // SAFETY: a live configuration, on its thread.
            Some(unsafe { (callbacks.config_scheduler_new)(envoy) })
        };
        with_config(config, new).filter(|scheduler| !scheduler.is_null()).map(Self)
    }

    /// `hooks::on_tick` follows on the main thread.
    pub(crate) fn wake(&self) {
        if let Some(callbacks) = callbacks() {
            // SAFETY: not deleted before `drop`.
            unsafe { (callbacks.config_scheduler_commit)(self.0, 0) };
        }
    }
}

impl Drop for MainWaker {
    fn drop(&mut self) {
        if let Some(callbacks) = callbacks() {
            // SAFETY: made by `config_scheduler_new`, deleted once.
            unsafe { (callbacks.config_scheduler_delete)(self.0) };
        }
    }
}

/// Opens a stream to a cluster; on the main thread. Without an end of its own and without a timeout.
pub(crate) fn open_stream(config: u32, cluster: &str, headers: &[(&str, &[u8])]) -> Option<u64> {
    let headers = pairs(headers);
    with_config(config, |callbacks, envoy| {
        let (mut id, count, first) = (0, headers.len(), headers.as_ptr());
        let cluster = Buffer::of(cluster.as_bytes());
        // SAFETY: a live configuration, on its thread; all buffers outlive the call, which copies them.
        let result = unsafe {
            (callbacks.start_stream)(envoy, &mut id, cluster, first, count, Buffer::NONE, false, 0)
        };
        (result == SUCCESS).then_some(id)
    })
}

/// Sends on such a stream. May call its hooks.
pub(crate) fn send(config: u32, stream: u64, bytes: &[u8]) -> bool {
    with_config(config, |callbacks, envoy| {
        // SAFETY: a live configuration, on its thread; the bytes outlive the call, which copies them. An unknown stream is refused.
        Some(unsafe { (callbacks.send_data)(envoy, stream, Buffer::of(bytes), false) })
    })
    .unwrap_or_default()
}

/// Ends such a stream. May call its hooks; not out of one of them.
pub(crate) fn reset(config: u32, stream: u64) {
    with_config(config, |callbacks, envoy| {
        // SAFETY: a live configuration, on its thread. An unknown stream is ignored.
        unsafe { (callbacks.reset_stream)(envoy, stream) };
        Some(())
    });
}

// -------------------------------------------------------------------------------------------------- another copy of this shared object

/// What copies in one process ask of the one that was there first. A file that is replaced while Envoy runs is loaded beside the one before,
/// which stays (`-z nodelete`); what wasm modules leave in Envoy's shared data and queues stays with it.
#[repr(u32)]
#[derive(Clone, Copy)]
enum Wish {
    Get = 0,
    Set = 1,
    Enqueue = 2,
    Dequeue = 3,
    /// Wants to be told when another copy takes over the streams to the control plane.
    Join = 4,
    /// Takes them over.
    TakeOver = 5,
}

/// Takes an answer: where to, the bytes, their version.
type Taker = extern "C" fn(*mut c_void, Buffer, u32);
/// A wish, a key, a value, a version ([`ANY`]: none), and who takes the answer. Not 0: done.
type Serve = extern "C" fn(u32, Buffer, Buffer, u64, *mut c_void, Taker) -> u32;

/// Of these wishes. Copies that understand each other differently do not speak.
const COPIES: &[u8] = b"emac.copies.1";
const ANY: u64 = u64::MAX;

/// Lets go of the streams to the control plane, on the main thread.
type LetGo = extern "C" fn();

static FIRST: OnceLock<Option<Serve>> = OnceLock::new();
/// Addresses of every other copy's [`let_go`]; only the first copy knows them.
static JOINED: Mutex<Vec<usize>> = Mutex::new(Vec::new());

extern "C" fn let_go() {
    guarded(hooks::Hook::Copies, (), process::let_go);
}

fn own_let_go() -> [u8; 8] {
    (let_go as LetGo as usize as u64).to_le_bytes()
}

/// Tells every other copy to let go of the streams to the control plane; on the main thread.
pub(crate) fn take_over() {
    if ask_first(Wish::TakeOver, "", &own_let_go(), ANY).is_none() {
        tell_joined(0);
    }
}

/// Tells the copies that have joined but one.
fn tell_joined(but: usize) {
    let joined = JOINED.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for address in joined.into_iter().filter(|address| *address != but) {
        // SAFETY: joined by a copy of this file, which is never unloaded, with this signature; it does not unwind.
        let let_go = unsafe { std::mem::transmute::<*const c_void, LetGo>(address as *const c_void) };
        let_go();
    }
}

/// Finds the copy that was there first, or becomes it. On the main thread, before any request.
pub(crate) fn meet_other_copies() {
    FIRST.get_or_init(|| {
        let callbacks = callbacks()?;
        let (get, register) = (callbacks.get_function?, callbacks.register_function?);
        let mut found = std::ptr::null_mut();
        // SAFETY: the key and `found` outlive the call.
        if unsafe { get(Buffer::of(COPIES), &mut found) } && !found.is_null() {
            // SAFETY: registered under this key by a copy of this file, with this signature, and never unloaded.
            let serve = unsafe { std::mem::transmute::<*mut c_void, Serve>(found) };
            let own = own_let_go();
            serve(Wish::Join as u32, Buffer::NONE, Buffer::of(&own), ANY, std::ptr::null_mut(), take_answer);
            return Some(serve);
        }
        // SAFETY: the key outlives the call, and the function the process.
        unsafe { register(Buffer::of(COPIES), serve_other_copies as Serve as *mut c_void) };
        None
    });
}

extern "C" fn take_answer(to: *mut c_void, bytes: Buffer, version: u32) {
    // SAFETY: `to` is what `ask_first` passed to the call that this is part of; the bytes are the other copy's, and outlive it.
    unsafe { *to.cast::<Option<(Vec<u8>, u32)>>() = Some((bytes.to_vec(), version)) };
}

/// Bytes and their version.
type Versioned = (Vec<u8>, u32);

/// Asks the first copy; `None`: this is it.
fn ask_first(wish: Wish, key: &str, value: &[u8], version: u64) -> Option<(bool, Option<Versioned>)> {
    let serve = (*FIRST.get()?)?;
    let mut answer: Option<(Vec<u8>, u32)> = None;
    let to = (&raw mut answer).cast::<c_void>();
    let done =
        serve(wish as u32, Buffer::of(key.as_bytes()), Buffer::of(value), version, to, take_answer) != 0;
    Some((done, answer))
}

extern "C" fn serve_other_copies(
    wish: u32,
    key: Buffer,
    value: Buffer,
    version: u64,
    to: *mut c_void,
    take: Taker,
) -> u32 {
    guarded(hooks::Hook::Copies, 0, || {
        // SAFETY: of another copy, for this call.
        let (key, value) = unsafe { (key.to_vec(), value.to_vec()) };
        let key = String::from_utf8_lossy(&key);
        let answer = |found: Option<(Vec<u8>, u32)>| {
            found.map_or(0, |(bytes, version)| {
                take(to, Buffer::of(&bytes), version);
                1
            })
        };
        match wish {
            0 => answer(process::own_shared(&key)),
            1 => u32::from(process::set_own_shared(&key, &value, u32::try_from(version).ok())),
            2 => u32::from(process::own_enqueue(&value)),
            3 => answer(process::own_dequeue().map(|item| (item, 0))),
            4 | 5 => {
                let Ok(address) = value.try_into().map(u64::from_le_bytes) else { return 0 };
                if wish == Wish::Join as u32 {
                    JOINED.lock().unwrap_or_else(PoisonError::into_inner).push(address as usize);
                } else {
                    process::let_go();
                    tell_joined(address as usize);
                }
                1
            }
            _ => 0,
        }
    })
}

/// A value that all copies share, if another copy has them.
pub(crate) fn shared_elsewhere(key: &str) -> Option<Option<(Vec<u8>, u32)>> {
    ask_first(Wish::Get, key, &[], ANY).map(|(_, answer)| answer)
}

/// Writes one.
pub(crate) fn set_elsewhere(key: &str, value: &[u8], version: Option<u32>) -> Option<bool> {
    ask_first(Wish::Set, key, value, version.map_or(ANY, u64::from)).map(|(done, _)| done)
}

/// Appends to the queue that all copies share.
pub(crate) fn enqueue_elsewhere(item: &[u8]) -> Option<bool> {
    ask_first(Wish::Enqueue, "", item, ANY).map(|(done, _)| done)
}

/// Takes the oldest.
pub(crate) fn dequeue_elsewhere() -> Option<Option<Vec<u8>>> {
    ask_first(Wish::Dequeue, "", &[], ANY).map(|(_, answer)| answer.map(|(item, _)| item))
}

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Grows.
    Counter,
    /// Is set.
    Gauge,
    /// Takes values.
    Histogram,
}

/// Defines a metric; only while its configuration is being made.
pub(crate) fn define(config: u32, kind: Kind, name: &str, labels: &[&str]) -> Option<usize> {
    let labels: Vec<Buffer> = labels.iter().map(|label| Buffer::of(label.as_bytes())).collect();
    with_config(config, |callbacks, envoy| {
        let define = match kind {
            Kind::Counter => callbacks.define_counter,
            Kind::Gauge => callbacks.define_gauge,
            Kind::Histogram => callbacks.define_histogram,
        };
        let mut id = 0;
        // SAFETY: a live configuration, on its thread; all buffers outlive the call, which copies them.
        let result =
            unsafe { define(envoy, Buffer::of(name.as_bytes()), labels.as_ptr(), labels.len(), &mut id) };
        (result == SUCCESS).then_some(id)
    })
}

/// Adds to a counter, sets a gauge, or gives a histogram a value, on any thread, as streams of any thread do. `false`: not done.
pub(crate) fn write_metric(config: u32, kind: Kind, id: usize, labels: &[&str], value: u64) -> bool {
    let labels: Vec<Buffer> = labels.iter().map(|label| Buffer::of(label.as_bytes())).collect();
    let written = with_config_if(
        config,
        |_| true,
        |callbacks, envoy| {
            let write = match kind {
                Kind::Counter => callbacks.config_increment_counter?,
                Kind::Gauge => callbacks.config_set_gauge?,
                Kind::Histogram => callbacks.config_record_histogram?,
            };
            // SAFETY: a live configuration, whose metrics are fixed and whose counters are atomic; all buffers outlive the call. An unknown id
            // is refused.
            Some(unsafe { write(envoy, id, labels.as_ptr(), labels.len(), value) } == SUCCESS)
        },
    );
    written.unwrap_or_default()
}

/// The same on behalf of a stream of this thread.
pub(crate) fn write_metric_by_stream(slot: Slot, kind: Kind, id: usize, labels: &[&str], value: u64) -> bool {
    let labels: Vec<Buffer> = labels.iter().map(|label| Buffer::of(label.as_bytes())).collect();
    let written = with_stream(slot, |callbacks, envoy| {
        let write = match kind {
            Kind::Counter => callbacks.increment_counter,
            Kind::Gauge => callbacks.set_gauge,
            Kind::Histogram => callbacks.record_histogram,
        };
        // SAFETY: a live stream of this thread; all buffers outlive the call. An unknown id is refused.
        Some(unsafe { write(envoy, id, labels.as_ptr(), labels.len(), value) } == SUCCESS)
    });
    written.unwrap_or_default()
}

// ------------------------------------------------------------------------------------------------------------------------ confined

/// A value that belongs to one thread at a time, whatever pointers it has inside (the filter's logic shares by `Rc`).
///
/// It is made, used and dropped under one lock, and nothing that is not `Send` gets in or out, so no two threads ever touch the same `Rc`.
/// A panic inside leaves it in some state between two: the next user finds a new one, as a trapped wasm VM is replaced.
pub(crate) struct Confined<T> {
    value: Mutex<Option<T>>,
    make: fn() -> T,
}

// SAFETY: see the type: all access is exclusive, and what is shared inside never leaves. Its thread-locals are not ours to use.
unsafe impl<T> Send for Confined<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Confined<T> {}

thread_local!(static INSIDE: Cell<u32> = const { Cell::new(0) });

/// Counts this thread out again, also when it unwinds.
struct Inside;

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.set(INSIDE.get().saturating_sub(1));
    }
}

impl<T> Confined<T> {
    pub(crate) const fn new(make: fn() -> T) -> Self {
        Self { value: Mutex::new(None), make }
    }

    /// Uses the value; `None` when this thread is using one already, out of which only a call of the proxy can have led here.
    pub(crate) fn with<R: Send>(&self, work: impl FnOnce(&mut T) -> R + Send) -> Option<R> {
        if INSIDE.get() > 0 {
            return None;
        }
        let mut value = self.value.lock().unwrap_or_else(|poisoned| {
            self.value.clear_poison();
            let mut value = poisoned.into_inner();
            *value = None;
            value
        });
        INSIDE.set(INSIDE.get() + 1);
        let inside = Inside;
        let result = work(value.get_or_insert_with(self.make));
        drop(inside);
        Some(result)
    }
}

// --------------------------------------------------------------------------------------------------------------------------- hooks

/// Runs a hook. A panic is counted, and the answer is the one that lets the request pass.
fn guarded<T>(hook: hooks::Hook, otherwise: T, work: impl FnOnce() -> T) -> T {
    // What a panic leaves behind is replaced (`Confined`), or is a table of numbers that stays whole.
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)) {
        Ok(done) => done,
        Err(_) => {
            // Saying so must not unwind either.
            let _ = std::panic::catch_unwind(|| hooks::on_panic(hook));
            otherwise
        }
    }
}

fn slot_of(module: Module) -> Slot {
    Slot::try_from((module as usize).wrapping_sub(1)).unwrap_or(Slot::MAX)
}

fn number_of(module: Module) -> u32 {
    u32::try_from(module as usize).unwrap_or_default()
}

fn waits(slot: Slot, go: Go) -> u32 {
    hold(slot, go == Go::Wait);
    go as u32
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_program_init() -> *const c_char {
    VERSION.as_ptr()
}

/// Never null: a configuration that cannot be read passes everything, where a refusal would leave the listener without a filter chain.
#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_config_new(
    envoy: Envoy,
    _name: Buffer,
    config: Buffer,
) -> Module {
    let number = add_config(envoy);
    guarded(hooks::Hook::ConfigNew, (), || {
        // SAFETY: given for this hook.
        hooks::on_config(number, unsafe { config.to_vec() });
    });
    number as usize as Module
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_config_destroy(module: Module) {
    // On any thread. What the configuration has open can be ended until this returns, on the main thread.
    guarded(hooks::Hook::ConfigDestroy, (), || hooks::on_config_gone(number_of(module)));
    remove_config(number_of(module));
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_config_scheduled(_: Envoy, module: Module, _event: u64) {
    guarded(hooks::Hook::Tick, (), || hooks::on_tick(number_of(module)));
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_new(config: Module, envoy: Envoy) -> Module {
    let slot = add_stream(envoy, number_of(config));
    guarded(hooks::Hook::New, (), || hooks::on_new(slot, number_of(config)));
    (slot as usize + 1) as Module
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_destroy(module: Module) {
    let slot = slot_of(module);
    guarded(hooks::Hook::Destroy, (), || hooks::on_destroy(slot));
    remove_stream(slot);
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_request_headers(
    _: Envoy,
    module: Module,
    end: bool,
) -> u32 {
    guarded(hooks::Hook::RequestHeaders, Go::On, || hooks::on_request_headers(slot_of(module), end)) as u32
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_request_body(_: Envoy, module: Module, end: bool) -> u32 {
    guarded(hooks::Hook::RequestBody, (), || hooks::on_request_body(slot_of(module), end));
    0
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_request_trailers(_: Envoy, module: Module) -> u32 {
    guarded(hooks::Hook::RequestTrailers, (), || hooks::on_request_trailers(slot_of(module)));
    0
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_response_headers(
    _: Envoy,
    module: Module,
    end: bool,
) -> u32 {
    let slot = slot_of(module);
    waits(slot, guarded(hooks::Hook::ResponseHeaders, Go::On, || hooks::on_response_headers(slot, end)))
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_response_body(_: Envoy, module: Module, end: bool) -> u32 {
    let go = guarded(hooks::Hook::ResponseBody, Go::On, || hooks::on_response_body(slot_of(module), end));
    // Of data, 1 is "stop and keep".
    u32::from(go == Go::Wait)
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_response_trailers(_: Envoy, module: Module) -> u32 {
    let go = guarded(hooks::Hook::ResponseTrailers, Go::On, || hooks::on_response_trailers(slot_of(module)));
    // Of trailers, 1 is "stop".
    u32::from(go == Go::Wait)
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_stream_complete(_: Envoy, module: Module) {
    guarded(hooks::Hook::Complete, (), || hooks::on_complete(slot_of(module)));
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_scheduled(_: Envoy, module: Module, _event: u64) {
    guarded(hooks::Hook::Woken, (), || hooks::on_woken(slot_of(module)));
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_http_callout_done(
    _: Envoy,
    module: Module,
    id: u64,
    result: u32,
    headers: *const HeaderPair,
    headers_size: usize,
    chunks: *const Buffer,
    chunks_size: usize,
) {
    let slot = slot_of(module);
    guarded(hooks::Hook::Callout, (), || {
        // SAFETY: given for this hook, with their sizes; nothing was asked of the proxy since.
        let (headers, body) = unsafe { (header_list(headers, headers_size), joined(chunks, chunks_size)) };
        hooks::on_callout(slot, id, (result == SUCCESS).then_some((headers, body)));
    });
    // Nobody is left to say so: the worker's state was replaced while the response waited.
    guarded(hooks::Hook::Callout, (), || hooks::release(slot));
}

/// # Safety
/// Given by the proxy in this hook, and nothing was changed in the proxy since.
unsafe fn header_list(first: *const HeaderPair, count: usize) -> Vec<Header> {
    if first.is_null() || count == 0 {
        return Vec::new();
    }
    // SAFETY: the caller's promise.
    unsafe { copied(std::slice::from_raw_parts(first, count)) }
}

/// # Safety
/// As [`header_list`].
unsafe fn joined(first: *const Buffer, count: usize) -> Vec<u8> {
    if first.is_null() || count == 0 {
        return Vec::new();
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(first, count).iter().flat_map(|chunk| chunk.to_vec()).collect() }
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_config_http_stream_headers(
    _: Envoy,
    module: Module,
    stream: u64,
    headers: *const HeaderPair,
    count: usize,
    end: bool,
) {
    guarded(hooks::Hook::Stream, (), || {
        // SAFETY: given for this hook.
        hooks::on_stream_headers((number_of(module), stream), &unsafe { header_list(headers, count) }, end);
    });
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_config_http_stream_data(
    _: Envoy,
    module: Module,
    stream: u64,
    chunks: *const Buffer,
    count: usize,
    end: bool,
) {
    guarded(hooks::Hook::Stream, (), || {
        // SAFETY: given for this hook.
        hooks::on_stream_data((number_of(module), stream), unsafe { joined(chunks, count) }, end);
    });
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_config_http_stream_trailers(
    _: Envoy,
    module: Module,
    stream: u64,
    trailers: *const HeaderPair,
    count: usize,
) {
    guarded(hooks::Hook::Stream, (), || {
        // SAFETY: given for this hook.
        hooks::on_stream_headers((number_of(module), stream), &unsafe { header_list(trailers, count) }, true);
    });
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_config_http_stream_complete(
    _: Envoy,
    module: Module,
    stream: u64,
) {
    guarded(hooks::Hook::Stream, (), || hooks::on_stream_gone((number_of(module), stream)));
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_config_http_stream_reset(
    _: Envoy,
    module: Module,
    stream: u64,
    _reason: u32,
) {
    guarded(hooks::Hook::Stream, (), || hooks::on_stream_gone((number_of(module), stream)));
}

// Envoy wants these of every module; we open no streams on behalf of requests, and buffer nothing.

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_http_stream_headers(
    _: Envoy,
    _: Module,
    _: u64,
    _: *const HeaderPair,
    _: usize,
    _: bool,
) {
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_http_stream_data(
    _: Envoy,
    _: Module,
    _: u64,
    _: *const Buffer,
    _: usize,
    _: bool,
) {
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_http_stream_trailers(
    _: Envoy,
    _: Module,
    _: u64,
    _: *const HeaderPair,
    _: usize,
) {
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_http_stream_complete(_: Envoy, _: Module, _: u64) {}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_http_stream_reset(_: Envoy, _: Module, _: u64, _: u32) {}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_downstream_above_write_buffer_high_watermark(
    _: Envoy,
    _: Module,
) {
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_downstream_below_write_buffer_low_watermark(
    _: Envoy,
    _: Module,
) {
}
