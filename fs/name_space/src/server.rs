//! The interface over the table.

use alloc::boxed::Box;

use kiln_interface::name_space::NameSpace;
use kiln_object::call::MESSAGE_BYTES;
use kiln_object::{Error, RawReference};
use spin::Mutex;

use crate::snapshot::Snapshot;
use crate::table::MountTable;

/// The server of a mount table. Who asks takes no lock and writes nothing that another processor reads.
#[derive(Debug)]
pub struct NameSpaceServer {
    /// What changes are made to.
    table: Mutex<MountTable>,
    /// The table of the same version as clients get it.
    packed: Box<Snapshot<{ MESSAGE_BYTES / 8 }>>,
}

impl NameSpaceServer {
    /// Serves `table`.
    #[must_use]
    pub fn new(table: MountTable) -> Self {
        let packed = Box::new(Snapshot::new(table.version().wrapping_sub(1)));
        show(&table, &packed);
        Self {
            table: Mutex::new(table),
            packed,
        }
    }

    fn change(
        &self,
        change: impl FnOnce(&mut MountTable) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut table = self.table.lock();
        change(&mut table)?;
        show(&table, &self.packed);
        Ok(())
    }
}

/// Lets clients see `table`, which is of the next version.
fn show(table: &MountTable, packed: &Snapshot<{ MESSAGE_BYTES / 8 }>) {
    let mut room = [0; MESSAGE_BYTES];
    // The table never gets longer than that.
    let length = table.pack(&mut room).unwrap_or(0);
    packed.replace(room.get(..length).unwrap_or_default());
}

impl NameSpace for NameSpaceServer {
    fn version(&self) -> Result<u64, Error> {
        Ok(self.packed.version())
    }

    fn mounts(&self, answer: &mut [u8]) -> Result<(u64, u64), Error> {
        let (length, version) = self.packed.read(answer).ok_or(Error::TooLarge)?;
        Ok((length as u64, version))
    }

    fn mount(&self, path: &[u8], server: RawReference, flags: u32) -> Result<(), Error> {
        self.change(|table| table.mount(path, server, flags))
    }

    fn unmount(&self, path: &[u8]) -> Result<(), Error> {
        self.change(|table| table.unmount(path))
    }
}
