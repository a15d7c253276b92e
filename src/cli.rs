//! The commands.

pub mod check;
pub mod crd;
pub mod demo;
pub mod local;
pub mod run;
