//! For tests: calls that pass through stub and dispatch as they do between processes.
//!
//! One table of objects per thread stands for all processes; it checks owner and rights as the
//! real one does, and copies what the real one copies.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::RefCell;

use kiln_object::call::{CALL_WORDS, MESSAGE_BYTES, universal};
use kiln_object::near::Found;
use kiln_object::{
    Binder, Caller, Dispatch, Error, Incoming, ObjectName, ProcessId, RawReference, Reply, Rights,
    Transport,
};

struct Slot {
    object: Arc<dyn Dispatch>,
    owner: ProcessId,
    rights: Rights,
}

std::thread_local! {
    static TABLE: RefCell<Vec<Option<Slot>>> = const { RefCell::new(Vec::new()) };
}

/// The process that all objects of the table are in.
pub const SERVER: ProcessId = ProcessId::new(7, 1);

/// Puts `object` into the table.
///
/// # Errors
/// [`Error::Exhausted`] beyond four thousand objects, so that a leak shows.
pub fn export(
    object: Arc<dyn Dispatch>,
    owner: ProcessId,
    rights: Rights,
) -> Result<RawReference, Error> {
    TABLE.with_borrow_mut(|table| {
        let free = table
            .iter()
            .position(Option::is_none)
            .unwrap_or(table.len());
        let name = u32::try_from(free)
            .ok()
            .filter(|slot| *slot < 4000)
            .ok_or(Error::Exhausted)?;
        let slot = Some(Slot {
            object,
            owner,
            rights,
        });
        match table.get_mut(free) {
            Some(place) => *place = slot,
            None => table.push(slot),
        }
        Ok(RawReference {
            process: SERVER,
            object: ObjectName::new(name, 1),
        })
    })
}

/// Takes an object out of the table.
pub fn release(reference: RawReference) {
    let slot = TABLE.with_borrow_mut(|table| {
        table
            .get_mut(reference.object.slot() as usize)
            .and_then(Option::take)
    });
    // The object may release others as it goes, so the table is not borrowed here.
    drop(slot);
}

/// Empties the table, as between two cases of one test.
pub fn clear() {
    let objects = TABLE.with_borrow_mut(core::mem::take);
    drop(objects);
}

/// How many objects are in the table.
#[must_use]
pub fn live_objects() -> usize {
    TABLE.with_borrow(|table| table.iter().flatten().count())
}

/// The rights that `reference` was made with.
#[must_use]
pub fn rights(reference: RawReference) -> Option<Rights> {
    TABLE.with_borrow(|table| {
        Some(
            table
                .get(reference.object.slot() as usize)?
                .as_ref()?
                .rights,
        )
    })
}

/// Calls in the name of a process.
#[derive(Clone, Copy, Debug)]
pub struct Near(pub ProcessId);

impl Transport for Near {
    fn call(
        &self,
        reference: RawReference,
        method: u16,
        words: [u64; CALL_WORDS],
        input: &[u8],
        output: &mut [u8],
    ) -> Result<Reply, Error> {
        if input.len() > MESSAGE_BYTES || output.len() > MESSAGE_BYTES {
            return Err(Error::TooLarge);
        }
        let (object, rights) = TABLE
            .with_borrow(|table| {
                let slot = table.get(reference.object.slot() as usize)?.as_ref()?;
                (slot.owner == self.0).then(|| (Arc::clone(&slot.object), slot.rights))
            })
            .ok_or(Error::BadReference)?;
        if method == universal::RELEASE {
            drop(object);
            release(reference);
            return Ok(Reply::default());
        }
        // As the callee's page: what the callee does not write is not the caller's to see.
        let mut page = alloc::vec![0xa5; output.len()];
        let input = input.to_vec();
        let answer = Incoming {
            words,
            caller: Caller(self.0),
            method,
            processor: kiln_object::Processor::default(),
            rights,
            bytes: Some(&mut kiln_object::Bytes {
                input: &input,
                output: &mut page,
            }),
        }
        .ask(&*object);
        let written = match &answer {
            Ok(reply) => reply.output,
            Err(failure) => failure.output,
        };
        let from = page.get(..written).ok_or(Error::BadAnswer)?;
        output
            .get_mut(..written)
            .ok_or(Error::BadAnswer)?
            .copy_from_slice(from);
        answer.map_err(|failure| failure.error)
    }
}

impl Binder for Near {
    fn this_process(&self) -> ProcessId {
        self.0
    }

    fn near(&self, _reference: RawReference) -> Option<Found> {
        None
    }

    fn server(&self, _name: &str) -> Result<RawReference, Error> {
        Err(Error::NotFound)
    }

    fn bind(
        &self,
        bootstrap: RawReference,
        _hash: u64,
        _idempotent: &'static [u16],
    ) -> Result<RawReference, Error> {
        Ok(bootstrap)
    }
}

/// One entry of a directory as a test compares it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// Its name.
    pub name: Vec<u8>,
    /// Kind bits of the mode.
    pub kind: u32,
    /// Number of the file.
    pub number: u64,
    /// Where to go on after it.
    pub cookie: u64,
}

/// Takes an answer of `File::read_directory` apart.
///
/// # Panics
/// If it is not well formed.
#[must_use]
pub fn parse_listing(answer: &[u8]) -> Vec<Listed> {
    let mut entries = Vec::new();
    let mut bytes = 0;
    for (head, name) in crate::listed(answer) {
        bytes = usize::next_multiple_of(bytes, 8) + size_of_val(&head) + name.len();
        entries.push(Listed {
            name: name.to_vec(),
            kind: head.kind,
            number: head.number,
            cookie: head.cookie,
        });
    }
    assert_eq!(bytes, answer.len(), "bytes that are no entry");
    entries
}
