//! The layers of the library, checked by reading its sources.
