//! What a turn's outcome looks like on the object.
