//! The root of the kernel's link: the kernel and every driver.
//!
//! Drivers depend on the kernel and never the reverse, so something above both has to name them.
//! Built as a static library, this crate is the archive from which the last link takes the kernel
//! and those drivers that the manifest names.

#![no_std]
#![forbid(unsafe_code)]

extern crate kiln_drivers;
extern crate kiln_kernel;
