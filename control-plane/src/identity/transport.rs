//! What a connection and a stream are known by before anybody says a word on them.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::tls::Certificate;

/// What the transport knows of a peer.
#[derive(Clone, Debug)]
pub struct Transport {
    pub(crate) certificate: Option<Arc<Certificate>>,
    pub(crate) remote: Remote,
    /// Over TLS: the peer has seen our certificate, for the name by which it called.
    pub(crate) secured: bool,
}

impl Transport {
    /// Whether it came over TLS that this process ends.
    pub fn is_secured(&self) -> bool {
        self.secured
    }

    /// Whether it comes from this machine.
    pub fn is_local(&self) -> bool {
        match self.remote {
            Remote::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Remote::Unix => true,
        }
    }
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remote {
    /// Over the network.
    Tcp(SocketAddr),
    /// Over a socket in the file system.
    Unix,
}

/// Where connections come from, for counting: an address of version 4, the 64 bits of one of version 6 that a host cannot choose, or
/// the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// All four bytes.
    V4([u8; 4]),
    /// The first eight bytes.
    V6([u8; 8]),
    /// The host itself.
    Unix,
}

/// Takes a stream away from its peer, whether or not it reads: the stream is reset.
#[derive(Clone, Debug, Default)]
pub struct Cut(pub(crate) CancellationToken);

impl Remote {
    /// For counting.
    pub fn origin(self) -> Origin {
        match self {
            Self::Unix => Origin::Unix,
            Self::Tcp(address) => match address.ip().to_canonical() {
                IpAddr::V4(ip) => Origin::V4(ip.octets()),
                IpAddr::V6(ip) => {
                    let [a, b, c, d, e, f, g, h, ..] = ip.octets();
                    Origin::V6([a, b, c, d, e, f, g, h])
                }
            },
        }
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix => f.write_str("unix socket"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4291: a host chooses the lower half of its address itself.
    #[test]
    fn a_host_is_one_origin_whatever_address_it_chooses() {
        let origin = |address: &str| Remote::Tcp(address.parse().unwrap()).origin();
        assert_eq!(origin("[2001:db8:1:2:3::1]:1"), origin("[2001:db8:1:2:ffff::9]:2"));
        assert_ne!(origin("[2001:db8:1:2::1]:1"), origin("[2001:db8:1:3::1]:1"));
        assert_eq!(origin("[::ffff:10.0.0.1]:1"), origin("10.0.0.1:7"));
        assert_ne!(origin("10.0.0.1:1"), origin("10.0.0.2:1"));
    }
}
