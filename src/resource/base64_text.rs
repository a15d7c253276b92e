//! Base64 as people and senders write it.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Senders differ in whether they pad.
const ANY_PADDING: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The bytes, padded or not; `None` for what is no base64.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    ANY_PADDING.decode(text).ok()
}
