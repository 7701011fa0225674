//! The pages of a file as an object.

use alloc::sync::Arc;

use kiln_interface::kernel::{FileCache, FileCacheDispatch};
use kiln_object::{
    Answer, Dispatch, Error, Incoming, Interface, ObjectName, ProcessId, Processor, RawReference,
    Reference, Rights,
};

use crate::call::current_dispatcher;
use crate::call::local::{hand, has_room_to_hand, is_asked_by};
use crate::memory::cache::Cache;
use crate::memory::heap;
use crate::memory::paged_file::PagedFile;
use crate::process::{self, Process};

struct Pages(Cache);

/// A file whose pages are kept in the kernel.
struct Kept(Arc<PagedFile>);

/// What can be mapped.
pub(super) enum Mappable {
    /// Pages of the image.
    Image(Cache),
    /// Pages that are brought.
    Kept(Arc<PagedFile>),
}

/// The object for `cache`.
#[must_use]
pub fn file_cache(cache: Cache) -> Arc<dyn Dispatch> {
    Arc::new(PagesDispatch(FileCacheDispatch(Pages(cache))))
}

/// The object for `file`, as those see it who did not make it.
#[must_use]
pub(super) fn kept_file(file: Arc<PagedFile>) -> Arc<dyn Dispatch> {
    Arc::new(KeptDispatch(FileCacheDispatch(Kept(file))))
}

/// Lets `map_file` get at the pages behind a reference: it asks through the dispatch in the kernel's
/// own name, which no call from outside can bear.
struct PagesDispatch(FileCacheDispatch<Pages>);

/// The same for what is kept.
struct KeptDispatch(FileCacheDispatch<Kept>);

/// The private question for the pages; answered with physical address and length, or with the address of
/// the [`PagedFile`], and which of the two it is.
const PAGES: u16 = 0xfeff;
const IS_KEPT: u64 = 1;

impl Dispatch for KeptDispatch {
    fn interface_hash(&self) -> u64 {
        self.0.interface_hash()
    }

    fn dispatch(&self, call: &mut Incoming<'_>) -> Answer {
        if call.method == PAGES && call.caller.0 == ProcessId::KERNEL {
            let place = Arc::as_ptr(&self.0.0.0).expose_provenance() as u64;
            [call.words[0], call.words[1], call.words[2]] = [place, 0, IS_KEPT];
            return Answer::done(0);
        }
        self.0.dispatch(call)
    }

    fn counts(&self, output: &mut [u8]) -> usize {
        self.0.counts(output)
    }
}

impl Dispatch for PagesDispatch {
    fn interface_hash(&self) -> u64 {
        self.0.interface_hash()
    }

    fn dispatch(&self, call: &mut Incoming<'_>) -> Answer {
        if call.method == PAGES && call.caller.0 == ProcessId::KERNEL {
            let (physical, length) = self.0.0.0.extent();
            [call.words[0], call.words[1], call.words[2]] = [physical, length, 0];
            return Answer::done(0);
        }
        self.0.dispatch(call)
    }

    fn counts(&self, output: &mut [u8]) -> usize {
        self.0.counts(output)
    }
}

/// The pages that `reference` of `process` names, and its rights.
///
/// # Errors
/// `BadReference` if it names no file cache of the process.
pub(super) fn resolve(
    process: &Process,
    reference: Reference<dyn FileCache>,
) -> Result<(Mappable, Rights), Error> {
    let RawReference {
        process: server,
        object,
    } = reference.raw();
    if server != ProcessId::KERNEL {
        return Err(Error::BadReference);
    }
    let (found, rights) = process.objects.lookup(object)?;
    if found.interface_hash() != <dyn FileCache as Interface>::HASH {
        return Err(Error::WrongInterface);
    }
    let question = Incoming {
        words: [0; 6],
        caller: kiln_object::Caller(ProcessId::KERNEL),
        method: PAGES,
        processor: Processor::default(),
        rights,
        bytes: None,
    };
    let reply = question.ask(&*found).map_err(|failure| failure.error)?;
    let [place, length, kind, _] = reply.words;
    if kind != IS_KEPT {
        return Ok((Mappable::Image(Cache::new(place, length)), rights));
    }
    let file = core::ptr::with_exposed_provenance::<PagedFile>(place as usize);
    // SAFETY: only `KeptDispatch` answers so, with a file of which it has a count; `found` keeps it.
    let file = unsafe {
        Arc::increment_strong_count(file);
        Arc::from_raw(file)
    };
    Ok((Mappable::Kept(file), rights))
}

/// Gives `owner` a reference to `object`. It pays for it if the caller serves it right now: it asked for
/// it, and could ask without end; then the reference goes if the call is never answered. Otherwise the
/// caller pays, who can then take it back.
///
/// # Errors
/// `ServerDied` if there is no such process; `Exhausted` if there is no room, the share is used up, or its call
/// has brought it four references already.
pub(super) fn hand_to(
    owner: ProcessId,
    object: Arc<dyn Dispatch>,
    rights: Rights,
) -> Result<Reference<dyn FileCache>, Error> {
    let receiver = process::find(owner).ok_or(Error::ServerDied)?;
    heap::ensure_room(receiver.is_program())?;
    let running = current_dispatcher().map_or(receiver, |running| running.process());
    let is_asked = !core::ptr::eq(running, receiver) && is_asked_by(receiver);
    let payer = if is_asked { receiver } else { running };
    if is_asked && !has_room_to_hand(receiver) {
        return Err(Error::Exhausted);
    }
    let name: ObjectName = receiver.give(object, rights, &payer.share)?;
    if is_asked {
        hand(receiver, name);
    }
    Ok(Reference::new(RawReference {
        process: ProcessId::KERNEL,
        object: name,
    }))
}

impl FileCache for Pages {
    fn length(&self) -> Result<u64, Error> {
        Ok(self.0.length())
    }

    fn share_range(
        &self,
        offset: u64,
        length: u64,
        owner: ProcessId,
    ) -> Result<Reference<dyn FileCache>, Error> {
        let part = self.0.range(offset, length).ok_or(Error::BadArgument)?;
        hand_to(owner, file_cache(part), Rights::READ | Rights::MAP)
    }
}

impl FileCache for Kept {
    fn length(&self) -> Result<u64, Error> {
        Ok(self.0.length())
    }

    fn share_range(
        &self,
        _offset: u64,
        _length: u64,
        _owner: ProcessId,
    ) -> Result<Reference<dyn FileCache>, Error> {
        Err(Error::Unsupported)
    }
}
