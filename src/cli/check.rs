//! `slipway check`.
