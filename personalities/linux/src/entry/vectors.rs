//! The program's vector registers while the library runs.
//!
//! The library and all it calls are compiled for SSE2 with legacy encodings, which leave the upper
//! halves of the registers, the mask registers and the x87 state alone: the low halves of
//! `xmm0` to `xmm15` are all there is to keep.

/// The low halves of `xmm0` to `xmm15`.
#[derive(Debug, Default)]
#[repr(C, align(16))]
pub struct VectorSave(pub [u128; 16]);

/// Bytes of a [`VectorSave`].
pub const VECTOR_BYTES: usize = size_of::<VectorSave>();

/// Assembly text: stores `xmm0..xmm15` to a [`VectorSave`] at `rsp`.
#[macro_export]
#[doc(hidden)]
macro_rules! save_vectors {
    () => {
        "movaps [rsp], xmm0
        movaps [rsp + 0x10], xmm1
        movaps [rsp + 0x20], xmm2
        movaps [rsp + 0x30], xmm3
        movaps [rsp + 0x40], xmm4
        movaps [rsp + 0x50], xmm5
        movaps [rsp + 0x60], xmm6
        movaps [rsp + 0x70], xmm7
        movaps [rsp + 0x80], xmm8
        movaps [rsp + 0x90], xmm9
        movaps [rsp + 0xa0], xmm10
        movaps [rsp + 0xb0], xmm11
        movaps [rsp + 0xc0], xmm12
        movaps [rsp + 0xd0], xmm13
        movaps [rsp + 0xe0], xmm14
        movaps [rsp + 0xf0], xmm15"
    };
}

/// Assembly text: loads `xmm0..xmm15` from a [`VectorSave`] at `rsp`.
#[macro_export]
#[doc(hidden)]
macro_rules! restore_vectors {
    () => {
        "movaps xmm0, [rsp]
        movaps xmm1, [rsp + 0x10]
        movaps xmm2, [rsp + 0x20]
        movaps xmm3, [rsp + 0x30]
        movaps xmm4, [rsp + 0x40]
        movaps xmm5, [rsp + 0x50]
        movaps xmm6, [rsp + 0x60]
        movaps xmm7, [rsp + 0x70]
        movaps xmm8, [rsp + 0x80]
        movaps xmm9, [rsp + 0x90]
        movaps xmm10, [rsp + 0xa0]
        movaps xmm11, [rsp + 0xb0]
        movaps xmm12, [rsp + 0xc0]
        movaps xmm13, [rsp + 0xd0]
        movaps xmm14, [rsp + 0xe0]
        movaps xmm15, [rsp + 0xf0]"
    };
}
