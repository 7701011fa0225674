//! System calls on files of a tree that cannot be written and gives its pages.

use std::vec::Vec;

use kiln_interface::FourWords;
use kiln_interface::file::{
    Attributes, File, FileDispatch, FileTree, Opened, kind, open as server_open,
};
use kiln_interface::kernel::FileCache;
use kiln_object::{Caller, Error, ProcessId, Reference, Rights};
use linux_raw_sys::general::*;
use zerocopy::IntoBytes;

use super::switchboard;
use super::tests::{at_path, at_paths, close, contents, make, mode, open, read, write};
use crate::errno::Errno;

/// A tree of one file with pages, as an image root has it.
struct Image(&'static [u8]);

struct ImageFile(&'static [u8]);

fn attributes(length: usize) -> Attributes {
    Attributes {
        mode: kind::REGULAR | 0o755,
        links: 1,
        number: 2,
        length: length as u64,
        ..Attributes::default()
    }
}

fn answer_with(attributes: &Attributes, answer: &mut [u8]) -> Result<usize, Error> {
    let bytes = attributes.as_bytes();
    answer
        .get_mut(..bytes.len())
        .ok_or(Error::TooLarge)?
        .copy_from_slice(bytes);
    Ok(bytes.len())
}

impl File for ImageFile {
    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<usize, Error> {
        let rest = self.0.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(bytes.len());
        bytes[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write(&self, _offset: u64, _bytes: &[u8]) -> Result<(u64, u64), Error> {
        Err(Error::ReadOnly)
    }

    fn attributes(&self, answer: &mut [u8]) -> Result<usize, Error> {
        answer_with(&attributes(self.0.len()), answer)
    }

    fn set_attributes(&self, _attributes: &[u8], _fields: u32) -> Result<(), Error> {
        Err(Error::ReadOnly)
    }

    fn pages(&self, _caller: Caller) -> Result<(Reference<dyn FileCache>, u64), Error> {
        Ok((switchboard::put_up_pages(self.0), self.0.len() as u64))
    }

    fn read_directory(&self, _cookie: u64, _answer: &mut [u8]) -> Result<usize, Error> {
        Err(Error::NotDirectory)
    }

    fn synchronise(&self) -> Result<(), Error> {
        Ok(())
    }
}

type Done = Result<(), Error>;

impl FileTree for Image {
    fn open(
        &self,
        path: &[u8],
        flags: u32,
        _mode: u32,
        owner: ProcessId,
        _elsewhere: &mut [u8],
    ) -> Result<Opened, Error> {
        assert_eq!(flags & server_open::CHANGING, 0);
        if path != b"file" {
            return Err(Error::NotFound);
        }
        let object = alloc::sync::Arc::new(FileDispatch(ImageFile(self.0)));
        let file = kiln_file_server::testing::export(object, owner, Rights::ALL)?;
        Ok(Opened {
            file: Reference::new(file),
            mode: kind::REGULAR | 0o755 | Opened::FIXED,
            length: self.0.len() as u64,
        })
    }

    fn attributes(&self, path: &[u8], _follow: bool, answer: &mut [u8]) -> Result<usize, Error> {
        match path {
            b"file" => answer_with(&attributes(self.0.len()), answer),
            b"link" => {
                answer[..17].copy_from_slice(b"/image/file\0.....");
                Err(Error::Elsewhere)
            }
            _ => Err(Error::NotFound),
        }
    }

    fn read_link(&self, _path: &[u8], _answer: &mut [u8]) -> Result<usize, Error> {
        Err(Error::NotFound)
    }

    fn make_directory(&self, _path: &[u8], _mode: u32, _elsewhere: &mut [u8]) -> Done {
        Err(Error::ReadOnly)
    }

    fn remove(&self, _path: &[u8], _directory: bool, _elsewhere: &mut [u8]) -> Done {
        Err(Error::ReadOnly)
    }

    fn rename(&self, _from: &[u8], _to: &[u8], _flags: u32, _elsewhere: &mut [u8]) -> Done {
        Err(Error::ReadOnly)
    }

    fn link(&self, _from: &[u8], _to: &[u8], _elsewhere: &mut [u8]) -> Done {
        Err(Error::ReadOnly)
    }

    fn make_link(&self, _target: &[u8], _path: &[u8], _elsewhere: &mut [u8]) -> Done {
        Err(Error::ReadOnly)
    }

    fn make_node(&self, _path: &[u8], _mode: u32, _device: u64, _elsewhere: &mut [u8]) -> Done {
        Err(Error::ReadOnly)
    }

    fn set_attributes(
        &self,
        _path: &[u8],
        _attributes: &[u8],
        _fields: u32,
        _follow: bool,
        _elsewhere: &mut [u8],
    ) -> Done {
        Err(Error::ReadOnly)
    }

    fn statistics(&self) -> Result<FourWords, Error> {
        Ok(((1, 0), (1, 0)))
    }

    fn open_writable(
        &self,
        _path: &[u8],
        _flags: u32,
        _mode: u32,
        _owner: ProcessId,
        _elsewhere: &mut [u8],
    ) -> Result<Opened, Error> {
        Err(Error::ReadOnly)
    }
}

#[test]
fn files_with_pages_are_read_without_calls() {
    let bytes: Vec<u8> = (0..3_000_000_u32)
        .map(|number| (number / 7) as u8)
        .collect();
    let bytes: &'static [u8] = bytes.leak();
    switchboard::mount_memory(b"/");
    switchboard::mount(b"/image", 0, Image(bytes));
    let descriptor = open("/image/file", O_RDONLY).expect("opens");
    assert_eq!(read(descriptor, 50), Ok(bytes[..50].to_vec()));
    assert_eq!(read(descriptor, 50), Ok(bytes[50..100].to_vec()));
    let before = switchboard::calls();
    assert_eq!(
        read(descriptor, 1_999_900),
        Ok(bytes[100..2_000_000].to_vec())
    );
    assert_eq!(read(descriptor, 2_000_000), Ok(bytes[2_000_000..].to_vec()));
    assert_eq!(read(descriptor, 1), Ok(Vec::new()));
    assert_eq!(switchboard::calls(), before);
    // More files than windows, read in turn.
    let many: Vec<u64> = (0..40)
        .map(|_| open("/image/file", O_RDONLY).expect("opens"))
        .collect();
    for round in 0..3 {
        for descriptor in &many {
            let part = &bytes[round * 1000..(round + 1) * 1000];
            assert_eq!(read(*descriptor, 1000), Ok(part.to_vec()));
        }
    }
    assert_eq!(write(descriptor, b"x"), Err(Errno::EBADF));
}

#[test]
fn trees_that_cannot_be_written_say_so() {
    switchboard::mount_memory(b"/");
    switchboard::mount(b"/image", 1, Image(b"small"));
    assert_eq!(contents("/image/file"), Ok(b"small".to_vec()));
    assert_eq!(open("/image/file", O_WRONLY), Err(Errno::EROFS));
    assert_eq!(open("/image/none", O_WRONLY), Err(Errno::ENOENT));
    assert_eq!(open("/image/none", O_WRONLY | O_CREAT), Err(Errno::EROFS));
    close(open("/image/file", O_RDONLY | O_CREAT).expect("is there"));
    assert_eq!(at_path(__NR_mkdir, "/image/d", &[0o755]), Err(Errno::EROFS));
    assert_eq!(at_path(__NR_unlink, "/image/file", &[]), Err(Errno::EROFS));
    assert_eq!(at_path(__NR_access, "/image/file", &[2]), Err(Errno::EROFS));
    assert_eq!(at_path(__NR_access, "/image/file", &[1]), Ok(0));
    make("/x", b"");
    assert_eq!(at_paths(__NR_rename, "/x", "/image/x"), Err(Errno::EXDEV));
    // A link out of the tree is gone after.
    assert_eq!(mode(__NR_stat, "/image/link"), Ok(kind::REGULAR | 0o755));
}
