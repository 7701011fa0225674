//! Devices named on the command line: `virtio_mmio.device=SIZE@BASE:LINE[:ID]`.
//!
//! The form is Linux's, because machines that have such devices add the parameters themselves.
//! Loaders are trusted no more than to have meant a device: numbers are checked here, and who
//! uses the addresses checks that they are not memory.

#![forbid(unsafe_code)]

use crate::device_memory::Registers;

/// Bytes of registers before the device's own.
const LEAST_BYTES: u64 = 0x100;

/// A parameter that says nothing usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed<'a>(pub &'a [u8]);

/// The devices that a command line names, in order.
pub fn devices(
    command_line: &[u8],
) -> impl Iterator<Item = Result<Registers, Malformed<'_>>> + Clone {
    command_line
        .split(u8::is_ascii_whitespace)
        .filter_map(|word| {
            // In names, Linux takes `-` for `_`.
            let rest = word.strip_prefix(b"virtio")?;
            let value = match rest.split_first()? {
                (b'_' | b'-', rest) => rest.strip_prefix(b"mmio.device=")?,
                _ => return None,
            };
            Some(device(value).ok_or(Malformed(value)))
        })
}

fn device(value: &[u8]) -> Option<Registers> {
    let (size, rest) = split(value, b'@')?;
    let (base, rest) = split(rest, b':')?;
    let line = match split(rest, b':') {
        Some((line, identifier)) => {
            number(identifier)?;
            line
        }
        None => rest,
    };
    u32::try_from(number(line)?).ok()?;
    let registers = Registers {
        base: number(base)?,
        bytes: bytes(size)?,
    };
    let usable = registers.bytes >= LEAST_BYTES
        && registers.base.is_multiple_of(4)
        && registers.base.checked_add(registers.bytes).is_some();
    usable.then_some(registers)
}

fn split(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let place = text.iter().position(|byte| *byte == at)?;
    Some((text.get(..place)?, text.get(place + 1..)?))
}

/// A number of bytes, with a unit of powers of 1024 or none.
fn bytes(text: &[u8]) -> Option<u64> {
    let (last, rest) = text.split_last()?;
    let shift = match last.to_ascii_uppercase() {
        b'K' => 10,
        b'M' => 20,
        b'G' => 30,
        _ => return number(text),
    };
    number(rest)?.checked_mul(1 << shift)
}

/// A hexadecimal number after `0x`, an octal one after `0`, else a decimal one.
#[inline(never)] // Else there are five copies.
fn number(text: &[u8]) -> Option<u64> {
    let (digits, radix) = match text {
        [b'0', b'x' | b'X', digits @ ..] => (digits, 16),
        [b'0', digits @ ..] if !digits.is_empty() => (digits, 8),
        digits => (digits, 10),
    };
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, digit| {
        let digit = char::from(*digit).to_digit(radix)?;
        value
            .checked_mul(u64::from(radix))?
            .checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::format;
    use std::vec::Vec;

    fn only(line: &str) -> Option<(u64, u64)> {
        let mut found = devices(line.as_bytes());
        let first = found.next()?.ok()?;
        assert_eq!(found.next(), None);
        Some((first.base, first.bytes))
    }

    #[test]
    fn each_machine_writes_its_own_numbers() {
        let microvm = "stdin=tty virtio_mmio.device=512@0xfeb00e00:12 columns=80";
        assert_eq!(only(microvm), Some((0xfeb0_0e00, 512)));
        let firecracker = "virtio_mmio.device=4K@0xd0000000:5";
        assert_eq!(only(firecracker), Some((0xd000_0000, 4096)));
        assert_eq!(
            only("virtio-mmio.device=0x1000@3489660928:5:0"),
            Some((0xd000_0000, 4096))
        );
        assert_eq!(
            only("virtio_mmio.device=1k@020000:1"),
            Some((0o20000, 1024))
        );
    }

    #[test]
    fn other_words_are_not_devices() {
        let line = b"virtio virtio_mmio virtio_mmio.devices=1 xvirtio_mmio.device=4K@0:1";
        assert_eq!(devices(line).next(), None);
    }

    #[test]
    fn what_cannot_be_a_device_is_malformed() {
        for value in [
            "",
            "4K",
            "4K@",
            "4K@0x",
            "4K@0xd0000000",
            "4K@0xd0000000:",
            "4K@0xd0000000:x",
            "4K@0xd0000000:5:",
            "K@0xd0000000:5",
            "@0xd0000000:5",
            "4K@0xd0000002:5",
            "128@0xd0000000:5",
            "4K@0xfffffffffffff000:5",
            "4K@0x10000000000000000:5",
            "99999999999999999999@0:5",
            "17179869184G@0:5",
            "4K@09:5",
            "-4K@0xd0000000:5",
        ] {
            let line = format!("virtio_mmio.device={value}");
            assert_eq!(
                devices(line.as_bytes()).next(),
                Some(Err(Malformed(value.as_bytes())))
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            base in 0_u64..1 << 50, bytes in 0x100_u64..1 << 30, line in any::<u32>()
        ) {
            let base = base & !3;
            let line = format!("virtio_mmio.device={bytes}@{base:#x}:{line}");
            prop_assert_eq!(only(&line), Some((base, bytes)));
        }

        #[test]
        fn garbage_is_never_more_than_malformed(
            values in prop::collection::vec("[0-9a-fxKMG@:, -]{0,24}", 0..8),
            raw in prop::collection::vec(any::<u8>(), 0..64)
        ) {
            let mut line: Vec<u8> = values
                .iter()
                .flat_map(|value| format!("virtio_mmio.device={value} ").into_bytes())
                .collect();
            line.extend(raw);
            for registers in devices(&line).flatten() {
                prop_assert!(registers.bytes >= LEAST_BYTES);
                prop_assert!(registers.base.checked_add(registers.bytes).is_some());
            }
        }
    }
}
