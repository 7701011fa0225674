//! Linked into every process: entry, stubs' transport, heap, object table, threads
