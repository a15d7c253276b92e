//! Tests of resource vectors.
