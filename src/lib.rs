//! Slipway turns waiting work into Kubernetes Jobs, once each.
