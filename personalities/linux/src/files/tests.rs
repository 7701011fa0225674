//! System calls on files, against the memory file system's server in the same thread.

use std::ffi::CString;
use std::format;
use std::string::String;
use std::vec;
use std::vec::Vec;

use kiln_interface::file::kind;
use linux_raw_sys::general::*;

use super::switchboard;
use crate::call::{Call, SavedRegisters};
use crate::errno::{Answer, Errno};

/// Makes a system call as the program would.
pub fn run(number: u32, arguments: &[u64]) -> Answer {
    let registers = SavedRegisters::default();
    registers.rax.set(number.into());
    let places = [
        &registers.rdi,
        &registers.rsi,
        &registers.rdx,
        &registers.r10,
        &registers.r8,
        &registers.r9,
    ];
    for (place, argument) in places.into_iter().zip(arguments) {
        place.set(*argument);
    }
    crate::table::run(&Call::new(&registers))
}

pub fn text(path: &str) -> CString {
    CString::new(path).expect("has no NUL")
}

pub fn open(path: &str, flags: u32) -> Result<u64, Errno> {
    run(
        __NR_open,
        &[text(path).as_ptr() as u64, flags.into(), 0o666],
    )
}

pub fn at_path(number: u32, path: &str, rest: &[u64]) -> Answer {
    let path = text(path);
    let arguments = [&[path.as_ptr() as u64], rest].concat();
    run(number, &arguments)
}

pub fn at_paths(number: u32, first: &str, second: &str) -> Answer {
    let (first, second) = (text(first), text(second));
    run(number, &[first.as_ptr() as u64, second.as_ptr() as u64])
}

pub fn write(descriptor: u64, bytes: &[u8]) -> Answer {
    run(
        __NR_write,
        &[descriptor, bytes.as_ptr() as u64, bytes.len() as u64],
    )
}

pub fn read(descriptor: u64, most: usize) -> Result<Vec<u8>, Errno> {
    let mut bytes = vec![0; most];
    let count = run(
        __NR_read,
        &[descriptor, bytes.as_mut_ptr() as u64, most as u64],
    )?;
    bytes.truncate(count as usize);
    Ok(bytes)
}

pub fn close(descriptor: u64) {
    assert_eq!(run(__NR_close, &[descriptor]), Ok(0));
}

pub fn make(path: &str, contents: &[u8]) {
    let descriptor = open(path, O_CREAT | O_WRONLY | O_TRUNC).expect(path);
    assert_eq!(write(descriptor, contents), Ok(contents.len() as u64));
    close(descriptor);
}

pub fn contents(path: &str) -> Result<Vec<u8>, Errno> {
    let descriptor = open(path, O_RDONLY)?;
    let bytes = read(descriptor, 1 << 16);
    close(descriptor);
    bytes
}

pub fn mode(number: u32, path: &str) -> Result<u32, Errno> {
    let mut stat = [0_u8; 144];
    at_path(number, path, &[stat.as_mut_ptr() as u64])?;
    Ok(u32::from_le_bytes(
        stat[24..28].try_into().expect("is four bytes"),
    ))
}

fn link_target(path: &str) -> Result<String, Errno> {
    let mut target = [0_u8; 256];
    let count = at_path(__NR_readlink, path, &[target.as_mut_ptr() as u64, 256])?;
    Ok(String::from_utf8(target[..count as usize].to_vec()).expect("is text"))
}

fn working_directory() -> String {
    let mut path = [0_u8; 256];
    let count = run(__NR_getcwd, &[path.as_mut_ptr() as u64, 256]).expect("fits");
    String::from_utf8(path[..count as usize - 1].to_vec()).expect("is text")
}

fn list(path: &str, room: usize) -> Vec<String> {
    let descriptor = open(path, O_RDONLY | O_DIRECTORY).expect(path);
    let mut names = Vec::new();
    loop {
        let mut bytes = vec![0_u8; room];
        let count = run(
            __NR_getdents64,
            &[descriptor, bytes.as_mut_ptr() as u64, room as u64],
        );
        let mut rest = &bytes[..count.expect("lists") as usize];
        if rest.is_empty() {
            break;
        }
        while !rest.is_empty() {
            let length = usize::from(u16::from_le_bytes([rest[16], rest[17]]));
            let name = rest[19..length]
                .split(|byte| *byte == 0)
                .next()
                .unwrap_or_default();
            names.push(String::from_utf8(name.to_vec()).expect("is text"));
            rest = &rest[length..];
        }
    }
    close(descriptor);
    names
}

