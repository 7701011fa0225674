//! The memory file system server: what is written at run time
