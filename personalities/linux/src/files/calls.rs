//! The file family's system calls, by number.

use super::{
    attribute, directory, duplicate, epoll, event, extended, name, open, pipe, poll, position,
    status, transfer,
};
use crate::table::Argument::{
    self, BytesIn, BytesOut, Choice, Descriptor, Directory, Flags, Hexadecimal, Mode, OpenFlags,
    Pointer, Signed, Text, TextOut, Unsigned,
};
use crate::table::SystemCall;

const WHENCE: Argument = Choice(&[
    (0, "SEEK_SET"),
    (1, "SEEK_CUR"),
    (2, "SEEK_END"),
    (3, "SEEK_DATA"),
    (4, "SEEK_HOLE"),
]);

const ACCESS: Argument = Flags(&[(0, "F_OK"), (4, "R_OK"), (2, "W_OK"), (1, "X_OK")]);

const AT: Argument = Flags(&[
    (0, "0"),
    (0x100, "AT_SYMLINK_NOFOLLOW"),
    (0x200, "AT_EACCESS"),
    (0x400, "AT_SYMLINK_FOLLOW"),
    (0x800, "AT_NO_AUTOMOUNT"),
    (0x1000, "AT_EMPTY_PATH"),
    (0x2000, "AT_STATX_FORCE_SYNC"),
    (0x4000, "AT_STATX_DONT_SYNC"),
]);

const REMOVE: Argument = Flags(&[(0, "0"), (0x200, "AT_REMOVEDIR")]);

const RENAME: Argument = Flags(&[
    (0, "0"),
    (1, "RENAME_NOREPLACE"),
    (2, "RENAME_EXCHANGE"),
    (4, "RENAME_WHITEOUT"),
]);

const MASK: Argument = Flags(&[(0, "0"), (0xfff, "STATX_ALL"), (0x7ff, "STATX_BASIC_STATS")]);

const CLOEXEC: Argument = Flags(&[
    (0, "0"),
    (0x8_0000, "O_CLOEXEC"),
    (0x800, "O_NONBLOCK"),
    (0x4000, "O_DIRECT"),
]);

const EVENT: Argument = Flags(&[
    (0, "0"),
    (0x8_0000, "EFD_CLOEXEC"),
    (0x800, "EFD_NONBLOCK"),
    (1, "EFD_SEMAPHORE"),
]);

const SET: Argument = Flags(&[(0, "0"), (0x8_0000, "EPOLL_CLOEXEC")]);

const MEMORY: Argument = Flags(&[
    (0, "0"),
    (1, "MFD_CLOEXEC"),
    (2, "MFD_ALLOW_SEALING"),
    (8, "MFD_NOEXEC_SEAL"),
    (16, "MFD_EXEC"),
]);

const OPERATION: Argument = Choice(&[
    (1, "EPOLL_CTL_ADD"),
    (2, "EPOLL_CTL_DEL"),
    (3, "EPOLL_CTL_MOD"),
]);

const LOCK: Argument = Flags(&[
    (1, "LOCK_SH"),
    (2, "LOCK_EX"),
    (8, "LOCK_UN"),
    (4, "LOCK_NB"),
]);

