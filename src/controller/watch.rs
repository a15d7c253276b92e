//! The cluster's objects, as changes.
