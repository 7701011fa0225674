//! Pipes and pairs of connected sockets, within the process.
//!
//! Each direction is a bounded queue that knows how many ends are open on either side. As long as
//! one thread runs, a blocking read of an empty pipe waits for a signal handler to write, or for
//! ever, as it would on Linux.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::{AtomicU64, Ordering};

use kiln_interface::file::{Attributes, kind};
use kiln_runtime::PlainMutex as Mutex;
use linux_raw_sys::general::{O_CLOEXEC, O_DIRECT, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY};
use linux_raw_sys::ioctl::FIONREAD;

use super::buffer::{Destination, Source};
use super::description::Description;
use super::files;
use super::object::{Object, Position, readiness};
use crate::call::Call;
use crate::errno::{Answer, Errno};
use crate::program_memory;

/// Bytes that a pipe holds.
pub const CAPACITY_BYTES: usize = 64 << 10;

/// Writes up to this length are done whole or not at all (`PIPE_BUF`).
const WHOLE_BYTES: usize = 4096;

#[derive(Debug)]
struct State {
    bytes: VecDeque<u8>,
    readers: usize,
    writers: usize,
    activity: u64,
}

/// One direction.
#[derive(Debug)]
struct Queue {
    state: Mutex<State>,
    number: u64,
}

impl Queue {
    fn new() -> Arc<Self> {
        static NUMBERS: AtomicU64 = AtomicU64::new(0x1_0000);
        Arc::new(Self {
            state: Mutex::new(State {
                bytes: VecDeque::new(),
                readers: 1,
                writers: 1,
                activity: 0,
            }),
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
        })
    }

    fn read(&self, into: &mut Destination<'_>) -> Result<usize, Errno> {
        if into.room() == 0 {
            return Ok(0);
        }
        let mut state = self.state.lock();
        if state.bytes.is_empty() {
            return if state.writers == 0 {
                Ok(0)
            } else {
                Err(Errno::EAGAIN)
            };
        }
        let (front, back) = state.bytes.as_slices();
        let mut moved = into.put(front)?;
        if moved == front.len() && into.room() > 0 {
            moved += into.put(back).unwrap_or(0);
        }
        state.bytes.drain(..moved);
        state.activity += 1;
        Ok(moved)
    }

    fn write(&self, from: &mut Source<'_>) -> Result<usize, Errno> {
        let mut state = self.state.lock();
        if state.readers == 0 {
            return Err(Errno::EPIPE);
        }
        let room = CAPACITY_BYTES - state.bytes.len();
        let wanted = from.left();
        if wanted > 0 && (room == 0 || (wanted <= WHOLE_BYTES && room < wanted)) {
            return Err(Errno::EAGAIN);
        }
        let mut piece = [0; 1024];
        let mut moved = 0;
        while moved < room.min(wanted) {
            let most = (room - moved).min(piece.len());
            let place = piece.get_mut(..most).unwrap_or_default();
            match from.take(place) {
                Ok(bytes) => {
                    state.bytes.extend(bytes);
                    moved += bytes.len();
                }
                Err(error) if moved == 0 => return Err(error),
                Err(_) => break,
            }
        }
        state.activity += 1;
        Ok(moved)
    }

    fn read_readiness(&self) -> u32 {
        let state = self.state.lock();
        let mut ready = 0;
        if !state.bytes.is_empty() {
            ready |= readiness::IN;
        }
        if state.writers == 0 {
            ready |= readiness::HANG_UP;
        }
        ready
    }

    fn write_readiness(&self) -> u32 {
        let state = self.state.lock();
        let mut ready = 0;
        if CAPACITY_BYTES - state.bytes.len() >= WHOLE_BYTES {
            ready |= readiness::OUT;
        }
        if state.readers == 0 {
            ready |= readiness::ERROR;
        }
        ready
    }

    fn activity(&self) -> u64 {
        self.state.lock().activity
    }

    fn drop_reader(&self) {
        let mut state = self.state.lock();
        state.readers -= 1;
        state.bytes.clear();
        state.activity += 1;
    }

    fn drop_writer(&self) {
        let mut state = self.state.lock();
        state.writers -= 1;
        state.activity += 1;
    }

    fn attributes(&self, mode: u32) -> Attributes {
        Attributes {
            mode,
            number: self.number,
            ..crate::pseudo::own_attributes()
        }
    }

