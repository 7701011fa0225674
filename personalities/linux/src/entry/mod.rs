//! Ways in: from rewritten call sites and by the kernel's reflection.
