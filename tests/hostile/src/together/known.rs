//! A call whose answer is known, made again and again while all attack.

use kiln_interface::file::{File, FileTree, open};
use kiln_object::call::{CallWord, PENDING, ReturnWord, universal};
use kiln_object::{Error, Interface, ObjectName, ProcessId, RawReference};
use kiln_runtime::startup;

use super::buffers::{Buffers, own_mark};
use crate::registers::Registers;

/// Bytes of the file that are looked at.
const BYTES: u16 = 256;

/// The file, which is in every image of this kind.
const PATH: &[u8] = b"known";

/// What the file holds: the byte in each place.
fn byte(place: usize) -> u8 {
    b"known bytes\n"[place % 12]
}

/// Asks until there is room to, however long that takes: for what has to be done.
pub fn when_there_is_room<T>(mut ask: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    loop {
        match ask() {
            Err(Error::Busy | Error::Exhausted | Error::TooDeep) => super::pause(),
            answer => return answer,
        }
    }
}

/// Asks, with the registers' answer or the error.
pub fn ask(
    to: RawReference,
    method: u16,
    words: [u64; 6],
    buffers: Buffers,
    input: u16,
    output: u16,
) -> Result<Registers, Error> {
    let word = CallWord::new(method, input, output);
    let mut registers = Registers::call(to.process, to.object, word, own_mark(0));
    registers.set_words(words);
    registers.r14 = buffers.input();
    registers.r15 = buffers.output();
    registers.cross();
    finish(&mut registers, buffers.output());
    match Error::from_code(registers.answer().status()) {
        None => Ok(registers),
        Some(error) => Err(error),
    }
}

/// Asks with one word and no bytes; answers the first word.
pub fn ask_word(to: RawReference, method: u16, word: u64) -> Result<u64, Error> {
    let mut registers = Registers::call(
        to.process,
        to.object,
        CallWord::new(method, 0, 0),
        own_mark(0),
    );
    registers.set_words([word, 0, 0, 0, 0, 0]);
    registers.cross();
    finish(&mut registers, 0);
    match Error::from_code(registers.answer().status()) {
        None => Ok(registers.results()[0]),
        Some(error) => Err(error),
    }
}

/// A reference to what the server of that name serves.
pub fn bound<I: Interface + ?Sized>(name: &str) -> Result<RawReference, Error> {
    let bootstrap = startup().server(name).ok_or(Error::NotFound)?;
    let object = ask_word(bootstrap, universal::BIND, I::HASH)?;
    Ok(RawReference {
        object: ObjectName::from_raw(object),
        ..bootstrap
    })
}

/// The number of the method of that name.
pub fn method<I: Interface + ?Sized>(name: &str) -> u16 {
    let found = I::DESCRIPTION.methods.iter().find(|one| one.name == name);
    found.map_or(0, |one| one.number)
}

/// Whether all is well: the file's bytes come as they are. A server may have no room just now.
pub fn is_well(buffers: Buffers) -> Result<(), Error> {
    let root = bound::<dyn FileTree>("image_root")?;
    buffers.input_bytes()[..PATH.len()].copy_from_slice(PATH);
    let words = [u64::from(open::READ), 0, startup().process.raw(), 0, 0, 0];
    let opened = ask(
        root,
        method::<dyn FileTree>("open"),
        words,
        buffers,
        PATH.len() as u16,
        64,
    )?;
    let [process, object, ..] = opened.results();
    let file = RawReference {
        process: ProcessId::from_raw(process),
        object: ObjectName::from_raw(object),
    };
    // From a place that differs, so that earlier answers are not taken for this one.
    let offset = 5;
    let read = method::<dyn File>("read");
    let answer = ask(file, read, [offset, 0, 0, 0, 0, 0], buffers, 0, BYTES);
    let good = answer.map(|answer| {
        let length = answer.answer().output();
        // SAFETY: the attacker's own room, which holds at least as much.
        let found = unsafe { core::slice::from_raw_parts(buffers.output() as *const u8, length) };
        length == usize::from(BYTES)
            && found
                .iter()
                .enumerate()
                .all(|(place, found)| *found == byte(place + offset as usize))
    });
    // Another dispatcher may have given the file back by chance: its name is easily guessed. There may be no
    // room to give it back just now.
    let _ = when_there_is_room(|| ask(file, universal::RELEASE, [0; 6], buffers, 0, 0));
    if good? { Ok(()) } else { Err(Error::BadAnswer) }
}

/// Makes a call that is pending an answered one.
pub fn finish(registers: &mut Registers, output: u64) {
    if registers.answer().status() != PENDING {
        return;
    }
    let ticket = registers.results()[0];
    loop {
        let word = CallWord::collect(u16::MAX >> 4);
        let mut collecting = Registers::call(
            ProcessId::from_raw(ticket),
            ObjectName::BOOTSTRAP,
            word,
            own_mark(0),
        );
        collecting.r15 = output;
        collecting.cross();
        let answer = ReturnWord(collecting.rax);
        if answer.status() != PENDING {
            registers.rax = collecting.rax;
            registers.set_words([
                collecting.rdx,
                collecting.r8,
                collecting.r9,
                collecting.r10,
                registers.r12,
                registers.r13,
            ]);
            return;
        }
        super::pause();
    }
}
