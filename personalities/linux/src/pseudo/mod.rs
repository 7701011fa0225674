//! Files that the library makes itself: `/dev`, `/proc`, `/sys`.
