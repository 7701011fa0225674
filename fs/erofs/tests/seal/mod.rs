//! Making the checksum of a changed image right again, without the crate's own code for it.

/// The image with the checksum that its first block should have.
pub fn resealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let Some(block) = bytes.get_mut(1024..4096) else {
        return bytes;
    };
    block[4..8].fill(0);
    let mut checksum = !0u32;
    for &byte in block.iter() {
        checksum ^= u32::from(byte);
        for _ in 0..8 {
            checksum = (checksum >> 1) ^ (0x82f6_3b78 & (checksum & 1).wrapping_neg());
        }
    }
    block[4..8].copy_from_slice(&checksum.to_le_bytes());
    bytes
}