const COMMAND: Argument = Choice(&[
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

const REQUEST: Argument = Choice(&[
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

const fn call(
    number: u32,
    name: &'static str,
    function: crate::table::Function,
    arguments: &'static [Argument],
) -> SystemCall {
    SystemCall::new(number, name, function, arguments)
}

/// The calls of this family.
pub const CALLS: &[SystemCall] = &[
    call(0, "read", transfer::read, &[Descriptor, BytesOut, Unsigned]),
    call(
        1,
        "write",
        transfer::write,
        &[Descriptor, BytesIn(2), Unsigned],
    ),
    call(2, "open", open::open, &[Text, OpenFlags, Mode]),
    call(3, "close", open::close, &[Descriptor]),
    call(4, "stat", status::stat, &[Text, Pointer]),
    call(5, "fstat", status::fstat, &[Descriptor, Pointer]),
    call(6, "lstat", status::lstat, &[Text, Pointer]),
    call(7, "poll", poll::poll, &[Pointer, Unsigned, Signed]),
    call(8, "lseek", position::lseek, &[Descriptor, Signed, WHENCE]),
    call(
        16,
        "ioctl",
        duplicate::ioctl,
        &[Descriptor, REQUEST, Pointer],
    ),
    call(
        17,
        "pread64",
        transfer::pread64,
        &[Descriptor, BytesOut, Unsigned, Signed],
    ),
    call(
        18,
        "pwrite64",
        transfer::pwrite64,
        &[Descriptor, BytesIn(2), Unsigned, Signed],
    ),
    call(19, "readv", transfer::readv, &[Descriptor, Pointer, Signed]),
    call(
        20,
        "writev",
        transfer::writev,
        &[Descriptor, Pointer, Signed],
    ),
    call(21, "access", status::access, &[Text, ACCESS]),
    call(22, "pipe", pipe::pipe, &[Pointer]),
    call(
        23,
        "select",
        poll::select,
        &[Signed, Pointer, Pointer, Pointer, Pointer],
    ),
    call(32, "dup", duplicate::dup, &[Descriptor]),
    call(33, "dup2", duplicate::dup2, &[Descriptor, Descriptor]),
    call(
        40,
        "sendfile",
        transfer::sendfile,
        &[Descriptor, Descriptor, Pointer, Unsigned],
    ),
    call(41, "socket", pipe::socket, &[Unsigned, Unsigned, Unsigned]),
    call(
        53,
        "socketpair",
        pipe::socketpair,
        &[Unsigned, Unsigned, Unsigned, Pointer],
    ),
    call(
        72,
        "fcntl",
        duplicate::fcntl,
        &[Descriptor, COMMAND, Hexadecimal],
    ),
    call(73, "flock", position::flock, &[Descriptor, LOCK]),
    call(74, "fsync", position::fsync, &[Descriptor]),
    call(75, "fdatasync", position::fsync, &[Descriptor]),
    call(76, "truncate", position::truncate, &[Text, Signed]),
    call(77, "ftruncate", position::ftruncate, &[Descriptor, Signed]),
    call(
        78,
        "getdents",
        directory::getdents,
        &[Descriptor, Pointer, Unsigned],
    ),
    call(79, "getcwd", directory::getcwd, &[TextOut, Unsigned]),
    call(80, "chdir", directory::chdir, &[Text]),
    call(81, "fchdir", directory::fchdir, &[Descriptor]),
    call(82, "rename", name::rename, &[Text, Text]),
    call(83, "mkdir", name::mkdir, &[Text, Mode]),
    call(84, "rmdir", name::rmdir, &[Text]),
    call(85, "creat", open::creat, &[Text, Mode]),
    call(86, "link", name::link, &[Text, Text]),
    call(87, "unlink", name::unlink, &[Text]),
    call(88, "symlink", name::symlink, &[Text, Text]),
    call(89, "readlink", status::readlink, &[Text, TextOut, Signed]),
    call(90, "chmod", attribute::chmod, &[Text, Mode]),
    call(91, "fchmod", attribute::fchmod, &[Descriptor, Mode]),
    call(92, "chown", attribute::chown, &[Text, Signed, Signed]),
    call(
        93,
        "fchown",
        attribute::fchown,
        &[Descriptor, Signed, Signed],
    ),
    call(94, "lchown", attribute::lchown, &[Text, Signed, Signed]),
    call(95, "umask", attribute::umask, &[Mode]),
    call(132, "utime", attribute::utime, &[Text, Pointer]),
    call(133, "mknod", name::mknod, &[Text, Mode, Hexadecimal]),
    call(137, "statfs", status::statfs, &[Text, Pointer]),
    call(138, "fstatfs", status::fstatfs, &[Descriptor, Pointer]),
    call(155, "pivot_root", directory::refuse, &[Text, Text]),
    call(161, "chroot", directory::refuse, &[Text]),
    call(162, "sync", position::sync, &[]),
    call(
        165,
        "mount",
        directory::refuse,
        &[Text, Text, Text, Hexadecimal, Pointer],
    ),
    call(166, "umount2", directory::refuse, &[Text, Hexadecimal]),
    call(
        187,
        "readahead",
        position::readahead,
        &[Descriptor, Signed, Unsigned],
    ),
    call(
        188,
        "setxattr",
        extended::setxattr,
        &[Text, Text, Pointer, Unsigned, Hexadecimal],
    ),
    call(
        189,
        "lsetxattr",
        extended::lsetxattr,
        &[Text, Text, Pointer, Unsigned, Hexadecimal],
    ),
    call(
        190,
        "fsetxattr",
        extended::fsetxattr,
        &[Descriptor, Text, Pointer, Unsigned, Hexadecimal],
    ),
    call(
        191,
        "getxattr",
        extended::getxattr,
        &[Text, Text, Pointer, Unsigned],
    ),
    call(
        192,
        "lgetxattr",
        extended::lgetxattr,
        &[Text, Text, Pointer, Unsigned],
    ),
    call(
        193,
        "fgetxattr",
        extended::fgetxattr,
        &[Descriptor, Text, Pointer, Unsigned],
    ),
    call(
        194,
        "listxattr",
        extended::listxattr,
        &[Text, Pointer, Unsigned],
    ),
    call(
        195,
        "llistxattr",
        extended::llistxattr,
        &[Text, Pointer, Unsigned],
    ),
    call(
        196,
        "flistxattr",
        extended::flistxattr,
        &[Descriptor, Pointer, Unsigned],
    ),
    call(197, "removexattr", extended::getxattr, &[Text, Text]),
    call(198, "lremovexattr", extended::lgetxattr, &[Text, Text]),
    call(
        199,
        "fremovexattr",
        extended::fgetxattr,
        &[Descriptor, Text],
    ),
    call(213, "epoll_create", epoll::epoll_create, &[Signed]),
    call(
        217,
        "getdents64",
        directory::getdents64,
        &[Descriptor, Pointer, Unsigned],
    ),
    call(
        221,
        "fadvise64",
        position::fadvise64,
        &[Descriptor, Signed, Unsigned, Unsigned],
    ),
    call(
        232,
        "epoll_wait",
        epoll::epoll_wait,
        &[Descriptor, Pointer, Signed, Signed],
    ),
    call(
        233,
        "epoll_ctl",
        epoll::epoll_ctl,
        &[Descriptor, OPERATION, Descriptor, Pointer],
    ),
    call(235, "utimes", attribute::utimes, &[Text, Pointer]),
    call(
        257,
        "openat",
        open::openat,
        &[Directory, Text, OpenFlags, Mode],
    ),
    call(258, "mkdirat", name::mkdirat, &[Directory, Text, Mode]),
    call(
        259,
        "mknodat",
        name::mknodat,
        &[Directory, Text, Mode, Hexadecimal],
    ),
    call(
        260,
        "fchownat",
        attribute::fchownat,
        &[Directory, Text, Signed, Signed, AT],
    ),
    call(
        261,
        "futimesat",
        attribute::futimesat,
        &[Directory, Text, Pointer],
    ),
    call(
        262,
        "newfstatat",
        status::newfstatat,
        &[Directory, Text, Pointer, AT],
    ),
    call(263, "unlinkat", name::unlinkat, &[Directory, Text, REMOVE]),
    call(
        264,
        "renameat",
        name::renameat,
        &[Directory, Text, Directory, Text],
    ),
    call(
        265,
        "linkat",
        name::linkat,
        &[Directory, Text, Directory, Text, AT],
    ),
    call(266, "symlinkat", name::symlinkat, &[Text, Directory, Text]),
    call(
        267,
        "readlinkat",
        status::readlinkat,
        &[Directory, Text, TextOut, Signed],
    ),
    call(
        268,
        "fchmodat",
        attribute::fchmodat,
        &[Directory, Text, Mode],
    ),
    call(
        269,
        "faccessat",
        status::faccessat,
        &[Directory, Text, ACCESS],
    ),
    call(
        270,
        "pselect6",
        poll::pselect6,
        &[Signed, Pointer, Pointer, Pointer, Pointer, Pointer],
    ),
    call(
        271,
        "ppoll",
        poll::ppoll,
        &[Pointer, Unsigned, Pointer, Pointer, Unsigned],
    ),
    call(
        277,
        "sync_file_range",
        position::sync_file_range,
        &[Descriptor, Signed, Signed, Hexadecimal],
    ),
    call(
        280,
        "utimensat",
        attribute::utimensat,
        &[Directory, Text, Pointer, AT],
    ),
    call(
        281,
        "epoll_pwait",
        epoll::epoll_pwait,
        &[Descriptor, Pointer, Signed, Signed, Pointer, Unsigned],
    ),
    call(284, "eventfd", event::eventfd, &[Unsigned]),
    call(
        285,
        "fallocate",
        position::fallocate,
        &[Descriptor, Hexadecimal, Signed, Signed],
    ),
    call(290, "eventfd2", event::eventfd2, &[Unsigned, EVENT]),
    call(291, "epoll_create1", epoll::epoll_create1, &[SET]),
    call(
        292,
        "dup3",
        duplicate::dup3,
        &[Descriptor, Descriptor, CLOEXEC],
    ),
    call(293, "pipe2", pipe::pipe2, &[Pointer, CLOEXEC]),
    call(
        295,
        "preadv",
        transfer::preadv,
        &[Descriptor, Pointer, Signed, Signed],
    ),
    call(
        296,
        "pwritev",
        transfer::pwritev,
        &[Descriptor, Pointer, Signed, Signed],
    ),
    call(306, "syncfs", position::fsync, &[Descriptor]),
    call(
        316,
        "renameat2",
        name::renameat2,
        &[Directory, Text, Directory, Text, RENAME],
    ),
    call(319, "memfd_create", open::memfd_create, &[Text, MEMORY]),
    call(
        326,
        "copy_file_range",
        transfer::copy_file_range,
        &[
            Descriptor,
            Pointer,
            Descriptor,
            Pointer,
            Unsigned,
            Hexadecimal,
        ],
    ),
    call(
        327,
        "preadv2",
        transfer::preadv2,
        &[Descriptor, Pointer, Signed, Signed, Signed, Hexadecimal],
    ),
    call(
        328,
        "pwritev2",
        transfer::pwritev2,
        &[Descriptor, Pointer, Signed, Signed, Signed, Hexadecimal],
    ),
    call(
        332,
        "statx",
        status::statx,
        &[Directory, Text, AT, MASK, Pointer],
    ),
    call(
        436,
        "close_range",
        open::close_range,
        &[Unsigned, Unsigned, Hexadecimal],
    ),
    call(
        437,
        "openat2",
        open::openat2,
        &[Directory, Text, Pointer, Unsigned],
    ),
    call(
        439,
        "faccessat2",
        status::faccessat2,
        &[Directory, Text, ACCESS, AT],
    ),
    call(
        441,
        "epoll_pwait2",
        epoll::epoll_pwait2,
        &[Descriptor, Pointer, Signed, Pointer, Pointer, Unsigned],
    ),
    call(
        452,
        "fchmodat2",
        attribute::fchmodat2,
        &[Directory, Text, Mode, AT],
    ),
];
