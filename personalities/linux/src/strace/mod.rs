//! System calls written as lines that read like strace's.
