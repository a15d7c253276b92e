//! `slipway demo`.
