//! Rendered text.
