//! The IMA measurement list: what the kernel says it measured while it ran.
