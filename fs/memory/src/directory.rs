//! The names in a directory: those given here, those that hide the lower tree's, those remembered.
//!
//! A name that the lower directory has as well keeps its place in listings (the lower directory's
//! cookie), so a reader that removes, replaces or copies up what it lists sees each name once.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::ops::Bound;

use crate::lock::{Mutex, MutexGuard};
use kiln_object::Error;

use crate::budget::{Budget, Charge};
use crate::lower::LowerFile;
use crate::node::Node;

/// What a name costs besides its bytes, which are kept once.
const NAME_COST: u64 = 160;

/// Lower names that one directory remembers at most; then it forgets them and starts anew.
const REMEMBERED_MAX: usize = 4096;

/// What a name stands for when it is neither missing nor removed.
#[derive(Clone, Debug)]
pub enum Named {
    /// Something kept here.
    Node(Arc<Node>),
    /// A file of the lower tree that nobody changed, perhaps under a new name.
    Lower(Arc<LowerFile>),
}

/// What is known about a name.
#[derive(Clone, Debug)]
pub enum Known {
    /// It stands for this.
    Named(Named),
    /// It is not there.
    Missing,
    /// Only the lower tree knows.
    AskLower,
}

/// A directory's names.
#[derive(Debug)]
pub struct Directory {
    /// The directory of the lower tree that shows through.
    pub lower: Option<Box<[u8]>>,
    names: Mutex<Names>,
}

/// The names themselves, locked.
#[derive(Debug, Default)]
pub struct Names {
    entries: BTreeMap<Arc<[u8]>, Entry>,
    /// Names that the lower directory does not have, by the order in which they came.
    order: BTreeMap<u64, Arc<[u8]>>,
    last_place: u64,
    /// Answers of the lower directory about names that have no entry.
    remembered: BTreeMap<Box<[u8]>, Option<Arc<LowerFile>>>,
}

#[derive(Debug)]
struct Entry {
    /// `None`: a name of the lower directory that was removed.
    named: Option<Named>,
    /// The key in `order`; `None` if the lower directory has the name.
    place: Option<u64>,
    /// `None` for a directory that stands for one of the lower tree.
    _charge: Option<Charge>,
}

impl Directory {
    /// An empty directory.
    pub fn new() -> Self {
        Self {
            lower: None,
            names: Mutex::default(),
        }
    }

    /// A directory that shows the one at `path` of the lower tree.
    pub fn over(path: Box<[u8]>) -> Self {
        Self {
            lower: Some(path),
            names: Mutex::default(),
        }
    }

    /// The names, for as long as the guard lives. No other lock but a node's is taken meanwhile.
    pub fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock()
    }

    /// What is known about `name` without asking the lower tree.
    pub fn known(&self, name: &[u8]) -> Known {
        let names = self.names();
        match names.entries.get(name) {
            Some(Entry {
                named: Some(named), ..
            }) => return Known::Named(named.clone()),
            Some(Entry { named: None, .. }) => return Known::Missing,
            None if self.lower.is_none() => return Known::Missing,
            None => {}
        }
        match names.remembered.get(name) {
            Some(Some(file)) => Known::Named(Named::Lower(Arc::clone(file))),
            Some(None) => Known::Missing,
            None => Known::AskLower,
        }
    }
}

impl Names {
    /// Notes what the lower directory answered about `name`.
    pub fn remember(&mut self, name: &[u8], answer: Option<Arc<LowerFile>>) {
        if self.entries.contains_key(name) {
            return;
        }
        if self.remembered.len() >= REMEMBERED_MAX {
            self.remembered.clear();
        }
        self.remembered.insert(name.into(), answer);
    }

    /// Lets `directory` stand for the lower directory's `name`, unless something does already;
    /// answers what does.
    pub fn adopt(&mut self, name: &[u8], directory: Arc<Node>) -> Option<Named> {
        self.remembered.remove(name);
        let entry = self.entries.entry(name.into()).or_insert_with(|| Entry {
            named: Some(Named::Node(directory)),
            place: None,
            _charge: None,
        });
        entry.named.clone()
    }

    /// Gives `name` to something, in place of what has it. `lower_has` is whether the lower directory
    /// has the name; it counts only for a name without an entry.
    ///
    /// # Errors
    /// [`Error::NoSpace`]; then nothing has changed.
    pub fn attach(
        &mut self,
        name: &[u8],
        named: Named,
        lower_has: bool,
        budget: &Arc<Budget>,
    ) -> Result<(), Error> {
        if let Some(entry) = self.entries.get_mut(name) {
            entry.named = Some(named);
            return Ok(());
        }
        let charge = Some(charge(budget, name)?);
        let key: Arc<[u8]> = name.into();
        let place = (!lower_has).then(|| {
            self.last_place += 1;
            self.order.insert(self.last_place, Arc::clone(&key));
            self.last_place
        });
        self.remembered.remove(name);
        self.entries.insert(
            key,
            Entry {
                named: Some(named),
                place,
                _charge: charge,
            },
        );
        Ok(())
    }

    /// Takes `name` away.
    ///
    /// # Errors
    /// [`Error::NoSpace`] if that must be noted and there is no space; then nothing has changed.
    pub fn detach(&mut self, name: &[u8], budget: &Arc<Budget>) -> Result<(), Error> {
        match self.entries.get_mut(name) {
            Some(Entry {
                place: Some(place), ..
            }) => {
                self.order.remove(place);
                self.entries.remove(name);
            }
            Some(entry) => entry.named = None,
            None => {
                let charge = Some(charge(budget, name)?);
                self.remembered.remove(name);
                self.entries.insert(
                    name.into(),
                    Entry {
                        named: None,
                        place: None,
                        _charge: charge,
                    },
                );
            }
        }
        Ok(())
    }

    /// Whether `name` has an entry, and if so what it stands for: `None` inside if it was removed.
    pub fn entry(&self, name: &[u8]) -> Option<Option<&Named>> {
        self.entries.get(name).map(|entry| entry.named.as_ref())
    }

    /// The names that only this directory has, after `place`, in the order in which they came.
    pub fn own_after(&self, place: u64) -> impl Iterator<Item = (u64, &[u8], &Named)> {
        self.order
            .range((Bound::Excluded(place), Bound::Unbounded))
            .filter_map(|(place, name)| {
                let named = self.entries.get(name)?.named.as_ref()?;
                Some((*place, &**name, named))
            })
    }

    /// Whether a name stands for something here.
    pub fn has_named(&self) -> bool {
        self.entries.values().any(|entry| entry.named.is_some())
    }
}

fn charge(budget: &Arc<Budget>, name: &[u8]) -> Result<Charge, Error> {
    budget.take(NAME_COST.saturating_add(name.len() as u64))
}
