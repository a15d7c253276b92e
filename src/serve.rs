//! What listens. Servers take a bound listener and a stop signal, so that a
//! caller decides where and for how long.

mod accept;
pub mod events;
pub mod health;
pub mod keda;
