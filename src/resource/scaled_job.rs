//! The wire form of a ScaledJob.
