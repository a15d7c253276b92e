//! KEDA's external-scaler messages, client and server, generated from `proto/externalscaler.proto` by `build.rs`.
//!
//! Wire types: only `serve::keda`, which answers, and `source::external`, which asks, name them.

#![allow(
    missing_docs,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    unreachable_pub,
    reason = "generated code"
)]

tonic::include_proto!("externalscaler");

pub mod codec;

/// The descriptors of the same file, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/externalscaler.bin"));
