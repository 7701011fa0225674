//! The library that is Linux to an unmodified program
