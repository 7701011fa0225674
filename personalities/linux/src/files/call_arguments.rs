//! What arguments of the file family's calls are called in a trace.

use crate::table::Argument::{self, Choice, Flags};

/// What `lseek` counts from.
pub const WHENCE: Argument = Choice(&[
    (0, "SEEK_SET"),
    (1, "SEEK_CUR"),
    (2, "SEEK_END"),
    (3, "SEEK_DATA"),
    (4, "SEEK_HOLE"),
]);

/// What `access` asks for.
pub const ACCESS: Argument = Flags(&[(0, "F_OK"), (4, "R_OK"), (2, "W_OK"), (1, "X_OK")]);

/// Flags of the calls that take a directory.
pub const AT: Argument = Flags(&[
    (0, "0"),
    (0x100, "AT_SYMLINK_NOFOLLOW"),
    (0x200, "AT_EACCESS"),
    (0x400, "AT_SYMLINK_FOLLOW"),
    (0x800, "AT_NO_AUTOMOUNT"),
    (0x1000, "AT_EMPTY_PATH"),
    (0x2000, "AT_STATX_FORCE_SYNC"),
    (0x4000, "AT_STATX_DONT_SYNC"),
]);

/// Flags of `unlinkat`.
pub const REMOVE: Argument = Flags(&[(0, "0"), (0x200, "AT_REMOVEDIR")]);

/// Flags of `renameat2`.
pub const RENAME: Argument = Flags(&[
    (0, "0"),
    (1, "RENAME_NOREPLACE"),
    (2, "RENAME_EXCHANGE"),
    (4, "RENAME_WHITEOUT"),
]);

/// What `statx` is asked for.
pub const MASK: Argument = Flags(&[(0, "0"), (0xfff, "STATX_ALL"), (0x7ff, "STATX_BASIC_STATS")]);

/// Flags of new descriptors.
pub const CLOEXEC: Argument = Flags(&[
    (0, "0"),
    (0x8_0000, "O_CLOEXEC"),
    (0x800, "O_NONBLOCK"),
    (0x4000, "O_DIRECT"),
]);

/// Flags of `eventfd2`.
pub const EVENT: Argument = Flags(&[
    (0, "0"),
    (0x8_0000, "EFD_CLOEXEC"),
    (0x800, "EFD_NONBLOCK"),
    (1, "EFD_SEMAPHORE"),
]);

/// Flags of `epoll_create1`.
pub const SET: Argument = Flags(&[(0, "0"), (0x8_0000, "EPOLL_CLOEXEC")]);

/// Flags of `memfd_create`.
pub const MEMORY: Argument = Flags(&[
    (0, "0"),
    (1, "MFD_CLOEXEC"),
    (2, "MFD_ALLOW_SEALING"),
    (8, "MFD_NOEXEC_SEAL"),
    (16, "MFD_EXEC"),
]);

/// What `epoll_ctl` does.
pub const OPERATION: Argument = Choice(&[
    (1, "EPOLL_CTL_ADD"),
    (2, "EPOLL_CTL_DEL"),
    (3, "EPOLL_CTL_MOD"),
]);

/// What `flock` does.
pub const LOCK: Argument = Flags(&[
    (1, "LOCK_SH"),
    (2, "LOCK_EX"),
    (8, "LOCK_UN"),
    (4, "LOCK_NB"),
]);

/// What `fcntl` does.
pub const COMMAND: Argument = Choice(&[
    (0, "F_DUPFD"),
    (1, "F_GETFD"),
    (2, "F_SETFD"),
    (3, "F_GETFL"),
    (4, "F_SETFL"),
    (5, "F_GETLK"),
    (6, "F_SETLK"),
    (7, "F_SETLKW"),
    (8, "F_SETOWN"),
    (9, "F_GETOWN"),
    (36, "F_OFD_GETLK"),
    (37, "F_OFD_SETLK"),
    (38, "F_OFD_SETLKW"),
    (1030, "F_DUPFD_CLOEXEC"),
    (1031, "F_SETPIPE_SZ"),
    (1032, "F_GETPIPE_SZ"),
    (1033, "F_ADD_SEALS"),
    (1034, "F_GET_SEALS"),
]);

/// What `ioctl` asks.
pub const REQUEST: Argument = Choice(&[
    (0x5401, "TCGETS"),
    (0x5402, "TCSETS"),
    (0x5403, "TCSETSW"),
    (0x5404, "TCSETSF"),
    (0x5409, "TCSBRK"),
    (0x540b, "TCFLSH"),
    (0x540e, "TIOCSCTTY"),
    (0x540f, "TIOCGPGRP"),
    (0x5410, "TIOCSPGRP"),
    (0x5413, "TIOCGWINSZ"),
    (0x5414, "TIOCSWINSZ"),
    (0x541b, "FIONREAD"),
    (0x5421, "FIONBIO"),
    (0x5429, "TIOCGSID"),
    (0x5450, "FIONCLEX"),
    (0x5451, "FIOCLEX"),
    (0x802c_542a, "TCGETS2"),
    (0x402c_542b, "TCSETS2"),
    (0x402c_542c, "TCSETSW2"),
    (0x402c_542d, "TCSETSF2"),
]);
