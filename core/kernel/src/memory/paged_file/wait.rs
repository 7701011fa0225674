//! Having a page brought that somebody touched.
//!
//! A pager with an address space is sent a message, once, and whoever touched the page waits. One in the kernel
//! is called there and then: the page has come, or will not, before anybody could wait.

use alloc::sync::Arc;

use kiln_object::ProcessId;
use kiln_object::dispatcher::soft_interrupt::WAKE;
use kiln_object::message_ring::Message;

use super::{Fill, Page, PagedFile, Pager, Wanted};
use crate::call::message;
use crate::memory::{PAGE_BYTES, heap};
use crate::process::Process;
use crate::{home, process, soft_interrupt};

/// Pages of one file that may be coming at a time; who touches another one tries again.
const MOST_COMING: usize = 256;

/// The number of [`kiln_interface::kernel::Pager::fill`].
const FILL: u16 = 1;

/// What becomes of who touched a page.
pub enum Wait {
    /// It can try again at once.
    Over,
    /// It waits until that is done.
    For(Arc<Fill>),
    /// Neither is possible now.
    Later,
    /// There is no memory to note it.
    NoMemory,
}

impl PagedFile {
    /// What somebody waits for who touched the page of that number, which then was not there. The pager
    /// has been told.
    pub fn wait(&self, number: u64) -> Wait {
        let (pager, fill) = {
            let content = &mut *self.content.lock();
            let Some(pager) = self.pager.filter(|_| !content.abandoned) else {
                return Wait::Over;
            };
            if number.saturating_mul(PAGE_BYTES) >= content.length {
                return Wait::Over;
            }
            match content.pages.get(&number) {
                Some(Page::Coming(fill)) => (pager, Arc::clone(fill)),
                Some(_) => return Wait::Over,
                None if content.coming == MOST_COMING => return Wait::Later,
                None if heap::ensure_room(self.program).is_err() => return Wait::NoMemory,
                None => {
                    let fill = Arc::new(Fill::new());
                    content.coming += 1;
                    content
                        .pages
                        .insert(number, Page::Coming(Arc::clone(&fill)));
                    (pager, fill)
                }
            }
        };
        let message = Message {
            caller: ProcessId::KERNEL.raw(),
            object: pager.object.raw(),
            method: FILL,
            words: [pager.key, number * PAGE_BYTES, 0, 0, 0, 0],
        };
        if let Some(home) = process::find(pager.process).filter(|one| home::is_in_kernel(one)) {
            return self.have_brought(home, fill, &message);
        }
        if fill.ask(|| self.ask_pager(pager, &fill, &message)) {
            Wait::For(fill)
        } else {
            Wait::Later
        }
    }

    /// Has the pager, which lives in the kernel as part of `home`, bring the page of `fill` at once, by `message`.
    /// It has come or will not when that is over.
    fn have_brought(&self, home: &Process, fill: Arc<Fill>, message: &Message) -> Wait {
        let [_, offset, ..] = message.words;
        let mut is_over = false;
        let asked = fill.ask(|| {
            let _ = home::tell(home, message);
            is_over = fill.is_done() || self.fail(offset).is_ok();
            is_over
        });
        if is_over {
            Wait::Over
        } else if asked {
            // On another processor.
            Wait::For(fill)
        } else {
            Wait::Later
        }
    }

    /// Sends `message` about `fill`; false if that was not possible. Its time counts from the first try.
    fn ask_pager(&self, pager: Pager, fill: &Fill, message: &Message) -> bool {
        let Some(receiver) = message::receiver(pager.process) else {
            return false;
        };
        if heap::ensure_room(self.program).is_err() {
            return false;
        }
        let [key, offset, ..] = message.words;
        fill.limit(receiver, Wanted { key, offset });
        let sent = if receiver.process().is_deaf() {
            Ok(())
        } else {
            message::send(pager.process, message)
        };
        if sent.is_err() || receiver.process().is_deaf() {
            // It may wait already, and is to find out for how long it may.
            soft_interrupt::raise(receiver, WAKE);
        }
        sent.is_ok()
    }
}
