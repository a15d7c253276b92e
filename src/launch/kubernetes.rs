//! Jobs in a cluster.
