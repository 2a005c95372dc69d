//! Whom to open a stream to, in the one spelling that is safe.
//!
//! Envoy first parses the string it is given as a serialised `envoy.config.core.v3.GrpcService`, and a bare cluster name can be valid wire
//! bytes of something else: that aborts the whole process. So the message is always spelled out. It must also be ASCII, because the SDK
//! takes `&str`: `envoy_grpc` is split into two sub-messages of less than 128 bytes each, which merge when parsed.

/// A serialised `GrpcService { envoy_grpc { cluster_name, authority } }`, and what to say with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcTarget {
    /// The message, then the value of the `authorization` header, which may be empty: one string weighs less in the module than two.
    text: String,
    message_bytes: usize,
}

/// Why a target cannot be spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTarget {
    /// Each name is a field of a message below 128 bytes; a token is a header's value.
    #[error("printable ASCII only: 1 to 125 of cluster and authority, 1024 of token")]
    Name,
}

impl GrpcTarget {
    /// Longest name whose sub-message has a length of one ASCII byte.
    pub const NAME_BYTES_MAX: usize = 125;

    /// Spells a cluster and the `:authority` to use with it; empty: the host in an Istio cluster name (`outbound|port||host`), else
    /// the cluster's name if it can be one, else `emac`.
    ///
    /// # Errors
    /// [`InvalidTarget`].
    pub fn new(cluster: &str, authority: &str) -> Result<Self, InvalidTarget> {
        let authority = if authority.is_empty() { authority_of(cluster) } else { authority };
        let mut message = String::with_capacity(cluster.len() + authority.len() + 8);
        // Field 1 (cluster_name) and field 2 (authority) of field 1 (envoy_grpc).
        for (tag, name) in [('\u{0a}', cluster), ('\u{12}', authority)] {
            if name.is_empty() || !printable(name, Self::NAME_BYTES_MAX) {
                return Err(InvalidTarget::Name);
            }
            message.push('\u{0a}');
            message.push(length(name.len() + 2)?);
            message.push(tag);
            message.push(length(name.len())?);
            message.push_str(name);
        }
        Ok(Self { message_bytes: message.len(), text: message })
    }

    /// The message.
    pub fn as_str(&self) -> &str {
        self.text.get(..self.message_bytes).unwrap_or_default()
    }

    /// Cluster and authority out of the message, for a host that opens streams by these.
    pub fn names(message: &str) -> Option<(&str, &str)> {
        let (cluster, rest) = field(message, '\u{0a}')?;
        let (authority, rest) = field(rest, '\u{12}')?;
        rest.is_empty().then_some((cluster, authority))
    }

    /// Longest token: that of the longest names `emac token` signs, and room.
    pub const TOKEN_BYTES_MAX: usize = 1_024;

    /// With a token that is sent as `authorization: Bearer`; empty: none.
    ///
    /// # Errors
    /// [`InvalidTarget`].
    pub fn with_token(mut self, token: &str) -> Result<Self, InvalidTarget> {
        if !printable(token, Self::TOKEN_BYTES_MAX) {
            return Err(InvalidTarget::Name);
        }
        if !token.is_empty() {
            self.text.push_str("Bearer ");
            self.text.push_str(token);
        }
        Ok(self)
    }

    /// Value of the `authorization` header; empty: none.
    pub fn authorization(&self) -> &str {
        self.text.get(self.message_bytes..).unwrap_or_default()
    }
}

/// The name in the sub-message at the beginning, and what follows.
fn field(message: &str, tag: char) -> Option<(&str, &str)> {
    let mut bytes = message.chars();
    let (outer, whole, inner, length) = (bytes.next()?, bytes.next()?, bytes.next()?, bytes.next()?);
    let (whole, length) = (whole as usize, length as usize);
    if (outer, inner) != ('\u{0a}', tag) || whole != length + 2 {
        return None;
    }
    bytes.as_str().split_at_checked(length)
}

fn printable(text: &str, most: usize) -> bool {
    text.len() <= most && text.bytes().all(|b| b.is_ascii_graphic())
}

fn length(bytes: usize) -> Result<char, InvalidTarget> {
    u8::try_from(bytes).ok().filter(u8::is_ascii).map(char::from).ok_or(InvalidTarget::Name)
}

fn authority_of(cluster: &str) -> &str {
    let host = cluster.rsplit('|').next().unwrap_or_default();
    let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    if !host.is_empty() && host.bytes().all(known) { host } else { "emac" }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    #[derive(Clone, PartialEq, prost::Message)]
    struct EnvoyGrpc {
        #[prost(string, tag = "1")]
        cluster_name: String,
        #[prost(string, tag = "2")]
        authority: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    struct GrpcService {
        #[prost(message, optional, tag = "1")]
        envoy_grpc: Option<EnvoyGrpc>,
    }

    fn parsed(cluster: &str, authority: &str) -> (String, String) {
        let target = GrpcTarget::new(cluster, authority).unwrap();
        assert_eq!(GrpcTarget::names(target.as_str()).unwrap().0, cluster);
        assert_eq!(GrpcTarget::names(&target.as_str()[1..]), None);
        assert!(target.as_str().is_ascii());
        let service = GrpcService::decode(target.as_str().as_bytes()).unwrap().envoy_grpc.unwrap();
        (service.cluster_name, service.authority)
    }

    #[test]
    fn it_reads_back_as_the_message() {
        assert_eq!(parsed("emac", "emac.example:18000"), ("emac".into(), "emac.example:18000".into()));
        let longest = "c".repeat(GrpcTarget::NAME_BYTES_MAX);
        assert_eq!(parsed(&longest, "a"), (longest, "a".into()));
    }

    #[test]
    fn the_authority_is_never_an_istio_cluster_name() {
        let cluster = "outbound|18000||emac.emac-system.svc.cluster.local";
        assert_eq!(parsed(cluster, "").1, "emac.emac-system.svc.cluster.local");
        assert_eq!(parsed("inventory", "").1, "inventory");
        assert_eq!(parsed("a/b", "").1, "emac");
    }

    #[test]
    fn what_cannot_be_spelled_is_refused() {
        for (cluster, authority) in [("", ""), ("a b", ""), ("a", "ü"), (&"c".repeat(126), "")] {
            assert_eq!(GrpcTarget::new(cluster, authority), Err(InvalidTarget::Name));
        }
    }
}
