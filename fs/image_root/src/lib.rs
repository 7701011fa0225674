//! The file server of the image's own root file system
