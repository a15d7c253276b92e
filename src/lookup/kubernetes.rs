//! References in a cluster.
