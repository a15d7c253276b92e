//! Tests of scaling vectors.
