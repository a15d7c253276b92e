//! What the tests share: recorded answers, servers, and waiting without sleeping.

pub(crate) mod api_proxy;
pub(crate) mod balancer;
pub(crate) mod basic;
pub(crate) mod browser;
pub(crate) mod chance;
pub(crate) mod cluster;
pub(crate) mod dry_run;
pub(crate) mod fakes;
#[path = "../../src/launch/fixtures.rs"]
pub(crate) mod fixtures;
pub(crate) mod http;
pub(crate) mod keda;
pub(crate) mod local;
pub(crate) mod objects;
pub(crate) mod process;
pub(crate) mod queue;
pub(crate) mod scaler;
pub(crate) mod sender;
pub(crate) mod servers;
pub(crate) mod topic;
#[path = "../../src/history/fixtures.rs"]
pub(crate) mod turns;
pub(crate) mod vectors;
pub(crate) mod world;

pub(crate) use basic::await_until;
