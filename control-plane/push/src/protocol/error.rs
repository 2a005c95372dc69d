//! Why a stream ends from the server's side.

/// The gRPC status code of an ended stream, named as gRPC does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The client broke the protocol; asking again the same way will fail again.
    InvalidArgument,
    /// The client asks for more than it may hold.
    ResourceExhausted,
    /// This server cannot serve now; another attempt may succeed.
    Unavailable,
}

/// What ends a stream. Everything less is answered within the protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// On an aggregated stream every request must name its kind.
    #[error("type_url is required on an aggregated stream")]
    NoTypeUrl,
    /// A stream of one kind was asked for another.
    #[error("this stream serves {served}, not {asked}")]
    WrongKind {
        /// The stream's own kind.
        served: String,
        /// What the request named.
        asked: String,
    },
    /// More names than a client may be subscribed to.
    #[error("a client may subscribe to at most {max} names of {type_url}, this one asks for {asked}")]
    TooManyNames {
        /// The kind.
        type_url: String,
        /// Names after the request.
        asked: usize,
        /// Names allowed.
        max: usize,
    },
    /// Whoever publishes the snapshots has gone.
    #[error("the source of resources has closed")]
    SourceClosed,
}

impl StreamError {
    /// The status code the stream ends with.
    pub const fn code(&self) -> Code {
        match self {
            Self::NoTypeUrl | Self::WrongKind { .. } => Code::InvalidArgument,
            Self::TooManyNames { .. } => Code::ResourceExhausted,
            Self::SourceClosed => Code::Unavailable,
        }
    }
}
