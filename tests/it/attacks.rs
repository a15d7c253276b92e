//! What an attacker did once, and what is next to it: each is held off.

mod answers;
mod doors;
mod grpc;
mod identity;
mod kafka;
mod proxy;
mod together;
