//! Where connections come in.

use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener};

use super::wire::Duplex;
use crate::config::Address;
use crate::identity::Remote;

/// Connections that the system keeps until they are taken: a rollout's, which come at once.
const BACKLOG: u32 = 4_096;
/// Pings of TCP that stay unanswered until a connection is over.
const PINGS: u32 = 3;
/// For the control plane's user and group; the sidecar in front is of one of them (`fsGroup`).
const SOCKET_MODE: u32 = 0o660;

/// A socket that takes connections; one in the file system is removed when dropped.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    /// How often TCP asks whether the peer is there.
    keepalive: Duration,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix { listener: UnixListener, path: PathBuf },
}

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// What the system said.
    #[error(transparent)]
    System(#[from] io::Error),
    /// Something stands at the path that is no socket of a control plane that has ended.
    #[error("{0}")]
    Taken(&'static str),
}

impl Listener {
    /// Listens.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn bind(address: &Address, keepalive: Duration) -> Result<Self, BindError> {
        let socket = match address {
            Address::Tcp(address) => {
                let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
                socket.set_reuseaddr(true)?;
                socket.bind(*address)?;
                Socket::Tcp(socket.listen(BACKLOG)?)
            }
            Address::Unix(path) => {
                remove_stale(path)?;
                let listener = UnixListener::bind(path)?;
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(SOCKET_MODE))?;
                Socket::Unix { listener, path: path.clone() }
            }
        };
        Ok(Self { socket, keepalive })
    }

    /// Where it listens; `asked` when the system does not say.
    pub fn address(&self, asked: &Address) -> Address {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr().map_or_else(|_| asked.clone(), Address::Tcp),
            Socket::Unix { path, .. } => Address::Unix(path.clone()),
        }
    }

    pub(super) async fn accept(&self) -> io::Result<(Box<dyn Duplex>, Remote)> {
        match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, remote) = listener.accept().await?;
                // What cannot be set leaves a connection that works.
                let _ = set_options(&stream, self.keepalive);
                Ok((Box::new(stream), Remote::Tcp(remote)))
            }
            Socket::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                Ok((Box::new(stream), Remote::Unix))
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Socket::Unix { path, .. } = &self.socket {
            let _ = std::fs::remove_file(path);
        }
    }
}

fn set_options(stream: &TcpStream, keepalive: Duration) -> io::Result<()> {
    // Without it a short answer waits for the acknowledgement of the one before.
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    // Whole seconds, at least one.
    let every = Duration::from_secs(keepalive.as_secs().max(1));
    sockopt::set_tcp_keepidle(stream, every)?;
    sockopt::set_tcp_keepintvl(stream, every)?;
    Ok(sockopt::set_tcp_keepcnt(stream, PINGS)?)
}

/// Removes the socket of a control plane that has ended. What answers, or is no socket, stays.
fn remove_stale(path: &Path) -> Result<(), BindError> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(BindError::Taken("there is a file of this name that is no socket"));
        }
        Ok(_) => {}
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(std::fs::remove_file(path)?),
        Ok(_) => Err(BindError::Taken("another process listens on it")),
        Err(error) => Err(error.into()),
    }
}
