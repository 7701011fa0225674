//! The interfaces of Kiln's own objects, as decorated traits
