//! The victim, which does what it is told: it dies in the middle of calls, also by what others do to it.

use kiln_interface::kernel::{AddressSpace, Process};
use kiln_object::call::{CallWord, Operation};
use kiln_object::{Interface, ObjectName, ProcessId, RawReference};
use kiln_runtime::startup;

use super::super::buffers::own_mark;
use super::super::tally::Row;
use super::Attacker;
use super::targets::Target;
use crate::registers::Registers;
use crate::server::Command;
use crate::storm::choices;

/// Between two batches in which the victim gives its own objects away.
const GIVING: u64 = 8;

/// Whether others rule the victim in that batch: it is ended afterwards, for what they did to it.
pub fn is_given_away(batch: u64) -> bool {
    batch.is_multiple_of(GIVING)
}

impl Attacker {
    /// Has the victim do something, of which it may die.
    pub(super) fn provoke(&mut self) {
        let Some(victim) = startup().server("attack_victim") else {
            return;
        };
        let commands = [
            (Command::Show, Row::VICTIM),
            (Command::Show, Row::VICTIM),
            (Command::Boast, Row::VICTIM),
            (Command::Nest, Row::VICTIM),
            (Command::ReturnTwice, Row::VICTIM),
            (Command::Call, Row::VICTIM_CALLS),
        ];
        let deadly = [
            Command::Exit,
            Command::Trap,
            Command::Overflow,
            Command::Unmap,
            Command::Spoil,
            Command::EndPending,
            Command::Storm,
        ];
        let slow = [Command::Spin, Command::Wait];
        let (command, row) = if is_given_away(self.batch) && self.random.one_in(4) {
            (Command::Give, Row::VICTIM_GIVES)
        } else if self.random.one_in(64) {
            // These last until a limit is over.
            let one = if self.random.one_in(16) {
                self.random.choose(&slow)
            } else {
                self.random.choose(&deadly)
            };
            (one, Row::VICTIM_DIES)
        } else {
            self.random.choose(&commands)
        };
        let target = choices::process(&mut self.random);
        let name = choices::name(&mut self.random);
        let method = self.random.below(8);
        let words = match command {
            Command::Give => [startup().process.raw(), 0, 0, 0, 0, 0],
            Command::Storm => [self.random.word(), self.random.below(100), 0, 0, 0, 0],
            Command::Wait => [1 << 40, 0, 0, 0, 0, 0],
            // It must not wait, nor call the others in this way.
            _ if target.index() <= 3 && target != ProcessId::KERNEL => {
                [target.raw(), name.raw(), method, 0, 0, 0]
            }
            _ => [victim.process.raw(), name.raw(), 1, 0, 0, 0],
        };
        let word = CallWord::new(command as u16, 0, self.random.choose(&[0, 4096]));
        let mark = own_mark(self.random.word());
        let mut registers = Registers::call(victim.process, victim.object, word, mark);
        registers.set_words(words);
        registers.r14 = self.buffers.input();
        registers.r15 = self.buffers.output();
        let answer = self.cross(Operation::Call as u16, registers, row);
        if let (Command::Give, Some([memory, itself, ..])) = (command, answer) {
            let space = <dyn AddressSpace as Interface>::DESCRIPTION;
            let process = <dyn Process as Interface>::DESCRIPTION;
            for (name, interface) in [(memory, space), (itself, process)] {
                self.hold(Target {
                    reference: RawReference {
                        process: ProcessId::KERNEL,
                        object: ObjectName::from_raw(name),
                    },
                    interface,
                    is_exact: true,
                });
            }
        }
    }
}
