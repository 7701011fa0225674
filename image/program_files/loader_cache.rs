//! Reads glibc's `/etc/ld.so.cache`: which file a library name leads to.
//!
//! The layout is that of `struct cache_file_new` in glibc's `dl-cache.h`; an older table
//! may stand in front of it. A cache that cannot be read is the same as none, as it is
//! for the loader.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const HEADER_BYTES: usize = 48;
const ENTRY_BYTES: usize = 24;
/// A library for glibc 2 on 64-bit x86.
const X86_64_LIBRARY: u32 = 0x0303;

/// Names of libraries and their files.
#[derive(Debug, Default)]
pub struct LoaderCache {
    libraries: BTreeMap<String, PathBuf>,
}

impl LoaderCache {
    /// The cache of this host; empty if there is none.
    pub fn of_host() -> Self {
        let bytes = std::fs::read("/etc/ld.so.cache").unwrap_or_default();
        Self::parse(&bytes).unwrap_or_default()
    }

    /// Reads a cache's bytes.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let start = bytes
            .windows(MAGIC.len())
            .position(|window| window == MAGIC)?;
        let table = bytes.get(start..)?;
        let word = |offset: usize| {
            let bytes = table.get(offset..offset.checked_add(4)?)?;
            Some(u32::from_le_bytes(bytes.try_into().ok()?))
        };
        let text = |offset: u32| {
            let rest = table.get(offset as usize..)?;
            let length = rest.iter().position(|byte| *byte == 0)?;
            String::from_utf8(rest.get(..length)?.to_vec()).ok()
        };
        let count = word(20)? as usize;
        let mut libraries = BTreeMap::new();
        for index in 0..count.min(table.len() / ENTRY_BYTES) {
            let entry = HEADER_BYTES + index * ENTRY_BYTES;
            let special_hardware = word(entry + 16)? != 0 || word(entry + 20)? != 0;
            if word(entry)? != X86_64_LIBRARY || special_hardware {
                continue;
            }
            let (name, path) = (text(word(entry + 4)?)?, text(word(entry + 8)?)?);
            // The first one listed wins, as it does for the loader.
            libraries.entry(name).or_insert_with(|| PathBuf::from(path));
        }
        Some(Self { libraries })
    }

    /// The file that `name` leads to.
    pub fn find(&self, name: &str) -> Option<PathBuf> {
        self.libraries
            .get(name)
            .map(|path| Path::new(path).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::damage::damaged;

    fn cache(entries: &[(u32, u64, &str, &str)]) -> Vec<u8> {
        let mut table = MAGIC.to_vec();
        table.extend((entries.len() as u32).to_le_bytes());
        table.resize(HEADER_BYTES, 0);
        let strings_at = HEADER_BYTES + entries.len() * ENTRY_BYTES;
        let mut strings = Vec::new();
        for (flags, hardware, name, path) in entries {
            table.extend(flags.to_le_bytes());
            for text in [name, path] {
                table.extend(((strings_at + strings.len()) as u32).to_le_bytes());
                strings.extend(text.as_bytes());
                strings.push(0);
            }
            table.extend([0; 4]);
            table.extend(hardware.to_le_bytes());
        }
        table.extend(strings);
        table
    }

    #[test]
    fn only_plain_libraries_of_this_machine_are_found() {
        let bytes = cache(&[
            (3, 0, "liba.so", "/lib32/liba.so"),
            (X86_64_LIBRARY, 2, "liba.so", "/fast/liba.so"),
            (X86_64_LIBRARY, 0, "liba.so", "/lib/liba.so"),
            (X86_64_LIBRARY, 0, "liba.so", "/later/liba.so"),
        ]);
        let cache = LoaderCache::parse(&bytes).unwrap();
        assert_eq!(cache.find("liba.so"), Some(PathBuf::from("/lib/liba.so")));
        assert_eq!(cache.find("libb.so"), None);
    }

    #[test]
    fn an_old_table_in_front_is_passed_over() {
        let mut bytes = b"ld.so-1.7.0\0\0\0\0\0".to_vec();
        bytes.extend(cache(&[(X86_64_LIBRARY, 0, "liba.so", "/lib/liba.so")]));
        assert!(
            LoaderCache::parse(&bytes)
                .unwrap()
                .find("liba.so")
                .is_some()
        );
    }

    #[test]
    fn a_cache_that_is_cut_off_is_none() {
        let bytes = cache(&[(X86_64_LIBRARY, 0, "liba.so", "/lib/liba.so")]);
        for length in 0..bytes.len() - 1 {
            assert!(LoaderCache::parse(&bytes[..length]).is_none(), "{length}");
        }
    }

    proptest! {
        #[test]
        fn a_damaged_cache_leads_nowhere_else(
            bytes in damaged(
                &cache(&[(3, 0, "a.so", "/a"), (X86_64_LIBRARY, 0, "b.so", "/b"), (X86_64_LIBRARY, 1, "c.so", "/c")]),
                &["\0", "glibc-ld.so.cache1.1"],
            ),
        ) {
            if let Some(cache) = LoaderCache::parse(&bytes) {
                prop_assert!(cache.libraries.len() <= bytes.len() / ENTRY_BYTES);
                for (name, path) in &cache.libraries {
                    let holds = |text: &[u8]| text.is_empty() || bytes.windows(text.len()).any(|part| part == text);
                    prop_assert!(holds(name.as_bytes()) && holds(path.as_os_str().as_encoded_bytes()));
                }
            }
        }
    }
}
