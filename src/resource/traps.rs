//! What is valid and yet surprises.
