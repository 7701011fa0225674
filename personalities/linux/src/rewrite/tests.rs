use alloc::vec;
use core::cell::RefCell;
use std::boxed::Box;

use kiln_interface::kernel::{FileCache, PagedFile};
use kiln_object::{Error, Reference};
use proptest::prelude::*;

use super::*;
use decision::decide;

const SYSCALL: [u8; 2] = [0x0f, 0x05];

/// The six bytes before, `syscall`, the bytes after.
fn around(before: &[u8], after: &[u8]) -> [u8; 16] {
    let mut bytes = [0x90; 16];
    bytes[6 - before.len()..6].copy_from_slice(before);
    bytes[6..8].copy_from_slice(&SYSCALL);
    bytes[8..8 + after.len()].copy_from_slice(after);
    bytes
}

#[test]
fn a_load_of_the_number_is_displaced() {
    let load = [0xb8, 39, 0, 0, 0];
    assert_eq!(decide(&around(&load, &[]), 39), Some(Method::DisplaceLoad));
    // Another number: the load is somebody else's.
    assert_eq!(decide(&around(&load, &[]), 40), None);
    // mov r8d, 39 and movabs of something: the byte before changes the meaning.
    assert_eq!(decide(&around(&[0x41, 0xb8, 39, 0, 0, 0], &[]), 39), None);
    assert_eq!(decide(&around(&[0x48, 0xb8, 39, 0, 0, 0], &[]), 39), None);
    assert_eq!(decide(&around(&[0x66, 0xb8, 39, 0, 0, 0], &[]), 39), None);
    assert_eq!(
        decide(&around(&[0xc3, 0xb8, 39, 0, 0, 0], &[]), 39),
        Some(Method::DisplaceLoad)
    );
}

#[test]
fn known_followers_are_displaced_whole() {
    for (after, length) in [
        (&[0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff][..], 6),
        (&[0x3d, 0x00, 0xf0, 0xff, 0xff], 5),
        (&[0x48, 0x83, 0xf8, 0xff], 4),
        (&[0x83, 0xf8, 0xff], 3),
        (&[0x48, 0x85, 0xc0], 3),
        (&[0x48, 0x89, 0xc3], 3),
        (&[0x49, 0x89, 0xc4], 3),
        (&[0x48, 0x89, 0x44, 0x24, 0x18], 5),
        (&[0x48, 0x89, 0x45, 0xf8], 4),
        (&[0xc3, 0x90, 0x90], 3),
        (&[0xc3, 0x0f, 0x1f, 0x40, 0x00], 3),
    ] {
        assert_eq!(
            decide(&around(&[], after), 1),
            Some(Method::DisplaceCall { length }),
            "{after:x?}"
        );
    }
}

#[test]
fn instructions_that_depend_on_their_place_stay() {
    for after in [
        // call and jmp relative, jcc
        &[0xe8, 1, 2, 3, 4][..],
        &[0xe9, 1, 2, 3, 4],
        &[0x0f, 0x84, 1, 2, 3, 4],
        // mov rax, [rip + ...]
        &[0x48, 0x8b, 0x05, 1, 2, 3, 4],
        // ret before the next function's first instruction
        &[0xc3, 0xf3, 0x0f, 0x1e, 0xfa],
        &[0xc3, 0x55, 0x48],
        // pop rbx; ret
        &[0x5b, 0xc3],
    ] {
        assert_eq!(decide(&around(&[], after), 1), None, "{after:x?}");
    }
    assert_eq!(decide(&[0; 16], 0), None);
}

/// Runs one piece of machine code far enough to see where it jumps.
fn follow(stub: &[u8; SLOT_BYTES], slot: u64) -> (Option<u32>, u64, u64, usize) {
    let mut at = 0;
    let mut number = None;
    if stub[0] == 0xb8 {
        number = Some(u32::from_le_bytes(stub[1..5].try_into().unwrap()));
        at = 5;
    }
    assert_eq!(stub[at..at + 3], [0x48, 0x8d, 0x0d]);
    let relative = |at: usize| i64::from(i32::from_le_bytes(stub[at..at + 4].try_into().unwrap()));
    let rcx = (slot + at as u64 + 7).wrapping_add_signed(relative(at + 3));
    at += 7;
    assert_eq!(stub[at..at + 2], [0xff, 0x25]);
    let word = at as i64 + 6 + relative(at + 2);
    let word = &stub[word as usize..word as usize + 8];
    (
        number,
        rcx,
        u64::from_le_bytes(word.try_into().unwrap()),
        at + 6,
    )
}

#[test]
fn detours_do_what_the_site_did() {
    let slot = 0x10_0000;
    let stub = detour::for_load(39, 0x40_1007, slot, 0x6000_0000_1234).unwrap();
    assert_eq!(
        follow(&stub, slot),
        (Some(39), 0x40_1007, 0x6000_0000_1234, 18)
    );

    let displaced = [0x48, 0x3d, 0, 0xf0, 0xff, 0xff];
    let (stub, continuation) = detour::for_call(&displaced, 0x40_1007, slot, 7).unwrap();
    let (number, rcx, target, length) = follow(&stub, slot);
    assert_eq!((number, rcx, target), (None, continuation, 7));
    assert_eq!(continuation, slot + length as u64);
    assert_eq!(stub[length..length + 6], displaced);
    let back: [u8; 5] = stub[length + 6..length + 11].try_into().unwrap();
    assert_eq!(
        detour::jump_target(continuation + 6, &back),
        Some(0x40_100d)
    );
}

