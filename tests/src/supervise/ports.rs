//! Free ports on loopback, held until they are needed.
//!
//! Envoys must know each other's ports before any of them runs, so ports cannot be chosen by the process that listens. A
//! reservation is a bound socket outside the range from which the kernel takes ports for outgoing connections: while it is
//! held nobody else can bind the port, and in the instant between release and use only another searcher like this one could.
//! Whoever listens must not set `SO_REUSEPORT`, so that losing that race is an error (and the start is tried again), not two
//! programs sharing a port.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// Below Linux's default ephemeral range (32 768 ..= 60 999), above the registered ports in common use.
const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

/// A port nobody else can bind while this lives.
#[derive(Debug)]
pub struct Reserved {
    listener: TcpListener,
    port: u16,
}

impl Reserved {
    /// The port; still held.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Lets go, just before the real listener binds.
    pub fn release(self) -> u16 {
        self.port
    }

    /// The socket itself, for a listener in this process: no gap at all.
    pub fn into_listener(self) -> TcpListener {
        self.listener
    }
}

/// A free port of 127.0.0.1. Fails when none of 12 000 can be bound.
pub fn reserve() -> io::Result<Reserved> {
    // Processes start at different places and walk on from there, so that two of them rarely look at the same port.
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let offset = std::process::id().wrapping_mul(7_919);
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + offset.wrapping_add(step) % COUNT;
        match bind(port) {
            Ok(reserved) => return Ok(reserved),
            Err(e) => last = e,
        }
    }
    Err(last)
}

fn bind(port: u32) -> io::Result<Reserved> {
    let port = u16::try_from(port).map_err(io::Error::other)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    Ok(Reserved { listener, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_port_is_nobody_elses() {
        let held = reserve().unwrap();
        assert!(TcpListener::bind(held.address()).is_err());
        assert_ne!(reserve().unwrap().port(), held.port());
        let port = held.release();
        assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok());
    }
}
