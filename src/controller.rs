//! The loop: objects, turns, status.

pub mod status;
pub mod watch;