#[test]
fn files_are_made_written_and_read() {
    switchboard::mount_memory(b"/");
    let descriptor = open("/a", O_CREAT | O_RDWR | O_EXCL).expect("is made");
    assert_eq!(descriptor, 0);
    assert_eq!(write(descriptor, b"hello world"), Ok(11));
    assert_eq!(run(__NR_lseek, &[descriptor, 6, SEEK_SET.into()]), Ok(6));
    assert_eq!(read(descriptor, 100), Ok(b"world".to_vec()));
    assert_eq!(read(descriptor, 100), Ok(Vec::new()));
    let mut bytes = [0_u8; 4];
    let at = bytes.as_mut_ptr() as u64;
    assert_eq!(run(__NR_pread64, &[descriptor, at, 4, 1]), Ok(4));
    assert_eq!(&bytes, b"ello");
    assert_eq!(
        run(__NR_pread64, &[descriptor, at, 4, u64::MAX]),
        Err(Errno::EINVAL)
    );
    assert_eq!(
        run(__NR_lseek, &[descriptor, -20_i64 as u64, SEEK_END.into()]),
        Err(Errno::EINVAL)
    );
    assert_eq!(run(__NR_ftruncate, &[descriptor, 5]), Ok(0));
    assert_eq!(contents("/a"), Ok(b"hello".to_vec()));
    assert_eq!(open("/a", O_CREAT | O_EXCL | O_WRONLY), Err(Errno::EEXIST));
    assert_eq!(open("/b", O_RDONLY), Err(Errno::ENOENT));
    assert_eq!(open("/a/b", O_RDONLY), Err(Errno::ENOTDIR));
    assert_eq!(open("/a/", O_RDONLY), Err(Errno::ENOTDIR));
    assert_eq!(open("/", O_WRONLY), Err(Errno::EISDIR));
    assert_eq!(mode(__NR_stat, "/a"), Ok(kind::REGULAR | 0o644));
    close(descriptor);
    assert_eq!(run(__NR_close, &[descriptor]), Err(Errno::EBADF));
    assert_eq!(read(descriptor, 1), Err(Errno::EBADF));
}

#[test]
fn appending_goes_to_the_end_and_moves_the_position() {
    switchboard::mount_memory(b"/");
    make("/log", b"one\n");
    let descriptor = open("/log", O_WRONLY | O_APPEND).expect("opens");
    assert_eq!(write(descriptor, b"two\n"), Ok(4));
    assert_eq!(run(__NR_lseek, &[descriptor, 0, SEEK_CUR.into()]), Ok(8));
    assert_eq!(read(descriptor, 1), Err(Errno::EBADF));
    assert_eq!(contents("/log"), Ok(b"one\ntwo\n".to_vec()));
}

#[test]
fn long_transfers_take_several_messages() {
    switchboard::mount_memory(b"/");
    let long: Vec<u8> = (0..20_000_u32).map(|number| (number % 251) as u8).collect();
    make("/long", &long);
    assert_eq!(contents("/long"), Ok(long.clone()));
    let (from, to) = (
        open("/long", O_RDONLY).expect("opens"),
        open("/copy", O_CREAT | O_WRONLY),
    );
    let to = to.expect("is made");
    assert_eq!(run(__NR_sendfile, &[to, from, 0, 1 << 20]), Ok(20_000));
    assert_eq!(run(__NR_lseek, &[from, 0, SEEK_SET.into()]), Ok(0));
    let moved = run(__NR_copy_file_range, &[from, 0, to, 0, 5_000, 0]);
    assert_eq!(moved, Ok(5_000));
    assert_eq!(contents("/copy"), Ok([&long[..], &long[..5_000]].concat()));
}

#[test]
fn vectors_are_moved_in_order() {
    switchboard::mount_memory(b"/");
    let descriptor = open("/v", O_CREAT | O_RDWR).expect("is made");
    let vector = [b"ab".as_ptr() as u64, 2, 0, 0, b"cde".as_ptr() as u64, 3];
    assert_eq!(
        run(__NR_writev, &[descriptor, vector.as_ptr() as u64, 3]),
        Ok(5)
    );
    let (mut one, mut two) = ([0_u8; 4], [0_u8; 4]);
    let vector = [one.as_mut_ptr() as u64, 4, two.as_mut_ptr() as u64, 4];
    assert_eq!(
        run(__NR_preadv, &[descriptor, vector.as_ptr() as u64, 2, 0]),
        Ok(5)
    );
    assert_eq!((&one, &two[..1]), (b"abcd", &b"e"[..]));
    assert_eq!(
        run(
            __NR_readv,
            &[descriptor, vector.as_ptr() as u64, -1_i64 as u64]
        ),
        Err(Errno::EINVAL)
    );
}

