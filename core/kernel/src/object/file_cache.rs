//! The pages of a file as an object.

use alloc::sync::Arc;

use kiln_interface::kernel::{FileCache, FileCacheDispatch};
use kiln_object::{
    Dispatch, Error, Incoming, Interface, ObjectName, Outgoing, ProcessId, Processor, RawReference,
    Reference, Reply, Rights,
};

use crate::memory::cache::Cache;
use crate::memory::heap;
use crate::process::{self, Process};

struct Pages(Cache);

/// The object for `cache`.
#[must_use]
pub fn file_cache(cache: Cache) -> Arc<dyn Dispatch> {
    Arc::new(PagesDispatch(FileCacheDispatch(Pages(cache))))
}

/// Lets `map_file` get at the pages behind a reference: it asks through the dispatch in the kernel's
/// own name, which no call from outside can bear.
struct PagesDispatch(FileCacheDispatch<Pages>);

/// The private question for the pages; answered with physical address and length.
const PAGES: u16 = 0xfeff;

impl Dispatch for PagesDispatch {
    fn interface_hash(&self) -> u64 {
        self.0.interface_hash()
    }

    fn dispatch(&self, incoming: Incoming<'_>) -> Outgoing {
        if incoming.method == PAGES && incoming.caller.0 == ProcessId::KERNEL {
            let (physical, length) = self.0.0.0.extent();
            return Ok(Reply {
                words: [physical, length, 0, 0],
                output: 0,
            });
        }
        self.0.dispatch(incoming)
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
) -> Result<(Cache, Rights), Error> {
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
        caller: kiln_object::Caller(ProcessId::KERNEL),
        processor: Processor::default(),
        rights,
        method: PAGES,
        words: &[0; 6],
        input: &[],
        output: &mut [],
    };
    let reply = found.dispatch(question).map_err(|failure| failure.error)?;
    let [physical, length, ..] = reply.words;
    Ok((Cache::new(physical, length), rights))
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
        let receiver = process::find(owner).ok_or(Error::ServerDied)?;
        heap::ensure_room(receiver.is_program())?;
        // The receiver pays: it asked the caller for the pages, and could ask without end.
        let object: ObjectName = receiver.give(
            file_cache(part),
            Rights::READ | Rights::MAP,
            &receiver.share,
        )?;
        Ok(Reference::new(RawReference {
            process: ProcessId::KERNEL,
            object,
        }))
    }
}
