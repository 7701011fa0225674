//! An object that is called wherever it lives: itself if it is near, a stub else.
//!
//! A near call is a plain call of the object's method, behind the same checks that a far one meets:
//! that the reference is still good, the right, the process that is asked for, the lengths. The caller's
//! identity is its own, whatever it passes. So no answer tells the two apart, and where an object lives
//! is for the manifest to say. What its holder keeps of an object whose reference is gone is its memory.

#[doc(hidden)]
pub use alloc::boxed::Box;
#[doc(hidden)]
pub use alloc::sync::Arc;
use core::any::Any;
use core::fmt;
use core::ops::Deref;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::call::{CALL_WORDS, MESSAGE_BYTES, universal};
use crate::hand::{Gift, Handed};
use crate::{Caller, Dispatch, Error, Interface, ProcessId, RawReference, Reference, Rights};
use crate::{Transport, marshal};

/// Where it can be seen that a reference still names something: in a word that outlives every reference
/// and holds one value for as long as this one does, and never again.
#[derive(Clone, Copy, Debug)]
pub struct Life {
    word: &'static AtomicU64,
    alive: u64,
}

impl Life {
    /// That of a reference which is good while `word` holds `alive`.
    #[must_use]
    pub const fn new(word: &'static AtomicU64, alive: u64) -> Self {
        Self { word, alive }
    }

    /// Whether the reference names something. A call that begins after it was given back finds that it
    /// does not; what is ordered with the change otherwise is the word's affair.
    #[inline(always)]
    #[must_use]
    pub fn lasts(&self) -> bool {
        self.word.load(Ordering::Relaxed) == self.alive
    }

    /// The word, and what it holds as long as the reference names something.
    #[inline(always)]
    #[must_use]
    pub const fn parts(self) -> (&'static AtomicU64, u64) {
        (self.word, self.alive)
    }
}

/// What a reference names in the caller's address space.
pub struct Found {
    /// The object.
    pub object: Arc<dyn Dispatch>,
    /// The rights that the reference has there.
    pub rights: Rights,
    /// Until when.
    pub life: Life,
}

/// A transport that knows its own address space, and how to get references.
pub trait Binder: Transport + 'static {
    /// The process that calls are made by.
    fn this_process(&self) -> ProcessId;

    /// What `reference` names, if it lives in the caller's address space and the reference is the
    /// caller's.
    fn near(&self, reference: RawReference) -> Option<Found>;

    /// Whether what was found with `life` is still named; asked at each near call.
    #[inline(always)]
    fn lasts(&self, life: Life) -> bool {
        life.lasts()
    }

    /// The bootstrap object of the server called `name`.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the caller may not bind to a server of that name.
    fn server(&self, name: &str) -> Result<RawReference, Error>;

    /// A reference to the object with the interface `hash` that the server with this bootstrap object
    /// serves. Of its methods, those of `idempotent` may be tried again at a server that was started
    /// in the place of one that died.
    ///
    /// # Errors
    /// What the server answers.
    fn bind(
        &self,
        bootstrap: RawReference,
        hash: u64,
        idempotent: &'static [u16],
    ) -> Result<RawReference, Error>;

    /// Gives a reference back.
    ///
    /// # Errors
    /// [`Error::BadReference`] if it named nothing already.
    fn release(&self, reference: RawReference) -> Result<(), Error> {
        let words = [0; CALL_WORDS];
        self.call(reference, universal::RELEASE, words, &[], &mut [])
            .map(|_| ())
    }
}

/// A decorated trait whose objects can be called near and far; the stub compiler implements it.
pub trait Callable: Interface {
    /// What calls a far object.
    type Stub<T: Transport>;
    /// A near object.
    type Near: ?Sized + 'static;

    /// A stub for what `reference` names.
    fn stub<T: Transport>(reference: Reference<Self>, transport: T) -> Self::Stub<T>;

    /// What a stub calls.
    fn called<T: Transport>(stub: &Self::Stub<T>) -> Reference<Self>;

    /// An object as its trait.
    fn of<T: Binder>(object: &Object<Self, T>) -> &Self;
}

/// An object of interface `I`, reached directly or through `T`.
///
/// It implements `I` by itself. It does not give its reference back when it goes.
pub struct Object<I: Callable + ?Sized, T: Transport> {
    place: Place<I, T>,
}

/// Where an object is. Only generated code looks.
#[doc(hidden)]
pub enum Place<I: Callable + ?Sized, T: Transport> {
    /// In this address space.
    Near(Near<I, T>),
    /// Anywhere.
    Far(I::Stub<T>),
}

/// An object in this address space, and what its holder may ask of it.
#[doc(hidden)]
pub struct Near<I: Callable + ?Sized, T> {
    object: Box<I::Near>,
    rights: Rights,
    life: Life,
    reference: Reference<I>,
    transport: T,
}

impl<I: Callable + ?Sized, T: Binder> Near<I, T> {
    /// The object.
    #[inline(always)]
    pub fn object(&self) -> &I::Near {
        &self.object
    }