#[test]
fn names_come_and_go() {
    switchboard::mount_memory(b"/");
    assert_eq!(at_path(__NR_mkdir, "/d/", &[0o755]), Ok(0));
    assert_eq!(at_path(__NR_mkdir, "/d", &[0o755]), Err(Errno::EEXIST));
    make("/d/f", b"x");
    assert_eq!(at_paths(__NR_link, "/d/f", "/d/g"), Ok(0));
    assert_eq!(at_paths(__NR_rename, "/d/g", "/h"), Ok(0));
    assert_eq!(at_paths(__NR_symlink, "d/f", "/s"), Ok(0));
    assert_eq!(link_target("/s"), Ok("d/f".into()));
    assert_eq!(link_target("/h"), Err(Errno::EINVAL));
    assert_eq!(contents("/s"), Ok(b"x".to_vec()));
    assert_eq!(
        mode(__NR_lstat, "/s").map(|mode| mode & kind::MASK),
        Ok(kind::LINK)
    );
    assert_eq!(open("/s", O_RDONLY | O_NOFOLLOW), Err(Errno::ELOOP));
    assert_eq!(list("/", 4096), [".", "..", "d", "h", "s"]);
    assert_eq!(list("/", 40), [".", "..", "d", "h", "s"]);
    assert_eq!(at_path(__NR_rmdir, "/d", &[]), Err(Errno::ENOTEMPTY));
    assert_eq!(at_path(__NR_rmdir, "/d/.", &[]), Err(Errno::EINVAL));
    assert_eq!(at_path(__NR_rmdir, "/", &[]), Err(Errno::EBUSY));
    assert_eq!(at_path(__NR_unlink, "/s/", &[]), Err(Errno::ENOTDIR));
    assert_eq!(at_paths(__NR_rename, "/d/.", "/e"), Err(Errno::EBUSY));
    assert_eq!(at_paths(__NR_rename, "/d", "/d/e"), Err(Errno::EINVAL));
    assert_eq!(at_path(__NR_unlink, "/d", &[]), Err(Errno::EISDIR));
    assert_eq!(at_path(__NR_unlink, "/d/f", &[]), Ok(0));
    assert_eq!(at_path(__NR_unlink, "/d/f", &[]), Err(Errno::ENOENT));
    assert_eq!(at_path(__NR_rmdir, "/d", &[]), Ok(0));
    assert_eq!(contents("/s"), Err(Errno::ENOENT));
}

#[test]
fn walks_cross_links_and_parents() {
    switchboard::mount_memory(b"/");
    for directory in ["/usr", "/usr/bin", "/usr/lib", "/home"] {
        assert_eq!(at_path(__NR_mkdir, directory, &[0o755]), Ok(0));
    }
    make("/usr/lib/l", b"library");
    assert_eq!(at_paths(__NR_symlink, "usr/bin", "/bin"), Ok(0));
    assert_eq!(at_paths(__NR_symlink, "/usr/lib", "/home/absolute"), Ok(0));
    assert_eq!(at_paths(__NR_symlink, "loop", "/loop"), Ok(0));
    // The parent is that of the directory behind the link.
    assert_eq!(contents("/bin/../lib/l"), Ok(b"library".to_vec()));
    assert_eq!(contents("/home/absolute/l"), Ok(b"library".to_vec()));
    assert_eq!(contents("/home/absolute/../lib/l"), Ok(b"library".to_vec()));
    assert_eq!(contents("/loop"), Err(Errno::ELOOP));
    assert_eq!(contents("/loop/../x"), Err(Errno::ELOOP));
    assert_eq!(contents("/none/../usr/lib/l"), Err(Errno::ENOENT));
    assert_eq!(contents("/usr/lib/l/../l"), Err(Errno::ENOTDIR));
    assert_eq!(contents("/usr/lib/l/.."), Err(Errno::ENOTDIR));
    assert_eq!(at_path(__NR_chdir, "/bin", &[]), Ok(0));
    assert_eq!(working_directory(), "/usr/bin");
    assert_eq!(contents("../lib/l"), Ok(b"library".to_vec()));
    assert_eq!(at_path(__NR_chdir, "..", &[]), Ok(0));
    assert_eq!(working_directory(), "/usr");
    let directory = open("/home", O_RDONLY | O_DIRECTORY).expect("opens");
    let path = text("absolute/l");
    let answer = run(__NR_openat, &[directory, path.as_ptr() as u64, 0, 0]);
    close(answer.expect("opens below the directory"));
    assert_eq!(run(__NR_fchdir, &[directory]), Ok(0));
    assert_eq!(working_directory(), "/home");
    let file = open("/usr/lib/l", O_RDONLY).expect("opens");
    assert_eq!(
        run(__NR_openat, &[file, path.as_ptr() as u64, 0, 0]),
        Err(Errno::ENOTDIR)
    );
}

