//! The only place that chooses adapters, spawns tasks and stops them.