/// Memory of a program as far as patching needs it.
#[derive(Default)]
struct Space {
    patches: RefCell<Vec<(u64, Vec<u8>)>>,
    place: u64,
}

impl AddressSpace for Space {
    fn map_anonymous(&self, _: u64, _: u64, _: u32, _: u32) -> Result<u64, Error> {
        if self.place == 0 {
            Err(Error::Exhausted)
        } else {
            Ok(self.place)
        }
    }
    fn map_file(
        &self,
        _: Reference<dyn FileCache>,
        _: u64,
        _: u64,
        _: u64,
        _: u64,
    ) -> Result<u64, Error> {
        Err(Error::Unsupported)
    }
    fn unmap(&self, _: u64, _: u64) -> Result<(), Error> {
        Ok(())
    }
    fn protect(&self, _: u64, _: u64, _: u32) -> Result<(), Error> {
        Ok(())
    }
    fn relocate(&self, _: u64, _: u64, _: u64, _: u64) -> Result<u64, Error> {
        Err(Error::Unsupported)
    }
    fn discard(&self, _: u64, _: u64) -> Result<(), Error> {
        Ok(())
    }
    fn patch(&self, address: u64, bytes: &[u8]) -> Result<(), Error> {
        assert!(bytes.len() <= 16);
        self.patches.borrow_mut().push((address, bytes.to_vec()));
        Ok(())
    }
    fn create_file(&self, _: u64, _: u64, _: u64) -> Result<Reference<dyn PagedFile>, Error> {
        Err(Error::Unsupported)
    }
    fn region(&self, _: u64) -> Result<((u64, u64), (u64, u64)), Error> {
        Err(Error::NotFound)
    }
}

/// Patches the site in `bytes` and answers the jump that was written, and where.
fn patched(bytes: &[u8], syscall_at: usize, number: u64) -> (Option<Site>, Space) {
    // The bytes lie where the test's memory is; the area is said to be close by.
    let text: &'static [u8] = Box::leak(bytes.to_vec().into_boxed_slice());
    let site = text.as_ptr() as u64 + syscall_at as u64;
    let space = Space {
        place: (site & !0xffff) - 0x10_0000,
        ..Space::default()
    };
    let result = Sites::default().patch(site + 2, number, &space);
    (result, space)
}

#[test]
fn a_displaced_load_leaves_the_syscall_in_place() {
    let mut text = vec![0x90; 32];
    text[8..13].copy_from_slice(&[0xb8, 39, 0, 0, 0]);
    text[13..15].copy_from_slice(&SYSCALL);
    let (site, space) = patched(&text, 13, 39);
    assert_eq!(
        site,
        Some(Site::LoadDisplaced {
            original: [0xb8, 39, 0, 0, 0]
        })
    );
    let patches = space.patches.into_inner();
    let (at, jump) = patches.last().unwrap();
    assert_eq!(jump.len(), 5);
    let jump: [u8; 5] = jump.as_slice().try_into().unwrap();
    assert_eq!(detour::jump_target(*at, &jump), Some(patches[0].0));
}

#[test]
fn a_displaced_call_cannot_be_entered_at_its_second_instruction() {
    let mut text = vec![0x90; 32];
    text[13..15].copy_from_slice(&SYSCALL);
    text[15..21].copy_from_slice(&[0x48, 0x3d, 0, 0xf0, 0xff, 0xff]);
    let (site, space) = patched(&text, 13, 39);
    assert!(matches!(site, Some(Site::CallDisplaced { .. })));
    let patches = space.patches.into_inner();
    let jump = &patches.last().unwrap().1;
    assert!(decision::is_invalid_opcode(jump[2]), "{jump:x?}");
}

#[test]
fn without_memory_for_detours_the_site_stays() {
    let mut text = vec![0x90; 32];
    text[13..15].copy_from_slice(&SYSCALL);
    text[15..18].copy_from_slice(&[0x48, 0x85, 0xc0]);
    let text: &'static [u8] = Box::leak(text.into_boxed_slice());
    let space = Space::default();
    let result = Sites::default().patch(text.as_ptr() as u64 + 15, 1, &space);
    assert_eq!(result, None);
    assert!(space.patches.borrow().is_empty());
}

proptest! {
    #[test]
    fn nothing_but_a_syscall_is_ever_patched(bytes: [u8; 16], number in 0_u64..512) {
        let mut bytes = bytes;
        if let Some(method) = decide(&bytes, number) {
            prop_assert_eq!(&bytes[6..8], &SYSCALL);
            if let Method::DisplaceCall { length } = method {
                prop_assert!((3..=6).contains(&length));
            }
        }
        bytes[7] = 0x0b;
        prop_assert_eq!(decide(&bytes, number), None);
    }

    #[test]
    fn jumps_reach_what_they_say(at in 0x1_0000_u64..0x7fff_0000_0000, distance in any::<i32>()) {
        let target = (at + 5).wrapping_add_signed(i64::from(distance));
        let jump = detour::jump(at, target).unwrap();
        prop_assert_eq!(detour::jump_target(at, &jump), Some(target));
        prop_assert_eq!(detour::jump(at, target + (1 << 32)), None);
    }

    #[test]
    fn every_area_has_a_slot_with_a_byte_that_is_no_instruction(site in 0x40_0000_u64..0x4000_0000) {
        let area = Area::at((site & !0xfff) - detour::AREA_BYTES);
        let found = area.find(|slot| {
            detour::jump(site, slot).is_some_and(|jump| decision::is_invalid_opcode(jump[2]))
        });
        prop_assert!(found.is_some());
    }
}