#[test]
fn descriptors_are_duplicated() {
    switchboard::mount_memory(b"/");
    make("/f", b"abcdef");
    let first = open("/f", O_RDONLY | O_CLOEXEC).expect("opens");
    let second = run(__NR_dup, &[first]).expect("duplicates");
    assert_eq!(read(first, 2), Ok(b"ab".to_vec()));
    assert_eq!(read(second, 2), Ok(b"cd".to_vec()));
    assert_eq!(run(__NR_fcntl, &[first, F_GETFD.into(), 0]), Ok(1));
    assert_eq!(run(__NR_fcntl, &[second, F_GETFD.into(), 0]), Ok(0));
    assert_eq!(run(__NR_dup2, &[second, 9]), Ok(9));
    assert_eq!(run(__NR_fcntl, &[9, F_DUPFD.into(), 9]), Ok(10));
    assert_eq!(run(__NR_dup3, &[9, 9, 0]), Err(Errno::EINVAL));
    assert_eq!(link_target("/proc/self/fd/9"), Ok("/f".into()));
    assert_eq!(
        list("/proc/self/fd", 4096),
        [".", "..", "0", "1", "2", "9", "10"]
    );
    // Opened anew by its descriptor's name, the file is at its start.
    assert_eq!(contents("/dev/fd/9"), Ok(b"abcdef".to_vec()));
    assert_eq!(run(__NR_close_range, &[2, u32::MAX.into(), 0]), Ok(0));
    assert_eq!(read(9, 1), Err(Errno::EBADF));
    assert_eq!(read(first, 1), Ok(b"e".to_vec()));
}

#[test]
fn pipes_carry_bytes_and_can_be_waited_for() {
    let mut ends = [0_i32; 2];
    assert_eq!(run(__NR_pipe2, &[ends.as_mut_ptr() as u64, 0]), Ok(0));
    let [from, to] = ends.map(|end| end as u64);
    let mut entries = [from as u32, 1, to as u32, 4];
    let poll = |entries: &mut [u32; 4]| run(__NR_poll, &[entries.as_mut_ptr() as u64, 2, 0]);
    assert_eq!(poll(&mut entries), Ok(1));
    assert_eq!(entries, [from as u32, 1, to as u32, 4 | 4 << 16]);
    assert_eq!(write(to, b"through"), Ok(7));
    assert_eq!(poll(&mut entries), Ok(2));
    let mut set = [1_u64 << from];
    let pointer = set.as_mut_ptr() as u64;
    let time = [0_u64; 2];
    assert_eq!(
        run(
            __NR_select,
            &[from + 1, pointer, 0, 0, time.as_ptr() as u64]
        ),
        Ok(1)
    );
    assert_eq!(set, [1 << from]);
    let epoll = run(__NR_epoll_create1, &[0]).expect("is made");
    let event = [1_u8, 0, 0, 0, 0x77, 0, 0, 0, 0, 0, 0, 0];
    let control = |operation: u32| {
        run(
            __NR_epoll_ctl,
            &[epoll, operation.into(), from, event.as_ptr() as u64],
        )
    };
    assert_eq!(control(EPOLL_CTL_ADD), Ok(0));
    assert_eq!(control(EPOLL_CTL_ADD), Err(Errno::EEXIST));
    let mut events = [0_u8; 24];
    let wait =
        |events: &mut [u8; 24]| run(__NR_epoll_wait, &[epoll, events.as_mut_ptr() as u64, 2, 0]);
    assert_eq!(wait(&mut events), Ok(1));
    assert_eq!(events[..12], event);
    assert_eq!(read(from, 100), Ok(b"through".to_vec()));
    assert_eq!(wait(&mut events), Ok(0));
    assert_eq!(control(EPOLL_CTL_DEL), Ok(0));
    close(to);
    assert_eq!(read(from, 1), Ok(Vec::new()));
    assert_eq!(run(__NR_lseek, &[from, 0, 0]), Err(Errno::ESPIPE));
}

