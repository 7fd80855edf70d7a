//! What values may be, and whether there are any, as far as the schema of the input, the bundle's data and the rules tell.

mod builtins;
mod facts;
mod program;
mod schema;
mod shape;
mod typing;
mod walk;

pub(super) use facts::operands;
pub(super) use program::{Program, is_partial_object};
pub(super) use shape::Kinds;
pub(super) use typing::{Node, Origin, Typed, Typing, static_text};
pub(super) use walk::{Here, Visit, rule as walk_rule};
