//! Files whose pages others bring: given to each other, mapped, touched, and cut meanwhile.
//!
//! Who waits for a page does nothing else on that processor. So that no two wait for each other, a file with
//! a pager is given only to attackers that come later.

use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use kiln_interface::kernel::{AddressSpace, FileCache, MapFlags, PagedFile};
use kiln_object::call::{CallWord, Operation};
use kiln_object::layout::PAGE_BYTES;
use kiln_object::startup::InitialObject;
use kiln_object::{Error, Interface, ObjectName, ProcessId, RawReference, Rights};
use kiln_runtime::startup;

use super::super::buffers::{is_foreign, own_mark};
use super::super::tally::{self, Row};
use super::super::{attackers, known, pager};
use super::Attacker;
use super::targets::Target;
use crate::caught::attempt;
use crate::random::Random;
use crate::registers::Registers;
use crate::server::Command;

/// Where each dispatcher maps files of others: so many pages, from an address of its own.
const WINDOWS: u64 = 0x1800_0000_0000;
const WINDOW_BYTES: u64 = 1 << 30;
const PAGES: u64 = 16;

/// Mappings that are kept in mind, to be touched.
const MAPPED: usize = 4;

/// Offers that are mostly good still.
const RECENT: u64 = 6;

/// Names that others have given this process.
static OFFERS: [AtomicU64; 16] = [const { AtomicU64::new(0) }; 16];
static OFFERED: AtomicUsize = AtomicUsize::new(0);

/// Serves [`Command::Offer`]: a name that may be one of a file.
pub fn offered(name: u64) {
    let place = OFFERED.fetch_add(1, Ordering::Relaxed) % OFFERS.len();
    OFFERS[place].store(name, Ordering::Relaxed);
}

/// An address where something of others may be mapped.
pub(super) fn window(random: &mut Random) -> u64 {
    let cpu = random.below(startup().cpus);
    let within = match random.below(3) {
        0 => 0,
        1 => PAGE_BYTES - random.below(64),
        _ => random.below(PAGE_BYTES),
    };
    WINDOWS + cpu * WINDOW_BYTES + random.below(PAGES) * PAGE_BYTES + within
}

/// The byte at an address; the exception otherwise.
unsafe extern "sysv64" fn load(address: u64) -> u64 {
    // SAFETY: an exception is what may come of it.
    unsafe { (address as *const u64).read_volatile() }
}

unsafe extern "sysv64" fn store(address: u64) -> u64 {
    // SAFETY: as above; nothing else is mapped there.
    unsafe { (address as *mut u64).write_volatile(address) };
    0
}

impl Attacker {
    /// One thing or another with files whose pages others bring.
    pub(super) fn do_with_pages(&mut self) {
        match self.random.below(16) {
            0..2 => self.offer(),
            2 if self.random.one_in(4) => self.ask_victim(),
            2..6 => self.map_offered(),
            _ => self.touch(),
        }
    }

    /// Makes a file, or takes one that there is, and gives it to another attacker.
    fn offer(&mut self) {
        self.make_room_for_given();
        let has_pager = self.random.one_in(2);
        let own = startup().process;
        let all: alloc::vec::Vec<_> = attackers()
            .filter(|one| *one != own && (!has_pager || own.index() < one.index()))
            .collect();
        if all.is_empty() {
            return;
        }
        let to = self.random.choose(&all);
        let Some(file) = self.make_file(has_pager) else {
            return;
        };
        let rights = match self.random.below(4) {
            0 => Rights::READ | Rights::MAP,
            1 => Rights::from_bits_retain(self.random.word() as u32),
            _ => Rights::READ | Rights::MAP | Rights::WRITE,
        };
        let share = known::method::<dyn PagedFile>("share");
        let words = [to.raw(), u64::from(rights.bits()), 0, 0, 0, 0];
        self.call += 1;
        let shared = known::ask(file, share, words, self.buffers, 0, 0);
        let row = Row::method(<dyn PagedFile as Interface>::DESCRIPTION, share);
        let status = shared.as_ref().err().map_or(0, |error| error.code());
        tally::count(row, Some(status));
        let Ok(shared) = shared else {
            return;
        };
        let [_, name, ..] = shared.results();
        self.given.push((ProcessId::KERNEL, to, name));
        let receiver = RawReference {
            process: to,
            object: ObjectName::BOOTSTRAP,
        };
        self.call += 1;
        let words = [name, 0, 0, 0, 0, 0];
        let _ = known::ask(receiver, Command::Offer as u16, words, self.buffers, 0, 0);
    }

    /// A new file of a few pages, which is among what is held.
    fn make_file(&mut self, has_pager: bool) -> Option<RawReference> {
        let space = startup().object(InitialObject::AddressSpace);
        let method = known::method::<dyn AddressSpace>("create_file");
        let length = self.random.below(PAGES) * PAGE_BYTES + self.random.below(PAGE_BYTES);
        let word = CallWord::new(method, 0, 0);
        let mark = own_mark(self.random.word());
        let mut registers = Registers::call(space.process, space.object, word, mark);
        let pager = if has_pager {
            ObjectName::BOOTSTRAP.raw()
        } else {
            0
        };
        registers.set_words([length, pager, 0, 0, 0, 0]);
        let [process, object, ..] = self.create_file(registers)?;
        Some(RawReference {
            process: ProcessId::from_raw(process),
            object: ObjectName::from_raw(object),
        })
    }

