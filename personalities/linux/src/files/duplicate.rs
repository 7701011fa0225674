//! Copies of descriptors, their flags, and `ioctl`.

use linux_raw_sys::general::{
    F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_GETFL, F_GETLK, F_GETOWN, F_GETPIPE_SZ, F_GETSIG,
    F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_RDLCK, F_SETFD, F_SETFL, F_SETLK, F_SETLKW, F_SETOWN,
    F_SETPIPE_SZ, F_SETSIG, F_UNLCK, F_WRLCK, FD_CLOEXEC, O_CLOEXEC,
};
use linux_raw_sys::ioctl::{FIGETBSZ, FIOASYNC, FIOCLEX, FIONBIO, FIONCLEX, FIONREAD};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::description::Description;
use super::files;
use super::open::usable;
use super::pipe;
use crate::call::Call;
use crate::errno::{Answer, Errno};
use crate::program_memory;

/// dup(2)
pub fn dup(call: &Call<'_>) -> Answer {
    let description = files().description(call.descriptor(0))?;
    Ok(files().descriptors.lock().add(description, 0, false)? as u64)
}

fn copy(old: i32, new: i32, close_on_exec: bool) -> Answer {
    let description = files().description(old)?;
    let replaced = files()
        .descriptors
        .lock()
        .replace(new, description, close_on_exec)?;
    drop(replaced);
    Ok(new as u64)
}

/// dup2(2)
pub fn dup2(call: &Call<'_>) -> Answer {
    let (old, new) = (call.descriptor(0), call.descriptor(1));
    if old == new {
        files().description(old)?;
        return Ok(new as u64);
    }
    copy(old, new, false)
}

/// dup3(2)
pub fn dup3(call: &Call<'_>) -> Answer {
    let (old, new, flags) = (call.descriptor(0), call.descriptor(1), call.unsigned(2));
    if old == new || flags & !O_CLOEXEC != 0 {
        return Err(Errno::EINVAL);
    }
    copy(old, new, flags & O_CLOEXEC != 0)
}

/// `struct flock`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Lock {
    kind: i16,
    whence: i16,
    hole: i32,
    start: i64,
    length: i64,
    process: i32,
    tail: i32,
}

/// fcntl(2)
pub fn fcntl(call: &Call<'_>) -> Answer {
    let (descriptor, command, argument) = (call.descriptor(0), call.unsigned(1), call.long(2));
    let files = files();
    match command {
        F_GETFD => {
            let on = files.descriptors.lock().close_on_exec(descriptor)?;
            return Ok(if on { u64::from(FD_CLOEXEC) } else { 0 });
        }
        F_SETFD => {
            let on = argument & u64::from(FD_CLOEXEC) != 0;
            files.descriptors.lock().set_close_on_exec(descriptor, on)?;
            return Ok(0);
        }
        F_DUPFD | F_DUPFD_CLOEXEC => {
            let description = files.description(descriptor)?;
            let minimum = usize::try_from(argument as i32).map_err(|_| Errno::EINVAL)?;
            let on = command == F_DUPFD_CLOEXEC;
            return Ok(files.descriptors.lock().add(description, minimum, on)? as u64);
        }
        F_GETFL => {
            let description = files.description(descriptor)?;
            return Ok(u64::from(description.flags()));
        }
        _ => {}
    }
    let description = usable(descriptor)?;
    match command {
        F_SETFL => {
            description.set_flags(argument as u32);
            Ok(0)
        }
        F_GETLK | F_OFD_GETLK => {
            let mut lock: Lock = program_memory::read(argument)?;
            check_lock(&lock, None)?;
            lock.kind = F_UNLCK as i16;
            program_memory::write(argument, &lock)?;
            Ok(0)
        }
        F_SETLK | F_SETLKW | F_OFD_SETLK | F_OFD_SETLKW => {
            // Nobody else could hold a lock.
            check_lock(&program_memory::read(argument)?, Some(&description))?;
            Ok(0)
        }
        F_GETPIPE_SZ | F_SETPIPE_SZ if pipe::is_pipe(&description) => match command {
            F_SETPIPE_SZ if argument > pipe::CAPACITY_BYTES as u64 => Err(Errno::EPERM),
            _ => Ok(pipe::CAPACITY_BYTES as u64),
        },
        F_GETPIPE_SZ | F_SETPIPE_SZ => Err(Errno::EBADF),
        F_GETOWN | F_GETSIG | F_SETOWN | F_SETSIG => Ok(0),
        _ => Err(Errno::EINVAL),
    }
}

fn check_lock(lock: &Lock, for_use: Option<&Description>) -> Result<(), Errno> {
    if !(0..=2).contains(&lock.whence) {
        return Err(Errno::EINVAL);
    }
    match (lock.kind as u32, for_use) {
        (F_RDLCK, Some(description)) if !description.may_read() => Err(Errno::EBADF),
        (F_WRLCK, Some(description)) if !description.may_write() => Err(Errno::EBADF),
        (F_RDLCK | F_WRLCK | F_UNLCK, _) => Ok(()),
        _ => Err(Errno::EINVAL),
    }
}

/// ioctl(2)
pub fn ioctl(call: &Call<'_>) -> Answer {
    let (descriptor, request, argument) = (call.descriptor(0), call.unsigned(1), call.pointer(2));
    let description = usable(descriptor)?;
    match request {
        FIOCLEX | FIONCLEX => {
            let on = request == FIOCLEX;
            files()
                .descriptors
                .lock()
                .set_close_on_exec(descriptor, on)?;
            return Ok(0);
        }
        FIONBIO => {
            let on: i32 = program_memory::read(argument)?;
            description.set_non_blocking(on != 0);
            return Ok(0);
        }
        FIOASYNC => {
            let on: i32 = program_memory::read(argument)?;
            // Signals about readiness are not sent, so only switching them off can succeed.
            return if on == 0 { Ok(0) } else { Err(Errno::ENOTTY) };
        }
        _ => {}
    }
    let object = description.object();
    match object.control(request, argument) {
        Err(Errno::ENOTTY) if object.is_seekable() && !object.is_directory() => match request {
            FIONREAD => {
                let left = object.attributes()?.length as i64 - *description.position() as i64;
                let left = left.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32;
                program_memory::write(argument, &left)?;
                Ok(0)
            }
            FIGETBSZ => {
                program_memory::write(argument, &4096_i32)?;
                Ok(0)
            }
            _ => Err(Errno::ENOTTY),
        },
        done => done,
    }
}
