//! The interface over the table.

use kiln_interface::name_space::NameSpace;
use kiln_object::{Error, RawReference};
use spin::RwLock;

use crate::table::MountTable;

/// The server of a mount table.
#[derive(Debug)]
pub struct NameSpaceServer {
    table: RwLock<MountTable>,
}

impl NameSpaceServer {
    /// Serves `table`.
    #[must_use]
    pub const fn new(table: MountTable) -> Self {
        Self {
            table: RwLock::new(table),
        }
    }
}

impl NameSpace for NameSpaceServer {
    fn version(&self) -> Result<u64, Error> {
        Ok(self.table.read().version())
    }

    fn mounts(&self, answer: &mut [u8]) -> Result<(u64, u64), Error> {
        let table = self.table.read();
        Ok((table.pack(answer)? as u64, table.version()))
    }

    fn mount(&self, path: &[u8], server: RawReference, flags: u32) -> Result<(), Error> {
        self.table.write().mount(path, server, flags)
    }

    fn unmount(&self, path: &[u8]) -> Result<(), Error> {
        self.table.write().unmount(path)
    }
}