    fn control(&self, request: u32, argument: u64) -> Answer {
        match request {
            FIONREAD => {
                let count = self.state.lock().bytes.len() as i32;
                program_memory::write(argument, &count)?;
                Ok(0)
            }
            _ => Err(Errno::ENOTTY),
        }
    }
}

/// A broken pipe also raises `SIGPIPE`.
fn broken<T>(result: Result<T, Errno>) -> Result<T, Errno> {
    if matches!(result, Err(Errno::EPIPE)) {
        super::raise_broken_pipe();
    }
    result
}

struct ReadEnd(Arc<Queue>);

impl Object for ReadEnd {
    fn read(&self, _offset: u64, into: &mut Destination<'_>) -> Result<usize, Errno> {
        self.0.read(into)
    }

    fn attributes(&self) -> Result<Attributes, Errno> {
        Ok(self.0.attributes(kind::PIPE | 0o600))
    }

    fn readiness(&self) -> u32 {
        self.0.read_readiness()
    }

    fn is_pollable(&self) -> bool {
        true
    }

    fn activity(&self) -> u64 {
        self.0.activity()
    }

    fn control(&self, request: u32, argument: u64) -> Answer {
        self.0.control(request, argument)
    }

    fn describe(&self, name: &mut Vec<u8>) {
        name.extend_from_slice(alloc::format!("pipe:[{}]", self.0.number).as_bytes());
    }
}

impl Drop for ReadEnd {
    fn drop(&mut self) {
        self.0.drop_reader();
    }
}

struct WriteEnd(Arc<Queue>);

impl Object for WriteEnd {
    fn write(&self, _position: Position, from: &mut Source<'_>) -> Result<(usize, u64), Errno> {
        broken(self.0.write(from)).map(|count| (count, 0))
    }

    fn attributes(&self) -> Result<Attributes, Errno> {
        Ok(self.0.attributes(kind::PIPE | 0o600))
    }

    fn readiness(&self) -> u32 {
        self.0.write_readiness()
    }

    fn is_pollable(&self) -> bool {
        true
    }

    fn activity(&self) -> u64 {
        self.0.activity()
    }

    fn control(&self, request: u32, argument: u64) -> Answer {
        self.0.control(request, argument)
    }

    fn describe(&self, name: &mut Vec<u8>) {
        name.extend_from_slice(alloc::format!("pipe:[{}]", self.0.number).as_bytes());
    }
}

impl Drop for WriteEnd {
    fn drop(&mut self) {
        self.0.drop_writer();
    }
}

/// One of two connected sockets.
struct SocketEnd {
    incoming: Arc<Queue>,
    outgoing: Arc<Queue>,
}

impl Object for SocketEnd {
    fn read(&self, _offset: u64, into: &mut Destination<'_>) -> Result<usize, Errno> {
        self.incoming.read(into)
    }

    fn write(&self, _position: Position, from: &mut Source<'_>) -> Result<(usize, u64), Errno> {
        broken(self.outgoing.write(from)).map(|count| (count, 0))
    }

    fn attributes(&self) -> Result<Attributes, Errno> {
        Ok(self.incoming.attributes(kind::SOCKET | 0o777))
    }

    fn readiness(&self) -> u32 {
        let mut ready = self.incoming.read_readiness() | self.outgoing.write_readiness();
        if ready & readiness::HANG_UP != 0 {
            ready |= readiness::IN | readiness::READ_HANG_UP;
        }
        ready & !readiness::ERROR
    }

    fn is_pollable(&self) -> bool {
        true
    }

    fn activity(&self) -> u64 {
        self.incoming.activity() + self.outgoing.activity()
    }

    fn control(&self, request: u32, argument: u64) -> Answer {
        self.incoming.control(request, argument)
    }

    fn describe(&self, name: &mut Vec<u8>) {
        name.extend_from_slice(alloc::format!("socket:[{}]", self.incoming.number).as_bytes());
    }
}

impl Drop for SocketEnd {
    fn drop(&mut self) {
        self.incoming.drop_reader();
        self.outgoing.drop_writer();
    }
}

/// Whether a descriptor is an end of a pipe.
#[must_use]
pub fn is_pipe(description: &Description) -> bool {
    let object: &dyn Any = description.object().as_ref();
    object.is::<ReadEnd>() || object.is::<WriteEnd>()
}

