//! Answers from outside, read to their end and no further than to a limit.
//!
//! Whoever is asked may be hostile, or broken: an answer is not kept, nor even taken from the wire, beyond what a
//! right one can have. How long it may take is left to those who ask.

use std::error::Error as StdError;

use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Body, Bytes};

/// Longest answer that holds a number, a token or some keys. Source: our own bound; a JWKS of 50 keys has some 40 KiB,
/// a queue's attributes half of one. Unit: bytes.
pub const ANSWER_BYTES: usize = 64 * 1024;

/// Why there is no whole answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is longer than it may be.
    #[error("more than {0} bytes")]
    TooLong(usize),
    /// It ended in the middle.
    #[error("it broke off")]
    BrokenOff(#[source] Box<dyn StdError + Send + Sync>),
}

/// The whole of a body that has no more than `most` bytes.
///
/// # Errors
///
/// [`Error::TooLong`] as soon as there is one byte more; [`Error::BrokenOff`] with the body's own error.
pub async fn collect<B>(body: B, most: usize) -> Result<Bytes, Error>
where
    B: Body,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    match Limited::new(body, most).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Error::TooLong(most)),
        Err(error) => Err(Error::BrokenOff(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::stream;
    use http_body_util::{Full, StreamBody};
    use hyper::body::Frame;

    use super::*;

    #[tokio::test]
    async fn a_body_is_whole_up_to_its_limit_and_an_endless_one_is_left_at_it() {
        let exact = Full::new(Bytes::from_static(b"eight by"));
        assert_eq!(collect(exact.clone(), 8).await.unwrap(), "eight by");
        assert!(matches!(collect(exact, 7).await, Err(Error::TooLong(7))));
        let chunk = || Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"  ")));
        let endless = StreamBody::new(stream::repeat_with(chunk));
        assert!(matches!(
            collect(endless, ANSWER_BYTES).await,
            Err(Error::TooLong(ANSWER_BYTES))
        ));
        let broken = StreamBody::new(stream::iter([Err::<Frame<Bytes>, _>("gone")]));
        assert!(matches!(collect(broken, 8).await, Err(Error::BrokenOff(_))));
    }
}
