//! The last link: component objects in, one bootable ELF image out
