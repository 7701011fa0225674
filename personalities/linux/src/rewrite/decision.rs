//! Whether and how a call site can be patched, from the bytes around it.
//!
//! A patch of five bytes must not be entered in its middle. Two shapes are safe: the load of the
//! number before the `syscall`, inside which nothing jumps, and the `syscall` with the instruction
//! after it, provided that a jump to that instruction is caught: the byte there is then chosen to be
//! one that is no instruction in 64-bit mode.

use super::JUMP_BYTES;

/// Bytes looked at before the `syscall`.
pub const BEFORE_BYTES: usize = 6;

/// Bytes looked at after it.
pub const AFTER_BYTES: usize = 8;

/// How a site is patched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `mov eax, imm32` directly before the `syscall` becomes the jump; the `syscall` stays for
    /// whoever jumps to it.
    DisplaceLoad,
    /// The `syscall` and the first three bytes of the instructions after it become the jump; the
    /// instructions, `length` bytes, run in the detour.
    DisplaceCall {
        /// Bytes that are copied.
        length: usize,
    },
}

/// Looks at [`BEFORE_BYTES`], the `syscall` and [`AFTER_BYTES`], for a call of `number`.
#[must_use]
pub fn decide(bytes: &[u8; BEFORE_BYTES + 2 + AFTER_BYTES], number: u64) -> Option<Method> {
    let (before, rest) = bytes.split_at(BEFORE_BYTES);
    let (instruction, after) = rest.split_at(2);
    if instruction != [0x0f, 0x05] {
        return None;
    }
    if loads_number(before, number) {
        return Some(Method::DisplaceLoad);
    }
    let length = displaceable(after)?;
    Some(Method::DisplaceCall { length })
}

/// Whether the bytes end with a `mov eax, imm32` of the number.
fn loads_number(before: &[u8], number: u64) -> bool {
    let [.., prefix, 0xb8, a, b, c, d] = *before else {
        return false;
    };
    // After a REX prefix it would be a load of another register or of 64 bits; after an operand
    // size prefix one of 16 bits.
    let is_prefix = (0x40..=0x4f).contains(&prefix) || prefix == 0x66;
    !is_prefix && u64::from(u32::from_le_bytes([a, b, c, d])) == number
}

/// The bytes of the instructions at the start of `code` that fill the jump, if they are known to
/// mean the same at another place.
fn displaceable(code: &[u8]) -> Option<usize> {
    let length = match *code {
        // cmp rax, imm32
        [0x48, 0x3d, _, _, _, _, ..] => 6,
        // cmp eax, imm32
        [0x3d, _, _, _, _, ..] => 5,
        // cmp/test/add and so on of rax, imm8
        [0x48, 0x83, 0xc0..=0xff, _, ..] => 4,
        // the same of eax
        [0x83, 0xc0..=0xff, _, ..] => 3,
        // test rax, rax
        [0x48, 0x85, 0xc0, ..] => 3,
        // mov between 64-bit registers, movsxd: the stack pointer may be among them
        [0x48..=0x4f, 0x89 | 0x8b | 0x63, 0xc0..=0xff, ..] => 3,
        // mov between the stack, one byte of displacement, and a 64-bit register
        [0x48 | 0x4c, 0x89 | 0x8b, modrm, 0x24, _, ..] if modrm & 0xc7 == 0x44 => 5,
        // mov between the frame, one byte of displacement, and a 64-bit register
        [0x48 | 0x4c, 0x89 | 0x8b, modrm, _, ..] if modrm & 0xc7 == 0x45 => 4,
        // ret, and padding that nothing executes
        [0xc3, 0x90, 0x90, ..]
        | [0xc3, 0xcc, 0xcc, ..]
        | [0xc3, 0x0f, 0x1f, ..]
        | [0xc3, 0x66, 0x0f | 0x2e | 0x66 | 0x90, ..] => 3,
        _ => return None,
    };
    debug_assert!(length + 2 >= JUMP_BYTES);
    Some(length)
}

/// Whether the byte starts no instruction in 64-bit mode (Intel SDM volume 2, opcode map, `i64`).
#[must_use]
pub fn is_invalid_opcode(byte: u8) -> bool {
    matches!(byte, 0x06 | 0x0e | 0x16 | 0x1e | 0x27 | 0x2f | 0x37 | 0x3f)
}
