//! Which finished or outdated Jobs go.
