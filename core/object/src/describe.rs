//! What is known of an interface, for people and for tools that show it to them.
//!
//! The tables are constants that the stub compiler writes. A component that prints none has none.

use crate::Rights;

/// An interface.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// Its stable name.
    pub name: &'static str,
    /// Its documentation, as it stands in the source.
    pub documentation: &'static str,
    /// What both ends of a call must have in common.
    pub hash: u64,
    /// Its methods, in the order in which they are declared.
    pub methods: &'static [MethodDescription],
}

/// A method.
#[derive(Clone, Copy, Debug)]
pub struct MethodDescription {
    /// Its stable number.
    pub number: u16,
    /// Its name.
    pub name: &'static str,
    /// Its documentation, as it stands in the source.
    pub documentation: &'static str,
    /// The right that a caller needs.
    pub right: Rights,
    /// The name of the argument that is another process only with the right `DELEGATE`.
    pub delegate: Option<&'static str>,
    /// Whether it may be run twice where once was meant.
    pub idempotent: bool,
    /// Whether it is sent and not called.
    pub one_way: bool,
    /// Its arguments.
    pub arguments: &'static [ArgumentDescription],
    /// The type of what it answers.
    pub result: &'static str,
}

/// An argument.
#[derive(Clone, Copy, Debug)]
pub struct ArgumentDescription {
    /// Its name.
    pub name: &'static str,
    /// Its type, as it stands in the source.
    pub kind: &'static str,
    /// How it travels.
    pub travel: Travel,
    /// Most bytes or elements that it has, if that is declared.
    pub bound: Option<usize>,
}

/// How an argument travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Travel {
    /// In words.
    Words,
    /// Among the bytes in.
    In,
    /// Among the bytes out.
    Out,
    /// Both.
    InOut,
    /// Not at all: the kernel says it.
    Caller,
    /// As a reference with these rights that the callee owns.
    Handed(Rights),
}
