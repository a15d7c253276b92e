//! KEDA's encoding of metric values.