/// Adds two descriptors and tells the program; takes the first back if the second cannot be.
fn add_pair(first: Description, second: Description, on: bool, address: u64) -> Answer {
    let files = files();
    let one = files.add(first, on)?;
    let told = files.add(second, on).and_then(|other| {
        match program_memory::write(address, &[one, other]) {
            Ok(()) => Ok(()),
            Err(error) => {
                drop(files.descriptors.lock().remove(other));
                Err(error)
            }
        }
    });
    if let Err(error) = told {
        drop(files.descriptors.lock().remove(one));
        return Err(error);
    }
    Ok(0)
}

fn make(address: u64, flags: u32) -> Answer {
    if flags & !(O_CLOEXEC | O_NONBLOCK | O_DIRECT) != 0 {
        return Err(Errno::EINVAL);
    }
    let kept = flags & (O_NONBLOCK | O_DIRECT);
    let queue = Queue::new();
    let read = Arc::new(ReadEnd(Arc::clone(&queue)));
    let read = Description::new(read, O_RDONLY | kept, Vec::new());
    let write = Description::new(Arc::new(WriteEnd(queue)), O_WRONLY | kept, Vec::new());
    add_pair(read, write, flags & O_CLOEXEC != 0, address)
}

/// pipe(2)
pub fn pipe(call: &Call<'_>) -> Answer {
    make(call.pointer(0), 0)
}

/// pipe2(2)
pub fn pipe2(call: &Call<'_>) -> Answer {
    make(call.pointer(0), call.unsigned(1))
}

/// `AF_UNIX`, `SOCK_STREAM`
const UNIX: u32 = 1;
const STREAM: u32 = 1;

/// socket(2). There is no network and nobody to talk to.
pub fn socket(_call: &Call<'_>) -> Answer {
    Err(Errno::EAFNOSUPPORT)
}

/// socketpair(2)
pub fn socketpair(call: &Call<'_>) -> Answer {
    let (kind, flags) = (call.unsigned(1) & 0xf, call.unsigned(1) & !0xf);
    if call.unsigned(0) != UNIX {
        return Err(Errno::EAFNOSUPPORT);
    }
    if flags & !(O_CLOEXEC | O_NONBLOCK) != 0 {
        return Err(Errno::EINVAL);
    }
    if kind != STREAM {
        return Err(Errno::ESOCKTNOSUPPORT);
    }
    if call.unsigned(2) > 1 {
        return Err(Errno::EPROTONOSUPPORT);
    }
    let (there, back) = (Queue::new(), Queue::new());
    let kept = O_RDWR | flags & O_NONBLOCK;
    let first = SocketEnd {
        incoming: Arc::clone(&back),
        outgoing: Arc::clone(&there),
    };
    let second = SocketEnd {
        incoming: there,
        outgoing: back,
    };
    add_pair(
        Description::new(Arc::new(first), kept, Vec::new()),
        Description::new(Arc::new(second), kept, Vec::new()),
        flags & O_CLOEXEC != 0,
        call.pointer(3),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    fn read(queue: &Queue, most: usize) -> Result<Vec<u8>, Errno> {
        let mut bytes = vec![0; most];
        let count = queue.read(&mut Destination::library(&mut bytes))?;
        bytes.truncate(count);
        Ok(bytes)
    }

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let queue = Queue::new();
        assert_eq!(read(&queue, 4), Err(Errno::EAGAIN));
        assert_eq!(queue.write(&mut Source::library(b"hello")), Ok(5));
        assert_eq!(read(&queue, 3), Ok(b"hel".to_vec()));
        queue.drop_writer();
        assert_eq!(queue.read_readiness(), readiness::IN | readiness::HANG_UP);
        assert_eq!(read(&queue, 3), Ok(b"lo".to_vec()));
        assert_eq!(read(&queue, 3), Ok(Vec::new()));
    }

    #[test]
    fn a_full_pipe_takes_short_writes_whole_or_not() {
        let queue = Queue::new();
        let long = vec![1; CAPACITY_BYTES - 10];
        assert_eq!(queue.write(&mut Source::library(&long)), Ok(long.len()));
        assert_eq!(
            queue.write(&mut Source::library(&[2; 11])),
            Err(Errno::EAGAIN)
        );
        assert_eq!(queue.write(&mut Source::library(&[2; 5000])), Ok(10));
        assert_eq!(queue.write_readiness(), 0);
        queue.drop_reader();
        assert_eq!(queue.write(&mut Source::library(b"x")), Err(Errno::EPIPE));
    }
}
