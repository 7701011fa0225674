//! Byte strings at addresses that are not the caller's to read or write, and of lengths too long.

use kiln_interface::file::FileTree;
use kiln_interface::kernel::{MapFlags, Protection};
use kiln_object::call::MESSAGE_BYTES;
use kiln_object::layout::{
    CONFIGURATION_BASE, KERNEL_INFORMATION_BASE, PAGE_BYTES, STARTUP_BASE, USER_END,
};
use kiln_object::startup::InitialObject;
use kiln_object::{Error, RawReference};

use super::{bound, call, own, server};
use crate::memory::{ARENA, READ_WRITE, map, text, unmap};
use crate::report::{attack, ensure, expect};
use crate::server::Command;

/// Addresses that nobody in user mode may read.
const UNREADABLE: [u64; 14] = [
    0,
    8,
    0xfff0,
    ARENA - 8,
    USER_END - 8,
    USER_END,
    0x7fff_ffff_fff8,
    1 << 47,
    0x8000_0000_0000_1000,
    0xffff_7fff_ffff_f000,
    0xffff_8000_0000_0000,
    0xffff_c000_0000_8000,
    0xffff_ffff_8020_0000,
    u64::MAX - 7,
];

pub fn all() {
    lengths();
    bytes_in();
    bytes_out();
    edges();
}

/// Objects that take bytes in and give bytes out, of a server, of the kernel, and of a server that
/// takes anything; with the methods.
fn targets() -> [(RawReference, u16, u16); 3] {
    [
        // `attributes` for both directions.
        (bound::<dyn FileTree>("image_root").raw(), 2, 2),
        // `line` of the log in, `fill` of the random numbers out: chosen below.
        (own(InitialObject::Random), 1, 1),
        (server(0), Command::Show as u16, Command::Show as u16),
    ]
}

fn lengths() {
    attack("byte strings that are too long");
    let place = ARENA;
    expect(map(place, 2 << 16, READ_WRITE, MapFlags::EXACT), Ok(place));
    for (object, into, out) in targets() {
        for length in [MESSAGE_BYTES as u16 + 1, 0x2000, u16::MAX] {
            for (method, input, output) in
                [(into, length, 0), (out, 0, length), (out, length, length)]
            {
                let answer = call(object, method, [0; 6], (place, input), (place, output));
                expect(answer.answer().status(), Error::TooLarge.code());
            }
        }
    }
    expect(unmap(place, 2 << 16), Ok(()));
}

fn bytes_in() {
    attack("bytes in from where the caller may not read");
    for (object, method, _) in targets() {
        for address in UNREADABLE {
            for length in [1, 16, 4096] {
                let answer = call(object, method, [0; 6], (address, length), (0, 0));
                expect(answer.answer().status(), Error::BadBuffer.code());
            }
        }
    }
    let log = own(InitialObject::Log);
    for address in UNREADABLE {
        let answer = call(log, 1, [0; 6], (address, 100), (0, 0));
        expect(answer.answer().status(), Error::BadBuffer.code());
    }
}

/// A sum over memory that must not change.
fn sum(address: u64) -> u64 {
    let words = (address as *const u64, PAGE_BYTES as usize / 8);
    // SAFETY: each caller passes a page that is mapped for the life of the process.
    let words = unsafe { core::slice::from_raw_parts(words.0, words.1) };
    words
        .iter()
        .fold(0, |sum: u64, word| sum.rotate_left(5) ^ word)
}

fn bytes_out() {
    attack("bytes out to where the caller may not write");
    let read_only = [
        text(),
        STARTUP_BASE,
        CONFIGURATION_BASE,
        KERNEL_INFORMATION_BASE + 2048,
    ];
    let before = read_only.map(|address| sum(address & !(PAGE_BYTES - 1)));
    for (object, _, method) in targets() {
        let is_tree = method == 2;
        for address in UNREADABLE.into_iter().chain(read_only) {
            for length in [if is_tree { 128 } else { 1 }, 200] {
                let words = if is_tree { [1, 0, 0, 0, 0, 0] } else { [0; 6] };
                let answer = call(object, method, words, (0, 0), (address, length));
                expect(answer.answer().status(), Error::BadBuffer.code());
            }
        }
    }
    let after = read_only.map(|address| sum(address & !(PAGE_BYTES - 1)));
    // The information page is the kernel's to write.
    expect(after[..3] == before[..3], true);
    // An address that is not used is not looked at.
    let random = own(InitialObject::Random);
    for address in UNREADABLE {
        let answer = call(random, 1, [0; 6], (address, 0), (address, 0));
        expect(answer.answer().status(), 0);
    }
}

fn edges() {
    attack("byte strings over the edge of a mapping");
    expect(
        map(ARENA, PAGE_BYTES, READ_WRITE, MapFlags::EXACT),
        Ok(ARENA),
    );
    let random = own(InitialObject::Random);
    let shown = server(0);
    for inside in [1, 7, 8, 9, 63] {
        let address = ARENA + PAGE_BYTES - inside;
        let length = inside as u16;
        for (object, method) in [(random, 1), (shown, Command::Show as u16)] {
            let answer = call(object, method, [0; 6], (0, 0), (address, length));
            expect(answer.answer().status(), 0);
            expect(answer.answer().output() as u64, inside);
            let answer = call(object, method, [0; 6], (0, 0), (address, length + 1));
            expect(answer.answer().status(), Error::BadBuffer.code());
            expect(answer.answer().output(), 0);
        }
        let answer = call(
            shown,
            Command::Show as u16,
            [0; 6],
            (address, length + 1),
            (0, 0),
        );
        expect(answer.answer().status(), Error::BadBuffer.code());
    }
    // What forbids everything forbids it to the kernel's copies too.
    for (protection, into, out) in [
        (
            Protection::empty(),
            Error::BadBuffer.code(),
            Error::BadBuffer.code(),
        ),
        (Protection::READ, 0, Error::BadBuffer.code()),
        (Protection::EXECUTE, 0, Error::BadBuffer.code()),
        (READ_WRITE, 0, 0),
    ] {
        use kiln_interface::kernel::AddressSpace as _;
        expect(
            kiln_runtime::address_space().protect(ARENA, PAGE_BYTES, protection.bits()),
            Ok(()),
        );
        let method = Command::Show as u16;
        let answer = call(shown, method, [0; 6], (ARENA, 8), (0, 0));
        expect(answer.answer().status(), into);
        let answer = call(shown, method, [0; 6], (0, 0), (ARENA, 8));
        expect(answer.answer().status(), out);
        let answer = call(random, 1, [0; 6], (0, 0), (ARENA, 8));
        expect(answer.answer().status(), out);
    }
    expect(unmap(ARENA, PAGE_BYTES), Ok(()));
    let answer = call(random, 1, [0; 6], (0, 0), (ARENA, 8));
    expect(answer.answer().status(), Error::BadBuffer.code());
    ensure(
        MESSAGE_BYTES as u64 == PAGE_BYTES,
        "a message is no page: these tests assume it",
    );
}
