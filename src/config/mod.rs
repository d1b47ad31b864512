//! From the operator's configuration to the types of [`crate::policy`].
//!
//! `raw` mirrors the JSON that an operator writes; `compile` turns it into the compiled types and reports every
//! problem at once.

mod choices;
mod compile;
mod document;
mod field;
mod problems;
mod raw;
#[cfg(not(target_arch = "wasm32"))]
mod schema;
mod spelling;
mod structpb;
mod summary;
mod text;

pub use compile::{SharedConfig, digest_problem, key_id_problem};
pub use problems::{Path, Problems, ROOT};
#[cfg(not(target_arch = "wasm32"))]
pub use raw::schema;
pub use spelling::closest;
pub use summary::ConfigWarning;

#[cfg(test)]
mod tests;
