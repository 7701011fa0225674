//! A file's pages as the kernel keeps them: what regions map and references name.

/// Pages of one file that lie in the boot image, where the loader put them.
///
/// The bytes after `length` in the last page are zero by the image format's rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cache {
    physical: u64,
    length: u64,
}

impl Cache {
    /// The `length` bytes of the image at `physical`, which is page-aligned.
    #[must_use]
    pub const fn new(physical: u64, length: u64) -> Self {
        Self { physical, length }
    }

    /// Physical address and length in bytes.
    #[must_use]
    pub const fn extent(&self) -> (u64, u64) {
        (self.physical, self.length)
    }

    /// Bytes in the file.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// A part of it as a file of its own; `None` if it does not lie inside or is not page-aligned.
    #[must_use]
    pub fn range(&self, offset: u64, length: u64) -> Option<Cache> {
        let end = offset.checked_add(length)?;
        (offset.is_multiple_of(super::PAGE_BYTES) && end <= self.length)
            .then(|| Cache::new(self.physical + offset, length))
    }

    /// The physical address of the page at `offset`; `None` beyond the last page.
    #[must_use]
    pub fn page(&self, offset: u64) -> Option<u64> {
        (offset < self.length).then(|| self.physical + (offset & !(super::PAGE_BYTES - 1)))
    }
}

#[cfg(test)]
mod tests {
    use super::Cache;

    #[test]
    fn ranges_stay_inside_and_pages_end_with_the_file() {
        let cache = Cache::new(0x20_0000, 10_000);
        assert_eq!(cache.page(9_999), Some(0x20_2000));
        assert_eq!(cache.page(10_000), None);
        assert_eq!(
            cache.range(4096, 5904).map(|part| part.length()),
            Some(5904)
        );
        assert_eq!(cache.range(4096, 5905), None);
        assert_eq!(cache.range(100, 1), None);
        assert_eq!(cache.range(u64::MAX - 4095, 8192), None);
    }
}
