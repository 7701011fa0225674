//! The interfaces of Kiln's own objects, as decorated traits.
//!
//! A trait here is the whole contract: the stub compiler makes the client's stub and the server's
//! dispatch from it. Method numbers are stable; a changed signature changes the interface's hash.
#![no_std]
#![forbid(unsafe_code)]

pub mod file;
pub mod kernel;
pub mod name_space;

pub use kiln_interface_compiler::{Plain, Wire, interface};

/// A result of four plain numbers, in the order that the method says.
pub type FourWords = ((u64, u64), (u64, u64));

/// All interfaces of this crate, for those who show them.
pub static ALL: [&kiln_object::describe::Description; 13] = {
    use kiln_object::Interface;
    [
        <dyn name_space::NameSpace as Interface>::DESCRIPTION,
        <dyn file::FileTree as Interface>::DESCRIPTION,
        <dyn file::File as Interface>::DESCRIPTION,
        <dyn kernel::AddressSpace as Interface>::DESCRIPTION,
        <dyn kernel::FileCache as Interface>::DESCRIPTION,
        <dyn kernel::PagedFile as Interface>::DESCRIPTION,
        <dyn kernel::Pager as Interface>::DESCRIPTION,
        <dyn kernel::Process as Interface>::DESCRIPTION,
        <dyn kernel::Console as Interface>::DESCRIPTION,
        <dyn kernel::Log as Interface>::DESCRIPTION,
        <dyn kernel::Clock as Interface>::DESCRIPTION,
        <dyn kernel::Random as Interface>::DESCRIPTION,
        <dyn kernel::Machine as Interface>::DESCRIPTION,
    ]
};
