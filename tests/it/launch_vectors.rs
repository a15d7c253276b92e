//! Tests of launch vectors.