#[test]
fn attributes_can_be_changed() {
    switchboard::mount_memory(b"/");
    make("/f", b"");
    assert_eq!(at_path(__NR_chmod, "/f", &[0o4711]), Ok(0));
    assert_eq!(mode(__NR_stat, "/f"), Ok(kind::REGULAR | 0o4711));
    let times = [5_u64, 6, 7, UTIME_OMIT.into()];
    let path = text("/f");
    let at = AT_FDCWD as u64;
    let arguments = [at, path.as_ptr() as u64, times.as_ptr() as u64, 0];
    assert_eq!(run(__NR_utimensat, &arguments), Ok(0));
    let mut stat = [0_u64; 18];
    assert_eq!(at_path(__NR_stat, "/f", &[stat.as_mut_ptr() as u64]), Ok(0));
    assert_eq!(stat[9..11], [5, 6]);
    assert_ne!(stat[11], 7);
    assert_eq!(at_path(__NR_chown, "/f", &[3, u64::MAX]), Ok(0));
    assert_eq!(
        at_path(__NR_getxattr, "/f", &[text("user.x").as_ptr() as u64, 0, 0]),
        Err(Errno::ENODATA)
    );
    assert_eq!(
        at_path(__NR_chmod, "/proc/self/stat", &[0]),
        Err(Errno::EPERM)
    );
    // As the C library changes what must not be a link.
    let place = open("/f", O_PATH).expect("is there");
    assert_eq!(run(__NR_fchmod, &[place, 0o600]), Err(Errno::EBADF));
    let link = format!("/proc/self/fd/{place}");
    assert_eq!(at_path(__NR_chmod, &link, &[0o640]), Ok(0));
    assert_eq!(mode(__NR_stat, "/f"), Ok(kind::REGULAR | 0o640));
    let empty = text("");
    let arguments = [place, empty.as_ptr() as u64, 7, 7, AT_EMPTY_PATH.into()];
    assert_eq!(run(__NR_fchownat, &arguments), Ok(0));
    let arguments = [at, path.as_ptr() as u64, 0o600, AT_SYMLINK_NOFOLLOW.into()];
    assert_eq!(run(__NR_fchmodat2, &arguments), Ok(0));
    assert_eq!(
        at_path(__NR_symlink, "/f", &[text("/l").as_ptr() as u64]),
        Ok(0)
    );
    let path = text("/l");
    let arguments = [at, path.as_ptr() as u64, 0o600, AT_SYMLINK_NOFOLLOW.into()];
    assert_eq!(run(__NR_fchmodat2, &arguments), Err(Errno::EOPNOTSUPP));
    assert_eq!(run(__NR_umask, &[0o77]), Ok(0o22));
    make("/g", b"");
    assert_eq!(mode(__NR_stat, "/g"), Ok(kind::REGULAR | 0o600));
}

#[test]
fn bad_pointers_are_refused() {
    switchboard::mount_memory(b"/");
    let descriptor = open("/f", O_CREAT | O_RDWR).expect("is made");
    let bad = kiln_object::layout::SYSTEM_START;
    assert_eq!(run(__NR_write, &[descriptor, bad, 10]), Err(Errno::EFAULT));
    assert_eq!(
        run(__NR_read, &[descriptor, u64::MAX - 2, 10]),
        Err(Errno::EFAULT)
    );
    assert_eq!(run(__NR_open, &[bad, 0, 0]), Err(Errno::EFAULT));
    assert_eq!(run(__NR_fstat, &[descriptor, bad]), Err(Errno::EFAULT));
    assert_eq!(run(__NR_pipe, &[bad]), Err(Errno::EFAULT));
    // The descriptors of the pipe that could not be told are free again.
    assert_eq!(run(__NR_dup, &[descriptor]), Ok(descriptor + 1));
}
