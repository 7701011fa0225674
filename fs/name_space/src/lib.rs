//! The name space server: which server answers for which path
