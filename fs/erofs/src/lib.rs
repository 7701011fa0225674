//! Reading and writing uncompressed EROFS, the format of the image's root
