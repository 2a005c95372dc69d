//! Protocol Buffers on a stream that mostly waits.

use std::marker::PhantomData;

use prost::Message;
use tonic::codec::{BufferSettings, Codec};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

/// Bytes that a stream holds for each direction before it carries anything; a larger message makes its buffer grow.
///
/// tonic's own 8 KiB came to a quarter of what a connected sidecar costs a control plane.
const BUFFER_BYTES: usize = 512;
/// Bytes of encoded messages after which they are handed on: tonic's own.
const YIELD_BYTES: usize = 32 << 10;

/// The codec of every service here: that of tonic-prost, but for the size of empty buffers.
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
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::raw_encoder(BufferSettings::new(BUFFER_BYTES, YIELD_BYTES))
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<T, U>::raw_decoder(BufferSettings::new(BUFFER_BYTES, YIELD_BYTES))
    }
}
