//! `engine`: where evidence and plans are kept, and so whether there may be several control planes.

use std::path::PathBuf;

/// `engine`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// `embedded`: a file of this process; it is alone.
    #[default]
    Embedded,
    /// `nats`: NATS JetStream, shared by every replica.
    Nats(Box<Nats>),
}

/// `engine.nats`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nats {
    /// `url`: one or more servers of the same NATS, `nats://` or `tls://`.
    pub url: Vec<String>,
    /// `cluster`: name of the control plane that these replicas are; streams of another name are refused.
    pub cluster: String,
    /// `prefix`: of every subject, stream and bucket.
    pub prefix: String,
    /// `replicas`: copies of each message that NATS keeps, 1, 3 or 5.
    pub replicas: usize,
    /// `replica`: name of this replica, for people.
    pub replica: Option<String>,
    /// `user` and `passwordFile`.
    pub user: Option<(String, PathBuf)>,
    /// `credentials`: file with the JWT and the key of a NATS user.
    pub credentials: Option<PathBuf>,
    /// `tls`.
    pub tls: Option<NatsTls>,
    /// `streamBytes`: most bytes of each of the two streams; full, they refuse.
    pub stream_bytes: u64,
}

/// `engine.nats.tls`: PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatsTls {
    /// `authorities`: who may have signed the certificate of NATS.
    pub authorities: PathBuf,
    /// `certificate` and `key`: by which NATS knows this replica.
    pub client: Option<(PathBuf, PathBuf)>,
}

impl Nats {
    /// `prefix` where none is written.
    pub const PREFIX: &'static str = "emac";
    /// `streamBytes` where none is written: a GiB, minutes of the reports of ten thousand sidecars.
    pub const STREAM_BYTES: u64 = 1 << 30;
}
