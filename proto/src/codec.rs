//! Protocol Buffers on a stream that mostly waits, of a peer that need not mean well.

use std::marker::PhantomData;

use prost::Message;
use prost::encoding::{DecodeContext, decode_key, skip_field};
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder};
use tonic_prost::{ProstCodec, ProstEncoder};

use crate::{v1, xds};

/// Bytes that a stream holds for each direction before it carries anything; a larger message makes its buffer grow.
///
/// tonic's own 8 KiB came to a quarter of what a connected sidecar costs a control plane.
const BUFFER_BYTES: usize = 512;
/// Bytes of encoded messages after which they are handed on: tonic's own.
const YIELD_BYTES: usize = 32 << 10;

/// A message whose entries are bounded before any of them is built: two bytes of an empty entry become two hundred of memory, so that a limit
/// of bytes alone lets a few megabytes become some hundred.
pub trait Bounded: Message + Default + Send + 'static {
    /// Most fields of the message itself, each entry of a list counted; what stands inside of an entry is not.
    const FIELDS_MAX: usize;
}

impl Bounded for v1::ReportRequest {
    /// Three times what a report of the stated limits has: room for fields that a newer sidecar may add.
    const FIELDS_MAX: usize = 4_096;
}

impl Bounded for v1::ReportResponse {
    const FIELDS_MAX: usize = 64;
}

/// Names of a client that comes again and has everything, or everything in an answer.
const EVERYTHING_MAX: usize = 1 << 16;

impl Bounded for xds::DiscoveryRequest {
    const FIELDS_MAX: usize = EVERYTHING_MAX;
}

impl Bounded for xds::DeltaDiscoveryRequest {
    const FIELDS_MAX: usize = EVERYTHING_MAX;
}

impl Bounded for xds::DiscoveryResponse {
    const FIELDS_MAX: usize = EVERYTHING_MAX;
}

impl Bounded for xds::DeltaDiscoveryResponse {
    const FIELDS_MAX: usize = EVERYTHING_MAX;
}

/// The codec of every service here: that of tonic-prost, but for the size of empty buffers and the bound on fields.
#[derive(Clone, Debug)]
pub struct LeanCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for LeanCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for LeanCodec<T, U>
where
    T: Message + Send + 'static,
    U: Bounded,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = BoundedDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::raw_encoder(BufferSettings::new(BUFFER_BYTES, YIELD_BYTES))
    }

    fn decoder(&mut self) -> Self::Decoder {
        BoundedDecoder(PhantomData)
    }
}

/// Decodes messages that have no more fields than their kind may have.
#[derive(Clone, Debug)]
pub struct BoundedDecoder<U>(PhantomData<U>);

impl<U: Bounded> Decoder for BoundedDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        use prost::bytes::Buf as _;
        // Taken from the transport's buffer, not copied.
        let bytes = bytes.copy_to_bytes(bytes.remaining());
        decode(&bytes).map(Some)
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER_BYTES, YIELD_BYTES)
    }
}

/// A message that has no more fields than its kind may have. Cost: a look at each field of the message itself, before it is built.
///
/// # Errors
/// `OUT_OF_RANGE` for more fields, as for more bytes; `INTERNAL` for what is no such message.
pub fn decode<M: Bounded>(bytes: &[u8]) -> Result<M, Status> {
    let garbage = |error: prost::DecodeError| Status::internal(error.to_string());
    let mut left = bytes;
    let mut fields = 0;
    while !left.is_empty() {
        if fields == M::FIELDS_MAX {
            return Err(Status::out_of_range(format!("more than {fields} fields and entries of lists")));
        }
        let (tag, wire_type) = decode_key(&mut left).map_err(garbage)?;
        skip_field(wire_type, tag, &mut left, DecodeContext::default()).map_err(garbage)?;
        fields += 1;
    }
    M::decode(bytes).map_err(garbage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_empty_entries_is_refused_before_they_are_built() {
        // hops, records, journeys, as lists and with another field between.
        for tag in [0x3a, 0x42, 0x4a] {
            let most = v1::ReportRequest::FIELDS_MAX;
            let full: Vec<u8> = [tag, 0].repeat(most);
            assert!(decode::<v1::ReportRequest>(&full).is_ok());
            for bytes in
                [[tag, 0].repeat(most + 1), [tag, 0, 0x18, 1].repeat(most), [tag, 0].repeat(2_400_000)]
            {
                let refused = decode::<v1::ReportRequest>(&bytes).unwrap_err();
                assert_eq!(refused.code(), tonic::Code::OutOfRange, "{refused}");
            }
        }
        let names = [0x1a, 0].repeat(1_900_000);
        assert_eq!(decode::<xds::DeltaDiscoveryRequest>(&names).unwrap_err().code(), tonic::Code::OutOfRange);
        assert_eq!(decode::<xds::DiscoveryRequest>(&names).unwrap_err().code(), tonic::Code::OutOfRange);
    }

    #[test]
    fn what_a_node_says_beside_its_name_is_not_built() {
        // Node.metadata of a million empty values: skipped as any field of another version.
        let empty: Vec<u8> = [0x0a, 0].repeat(1_000_000);
        let field = |tag: u8, bytes: &[u8]| {
            let mut field = vec![tag];
            prost::encoding::encode_varint(bytes.len() as u64, &mut field);
            [field.as_slice(), bytes].concat()
        };
        let node = [field(0x0a, b"pod"), field(0x1a, &empty)].concat();
        let request: xds::DeltaDiscoveryRequest = decode(&field(0x0a, &node)).unwrap();
        assert_eq!(request.node.unwrap(), xds::Node { id: "pod".into(), ..xds::Node::default() });
    }
}
