//! What the image says is to be done when a server ends.

use kiln_object::configuration::{Configuration, key};

const NS_PER_MS: u64 = 1_000_000;

/// What happens when a server ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// It stays ended.
    Never,
    /// It is started again, at most `limit` times within `window_ns`.
    Always {
        /// How many times.
        limit: u32,
        /// Within how many ns.
        window_ns: u64,
    },
}

impl Policy {
    /// What the configuration says of the server `name`; a record that does not parse is none.
    pub fn read(configuration: &Configuration<'_>, name: &str) -> Self {
        let of_server =
            |value: &&[u8]| value.split(|byte| *byte == 0).next() == Some(name.as_bytes());
        let record = configuration.values(key::RESTART).filter(of_server).last();
        record.and_then(Self::parse).unwrap_or(Self::Never)
    }

    fn parse(record: &[u8]) -> Option<Self> {
        let mut numbers = record.split(|byte| *byte == 0).skip(1).map(number);
        let (limit, window) = (numbers.next()??, numbers.next()??);
        if numbers.next().is_some() {
            return None;
        }
        Some(Self::Always {
            limit: u32::try_from(limit).ok()?,
            window_ns: window.checked_mul(NS_PER_MS)?,
        })
    }
}

/// A decimal number.
fn number(text: &[u8]) -> Option<u64> {
    core::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use kiln_object::configuration::write_record;

    use super::*;

    fn read(records: &[&str], name: &str) -> Policy {
        let mut blob = Vec::new();
        for record in records {
            let push = |bytes: &[u8]| blob.extend_from_slice(bytes);
            write_record(push, key::RESTART, record.replace(' ', "\0").as_bytes());
        }
        Policy::read(&Configuration::new(&blob), name)
    }

    #[test]
    fn the_last_record_of_a_server_counts() {
        let records = ["a 3 10000", "b 1 1", "b 2 500", "c 2", "d x 1", "e 1 1 1"];
        assert_eq!(
            read(&records, "a"),
            Policy::Always {
                limit: 3,
                window_ns: 10_000_000_000
            }
        );
        assert_eq!(
            read(&records, "b"),
            Policy::Always {
                limit: 2,
                window_ns: 500_000_000
            }
        );
        for other in ["c", "d", "e", "f", ""] {
            assert_eq!(read(&records, other), Policy::Never);
        }
    }
}