    /// Makes the call that makes a file. If it has a pager its key leads back to it.
    pub(super) fn create_file(&mut self, mut registers: Registers) -> Option<[u64; 4]> {
        let key = (registers.r8 != 0).then(|| pager::reserve(self.cpu, self.random.word()));
        registers.r9 = key.unwrap_or(registers.r9);
        let method = CallWord(registers.rax).method();
        let row = Row::method(<dyn AddressSpace as Interface>::DESCRIPTION, method);
        let answer = self.cross(Operation::Call as u16, registers, row)?;
        if let Some(key) = key {
            pager::note(key, answer[1]);
        }
        Some(answer)
    }

    /// Has the victim make a file, whose pages it brings or not.
    fn ask_victim(&mut self) {
        let Some(victim) = startup().server("attack_victim") else {
            return;
        };
        // What it does not bring lasts until it is ended.
        let how = match self.random.below(32) {
            0 => 7,
            1 => 8,
            _ => self.random.below(7),
        };
        let length = (1 + self.random.below(PAGES)) * PAGE_BYTES;
        let word = CallWord::new(Command::File as u16, 0, 0);
        let mark = own_mark(self.random.word());
        let mut registers = Registers::call(victim.process, victim.object, word, mark);
        registers.set_words([how, length, 0, 0, 0, 0]);
        registers.r14 = self.buffers.input();
        registers.r15 = self.buffers.output();
        let made = self.cross(Operation::Call as u16, registers, Row::VICTIM_FILES);
        if let Some([name, ..]) = made {
            let object = ObjectName::from_raw(name);
            self.hold(Target {
                reference: RawReference {
                    process: ProcessId::KERNEL,
                    object,
                },
                interface: <dyn FileCache as Interface>::DESCRIPTION,
                is_exact: true,
            });
        }
    }

    /// Maps something that was offered, or held.
    fn map_offered(&mut self) {
        let place = OFFERED.load(Ordering::Relaxed) as u64 + OFFERS.len() as u64 - 1;
        let place = (place - self.random.below(RECENT)) as usize % OFFERS.len();
        let offered = RawReference {
            process: ProcessId::KERNEL,
            object: ObjectName::from_raw(OFFERS[place].load(Ordering::Relaxed)),
        };
        let held = self.held_of(<dyn FileCache as Interface>::DESCRIPTION);
        let cache = match held {
            Some(held) if offered.object.raw() == 0 || self.random.one_in(2) => held,
            _ => offered,
        };
        let random = &mut self.random;
        let address =
            WINDOWS + u64::from(self.cpu) * WINDOW_BYTES + random.below(PAGES) * PAGE_BYTES;
        let mut flags = if random.one_in(4) {
            MapFlags::EXACT
        } else {
            MapFlags::REPLACE
        };
        if !random.one_in(4) {
            flags |= MapFlags::SHARED;
        }
        if random.one_in(8) {
            flags |= MapFlags::POPULATE;
        }
        let protection = random.choose(&[1, 3, 3, 3]);
        let words = [
            cache.process.raw(),
            cache.object.raw(),
            random.below(4) * PAGE_BYTES,
            address,
            (1 + random.below(6)) * PAGE_BYTES,
            u64::from(flags.bits()) << 32 | protection,
        ];
        let space = startup().object(InitialObject::AddressSpace);
        let method = known::method::<dyn AddressSpace>("map_file");
        let word = CallWord::new(method, 0, 0);
        let mark = own_mark(random.word());
        let mut registers = Registers::call(space.process, space.object, word, mark);
        registers.set_words(words);
        let row = Row::method(<dyn AddressSpace as Interface>::DESCRIPTION, method);
        if self.cross(Operation::Call as u16, registers, row).is_some() {
            if self.mapped.len() >= MAPPED {
                self.mapped.remove(0);
            }
            self.mapped.push((address, words[4] / PAGE_BYTES));
        } else if cache == offered {
            OFFERS[place].store(0, Ordering::Relaxed);
        }
    }

    /// Loads from what is mapped, or stores to it.
    fn touch(&mut self) {
        let mut address = window(&mut self.random) & !7;
        if let Some(last) = self.mapped.len().checked_sub(1)
            && !self.random.one_in(8)
        {
            let place = self.random.below(last as u64 + 1) as usize;
            let (start, pages) = self.mapped[place];
            address = start + self.random.below(pages) * PAGE_BYTES + address % PAGE_BYTES;
        }
        let is_store = self.random.one_in(2);
        let (code, row): (unsafe extern "sysv64" fn(u64) -> u64, _) = if is_store {
            (store, Row::PAGE_WRITTEN)
        } else {
            (load, Row::PAGE_READ)
        };
        self.call += 1;
        // One that can be stopped is told that a page will come; else the kernel has it wait.
        let page = kiln_runtime::dispatcher::page();
        let was = page.preemptible.load(Ordering::Relaxed);
        page.preemptible
            .store(self.random.below(2), Ordering::Relaxed);
        let found = attempt(code, address);
        page.preemptible.store(was, Ordering::Relaxed);
        match found {
            Ok(word) if is_foreign(word) => {
                self.fail(format_args!(
                    "another process's mark {word:#x} is in the page at {address:#x}"
                ));
            }
            Ok(_) => {
                self.answered += 1;
                tally::count(row, Some(0));
            }
            Err(trap) if trap.vector == 14 => tally::count(row, Some(Error::BadBuffer.code())),
            Err(trap) => self.fail(format_args!("a touch of {address:#x} raised {trap:x?}")),
        }
    }
}
