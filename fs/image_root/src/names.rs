//! Names that were looked up recently, those that are not there among them.
//!
//! The tree never changes, so what is here stays true. Programs look for the same few names again and
//! again, mostly where they are not. Places are few and each is bounded.

use alloc::boxed::Box;

use kiln_erofs::{Error as ImageError, Inode, Nid};
use kiln_object::Error;
use spin::Mutex;

use crate::contents::refusal;
use crate::recent::hash;

/// Names remembered at most; a power of two.
const PLACES: usize = 64;

/// Longest name that is remembered, in bytes.
const NAME_MAX: usize = 64;

#[derive(Debug)]
struct Known {
    directory: Nid,
    name: Box<[u8]>,
    /// What the name stands for; `None` if there is no such name.
    inode: Option<Inode>,
}

/// The names.
#[derive(Debug)]
pub struct Names {
    places: [Mutex<Option<Box<Known>>>; PLACES],
}

impl Names {
    pub const fn new() -> Self {
        Self {
            places: [const { Mutex::new(None) }; PLACES],
        }
    }

    /// What `name` stands for in the directory of that number; `look` looks in the image itself.
    pub fn find(
        &self,
        directory: Nid,
        name: &[u8],
        look: impl FnOnce() -> Result<Inode, ImageError>,
    ) -> Result<Inode, Error> {
        if name.len() > NAME_MAX {
            return look().map_err(refusal);
        }
        // Neighbours in the tree have numbers that differ in their low bits.
        let index = hash(name) ^ directory.0 as usize;
        let place = &self.places[index % PLACES];
        if let Some(known) = &*place.lock()
            && known.directory == directory
            && *known.name == *name
        {
            return known.inode.ok_or(Error::NotFound);
        }
        let inode = match look() {
            Ok(inode) => Some(inode),
            Err(ImageError::NotFound) => None,
            // The image is broken there: let each lookup say so.
            Err(error) => return Err(refusal(error)),
        };
        let known = Box::new(Known {
            directory,
            name: name.into(),
            inode,
        });
        // What was there goes when the place is free again.
        let _old = place.lock().replace(known);
        inode.ok_or(Error::NotFound)
    }
}

#[cfg(test)]
mod tests {
    use core::cell::Cell;

    use super::*;

    #[test]
    fn names_are_looked_for_once_in_each_directory() {
        let names = Names::new();
        let looks = Cell::new(0);
        let missing = |directory, name: &[u8]| {
            names.find(Nid(directory), name, || {
                looks.set(looks.get() + 1);
                Err(ImageError::NotFound)
            })
        };
        for _ in 0..3 {
            assert_eq!(missing(1, b"a"), Err(Error::NotFound));
        }
        assert_eq!(looks.get(), 1);
        assert_eq!(missing(2, b"a"), Err(Error::NotFound));
        assert_eq!(missing(1, b"ab"), Err(Error::NotFound));
        assert_eq!(looks.get(), 3);
        let long = [b'x'; NAME_MAX + 1];
        assert_eq!(missing(1, &long), Err(Error::NotFound));
        assert_eq!(missing(1, &long), Err(Error::NotFound));
        assert_eq!(looks.get(), 5);
    }

    #[test]
    fn a_broken_image_is_asked_each_time() {
        let names = Names::new();
        for _ in 0..2 {
            let found = names.find(Nid(1), b"a", || Err(ImageError::NotFile));
            assert_eq!(found, Err(Error::IsDirectory));
        }
        assert_eq!(
            names.find(Nid(1), b"a", || Err(ImageError::NotFound)),
            Err(Error::NotFound)
        );
    }
}
