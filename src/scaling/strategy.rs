//! KEDA's strategies.
