//! `slipway crd`.
