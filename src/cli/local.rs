//! `slipway local`.
