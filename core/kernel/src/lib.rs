//! The kernel: boot, memory, processes, object calls