    /// Checks that the reference still names the object and has `right`.
    ///
    /// # Errors
    /// [`Error::BadReference`] or [`Error::Denied`].
    #[inline(always)]
    pub fn need(&self, right: Rights) -> Result<(), Error> {
        if !self.transport.lasts(self.life) {
            return Err(Error::BadReference);
        }
        if self.rights.contains(right) {
            Ok(())
        } else {
            Err(Error::Denied)
        }
    }

    /// Checks that something may be asked in the name of `owner`.
    ///
    /// # Errors
    /// [`Error::Denied`].
    #[inline(always)]
    pub fn delegate(&self, owner: ProcessId) -> Result<(), Error> {
        if owner == self.transport.this_process() {
            Ok(())
        } else {
            self.need(Rights::DELEGATE)
        }
    }

    /// Who calls.
    #[inline(always)]
    pub fn caller(&self) -> Caller {
        Caller(self.transport.this_process())
    }

    /// Makes a reference that is handed over the callee's, as between processes.
    ///
    /// # Errors
    /// As [`Gift::give`].
    pub fn give<H: ?Sized>(
        &self,
        handed: Handed<H>,
        rights: Rights,
    ) -> Result<Gift<'_, T, H>, Error> {
        let to = self.transport.this_process();
        Gift::give(&self.transport, handed.claimed(), to, rights)
    }

    /// What the callee gets of it.
    pub fn arrived<H: ?Sized>(&self, gift: &Gift<'_, T, H>) -> Handed<H> {
        Handed::arrived(gift.reference(), self.caller())
    }
}

/// Checks that `bytes` could be sent in one call.
///
/// # Errors
/// [`Error::TooLarge`].
#[doc(hidden)]
#[inline(always)]
pub fn fits(bytes: usize) -> Result<(), Error> {
    if bytes > MESSAGE_BYTES {
        Err(Error::TooLarge)
    } else {
        Ok(())
    }
}

/// As much of `output` as one call can fill, holding an empty path.
#[doc(hidden)]
#[inline(always)]
pub fn output(output: &mut [u8]) -> &mut [u8] {
    let output = marshal::clamp(output);
    marshal::prepare(output);
    output
}

impl<I: Callable + ?Sized, T: Binder> Object<I, T> {
    /// What `reference` names: the object itself if it is near, else a stub that calls through
    /// `transport`.
    #[inline]
    pub fn new(reference: Reference<I>, transport: T) -> Self {
        let place = match transport.near(reference.raw()) {
            None => Place::Far(I::stub(reference, transport)),
            Some(found) => {
                let mut object: Option<Box<I::Near>> = None;
                found.object.near(&mut object as &mut dyn Any);
                match object {
                    // Of another interface, or it calls for itself: the call will tell.
                    None => Place::Far(I::stub(reference, transport)),
                    Some(object) => Place::Near(Near {
                        object,
                        rights: found.rights,
                        life: found.life,
                        reference,
                        transport,
                    }),
                }
            }
        };
        Self { place }
    }

    /// What the server called `name` serves of this interface, through the transport's default.
    ///
    /// # Errors
    /// [`Error::NotFound`] if this process may not bind to a server of that name;
    /// [`Error::WrongInterface`] if it serves nothing of the interface; else what it answers.
    pub fn bind(name: &str) -> Result<Self, Error>
    where
        T: Default,
    {
        let transport = T::default();
        Self::bind_at(transport.server(name)?)
    }

    /// What the server with this bootstrap object serves of this interface.
    ///
    /// # Errors
    /// As [`Object::bind`].
    pub fn bind_at(bootstrap: RawReference) -> Result<Self, Error>
    where
        T: Default,
    {
        let transport = T::default();
        let reference = transport.bind(bootstrap, I::HASH, I::IDEMPOTENT)?;
        Ok(Self::new(Reference::new(reference), transport))
    }

    /// What is called.
    #[inline]
    #[must_use]
    pub fn reference(&self) -> Reference<I> {
        match &self.place {
            Place::Near(near) => near.reference,
            Place::Far(stub) => I::called(stub),
        }
    }

    /// Whether a call is a plain call.
    #[must_use]
    pub fn is_near(&self) -> bool {
        matches!(self.place, Place::Near(_))
    }

    /// Where it is.
    #[doc(hidden)]
    #[inline(always)]
    pub fn place(&self) -> &Place<I, T> {
        &self.place
    }
}

impl<I: Callable + ?Sized, T: Binder + Default> From<Reference<I>> for Object<I, T> {
    #[inline]
    fn from(reference: Reference<I>) -> Self {
        Self::new(reference, T::default())
    }
}

impl<I: Callable + ?Sized, T: Binder> Deref for Object<I, T> {
    type Target = I;

    #[inline(always)]
    fn deref(&self) -> &I {
        I::of(self)
    }
}

impl<I: Callable + ?Sized, T: Binder> fmt::Debug for Object<I, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.is_near() { "near" } else { "far" };
        write!(formatter, "{place} {:?}", self.reference())
    }
}
