//! Slipway turns waiting work into Kubernetes Jobs, once each.
//!
//! ```text
//! counted    SQS depth, Kafka lag ─► source ─► Reading ─► scaling ─► Decision ─┐
//!                                                                             ├─► launch ─► Job
//! delivered  webhook ─► intake ─► event ─► pattern ─► bind ───────────────────┘
//! ```
//!
//! Data flows one way; the next turn reads the world again. Modules in reading order:

// So that one file of fixtures serves these tests and those in `tests/it`.
#[cfg(test)]
extern crate self as slipway;

pub mod scaling;

pub mod pattern;

pub mod schedule;

pub mod resource;

pub mod event;

pub mod source;

pub mod history;

pub mod explain;

pub mod plot;

pub mod simulate;

pub mod launch;

pub mod lookup;

pub mod job_rules;

pub mod local;

pub mod manifest;

pub mod cluster;

pub mod places;

pub mod address;

pub mod bounded;

pub mod shown;

pub mod externalscaler;

pub mod catalog;

pub mod intake;

pub mod page;

pub mod board;

pub mod app;
pub mod cli;
pub mod config;
pub mod controller;
pub mod cycle;
pub mod serve;
pub mod telemetry;
