//! A composed image, kept in parts so that a large root file system is not copied.

use crate::linked::Linked;
use crate::report::ImageReport;
use kiln_image_format::Kind;
use std::borrow::Cow;
use std::io::{self, Write};

/// Bytes at an image offset.
pub(super) struct Part<'a> {
    pub offset: u64,
    pub bytes: Cow<'a, [u8]>,
}

/// A linked component of an image.
#[derive(Clone, Debug)]
pub struct LinkedComponent {
    /// What it is to the kernel.
    pub kind: Kind,
    /// The component at its addresses, for symbol files.
    pub linked: Linked,
}

/// An image, ready to be written.
pub struct Image<'a> {
    pub(super) parts: Vec<Part<'a>>,
    /// What takes the room.
    pub report: ImageReport,
    /// The components, the kernel first.
    pub components: Vec<LinkedComponent>,
}

impl Image<'_> {
    /// Bytes of the image file.
    pub fn file_bytes(&self) -> u64 {
        self.report.file_bytes
    }

    /// Writes the image file.
    ///
    /// # Errors
    /// What `output` fails with.
    pub fn write_to(&self, output: &mut impl Write) -> io::Result<()> {
        const ZEROS: [u8; 4096] = [0; 4096];
        let mut written = 0_u64;
        let fill = |output: &mut dyn Write, written: &mut u64, until: u64| {
            while *written < until {
                let length = (until - *written).min(ZEROS.len() as u64);
                output.write_all(ZEROS.get(..length as usize).unwrap_or(&ZEROS))?;
                *written += length;
            }
            Ok::<(), io::Error>(())
        };
        for part in &self.parts {
            fill(output, &mut written, part.offset)?;
            output.write_all(&part.bytes)?;
            written += part.bytes.len() as u64;
        }
        fill(output, &mut written, self.file_bytes())
    }

    /// The image file's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(usize::try_from(self.file_bytes()).unwrap_or(0));
        match self.write_to(&mut bytes) {
            Ok(()) => bytes,
            Err(error) => unreachable!("writing to memory: {error}"),
        }
    }
}
