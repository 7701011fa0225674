use alloc::vec;

use super::*;

fn address_of(bytes: &[u8]) -> u64 {
    bytes.as_ptr() as u64
}

#[test]
fn the_systems_range_and_the_kernel_half_are_refused() {
    for (address, length) in [
        (SYSTEM_START, 1),
        (SYSTEM_END - 1, 1),
        (SYSTEM_START - 1, 2),
        (SYSTEM_START - 1, SYSTEM_END),
        (USER_END, 1),
        (u64::MAX, 1),
        (u64::MAX - 3, 8),
    ] {
        assert_eq!(check(address, length), Err(Errno::EFAULT), "{address:#x}");
    }
    assert_eq!(check(SYSTEM_START - 8, 8), Ok(()));
    assert_eq!(check(SYSTEM_END, 8), Ok(()));
    assert_eq!(check(USER_END - 8, 8), Ok(()));
}

#[test]
fn copies_of_every_small_length_are_exact() {
    let from: Vec<u8> = (0..80).map(|byte| byte as u8 ^ 0x5a).collect();
    for length in 0..from.len() {
        let mut to = vec![0_u8; length + 1];
        copy_in(address_of(&from), &mut to[..length]).unwrap();
        assert_eq!(to[..length], from[..length]);
        assert_eq!(to[length], 0);
        let back = vec![0xff_u8; length + 1];
        copy_out(address_of(&back), &from[..length]).unwrap();
        assert_eq!(back[..length], from[..length]);
        assert_eq!(back[length], 0xff);
        zero(address_of(&back), length as u64).unwrap();
        assert!(back[..length].iter().all(|byte| *byte == 0));
        assert_eq!(back[length], 0xff);
    }
}

#[test]
fn strings_end_at_their_nul_or_are_too_long() {
    let text =
        b"/usr/lib/x86_64-linux-gnu/a-path-that-is-longer-than-one-chunk-of-the-loop.so\0rest";
    for start in 0..16 {
        let end = text.iter().position(|byte| *byte == 0).unwrap();
        assert_eq!(
            c_string(address_of(&text[start..]), 4096).unwrap(),
            &text[start..end]
        );
        let length = end - start;
        assert_eq!(
            c_string(address_of(&text[start..]), length),
            Err(Errno::ENAMETOOLONG)
        );
        assert_eq!(
            c_string(address_of(&text[start..]), length + 1)
                .unwrap()
                .len(),
            length
        );
    }
    assert_eq!(c_string(address_of(b"\0"), 1).unwrap(), b"");
}

#[test]
fn many_entries_are_read_as_few_are() {
    for count in 0..20_usize {
        let vector: Vec<Slice> = (0..count as u64)
            .map(|entry| Slice {
                address: 0x1000 * entry,
                length: entry,
            })
            .collect();
        let read = slices(vector.as_ptr() as u64, count as i32).unwrap();
        assert_eq!(*read, vector[..]);
    }
}

#[test]
fn vectors_are_checked_as_a_whole() {
    let mut vector = [Slice {
        address: 0x1000,
        length: 8,
    }; 3];
    let address = vector.as_ptr() as u64;
    assert_eq!(*slices(address, 3).unwrap(), vector);
    assert_eq!(slices(address, -1).err(), Some(Errno::EINVAL));
    assert_eq!(slices(address, 1025).err(), Some(Errno::EINVAL));
    vector[2].length = u64::MAX;
    assert_eq!(slices(vector.as_ptr() as u64, 3).err(), Some(Errno::EINVAL));
    vector[2] = Slice {
        address: SYSTEM_START,
        length: 1,
    };
    assert_eq!(slices(vector.as_ptr() as u64, 3).err(), Some(Errno::EFAULT));
    vector[2].length = 0;
    assert!(slices(vector.as_ptr() as u64, 3).is_ok());
}

#[test]
fn only_the_loops_have_fixups() {
    assert_eq!(fixup(0), None);
    assert_eq!(fixup(only_the_loops_have_fixups as *const () as u64), None);
}

/// What `readv` makes of a vector.
fn slices(address: u64, count: i32) -> Result<Vec<Slice>, Errno> {
    Slices::new().read(address, count).map(<[Slice]>::to_vec)
}
