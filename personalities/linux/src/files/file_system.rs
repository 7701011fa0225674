//! What is known about file systems: `statfs`.

use kiln_interface::file::FileTree;
use linux_raw_sys::general::AT_FDCWD;
use zerocopy::{FromZeros, Immutable, IntoBytes, KnownLayout};

use super::files;
use super::path::{self, Joined, NAME_BYTES};
use super::status::BLOCK_BYTES;
use super::walk::{Place, Walk};
use crate::call::Call;
use crate::errno::Answer;
use crate::program_memory;

/// `struct statfs`
#[derive(Clone, Copy, Debug, FromZeros, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct FileSystem {
    kind: i64,
    block_bytes: i64,
    blocks: u64,
    blocks_free: u64,
    blocks_available: u64,
    files: u64,
    files_free: u64,
    number: [i32; 2],
    name_bytes: i64,
    fragment_bytes: i64,
    flags: i64,
    tail: [i64; 4],
}

const _: () = assert!(size_of::<FileSystem>() == 120);

/// `TMPFS_MAGIC`, `EROFS_SUPER_MAGIC_V1`, `PROC_SUPER_MAGIC`.
const MEMORY: i64 = 0x0102_1994;
const READ_ONLY: i64 = 0xe0f5_e1e2;
const PROCESSES: i64 = 0x9fa0;

/// `ST_VALID`, `ST_RDONLY`.
const VALID: i64 = 0x20;
const READ_ONLY_FLAG: i64 = 1;

fn file_system_at(start: Joined, address: u64) -> Answer {
    // What is asked about must exist.
    files().attributes_of(start.clone(), true)?;
    let mut answer = FileSystem::new_zeroed();
    answer.block_bytes = BLOCK_BYTES as i64;
    answer.fragment_bytes = BLOCK_BYTES as i64;
    answer.name_bytes = NAME_BYTES as i64;
    Walk::new(files(), start, true).run(|place, elsewhere| {
        answer.kind = PROCESSES;
        answer.flags = VALID;
        if let Place::Stored(place) = place {
            // The statistics are the tree's, but a link may lead out of it.
            place.tree().attributes(&place.relative, true, elsewhere)?;
            let ((blocks, blocks_free), (all, free)) = place.tree().statistics()?;
            let read_only = place.mount.read_only || blocks_free == 0 && free == 0;
            answer.kind = if read_only { READ_ONLY } else { MEMORY };
            answer.flags |= if read_only { READ_ONLY_FLAG } else { 0 };
            answer.blocks = blocks;
            answer.blocks_free = blocks_free;
            answer.blocks_available = blocks_free;
            answer.files = all;
            answer.files_free = free;
        }
        Ok(())
    })?;
    program_memory::write(address, &answer)?;
    Ok(0)
}

/// statfs(2)
pub fn statfs(call: &Call<'_>) -> Answer {
    let path = program_memory::path(call.pointer(0))?;
    file_system_at(files().start(AT_FDCWD, &path)?, call.pointer(1))
}

/// fstatfs(2)
pub fn fstatfs(call: &Call<'_>) -> Answer {
    let description = files().description(call.descriptor(0))?;
    let path = match description.path() {
        // Nameless files lie in a tree of their own, which has no figures.
        b"" => &b"/proc"[..],
        path => path,
    };
    file_system_at(path::join(b"/", path)?, call.pointer(1))
}
