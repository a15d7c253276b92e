//! One live source per spec, one read for all who ask.
