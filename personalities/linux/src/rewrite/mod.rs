//! Call sites that were met are patched to call the library directly.
