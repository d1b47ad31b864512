//! From the operator's configuration to the types of [`crate::policy`].
//!
//! `raw` mirrors the JSON that an operator writes; `compile` turns it into the compiled types and reports every
//! problem at once.

mod compile;
mod document;
mod problems;
mod raw;
mod structpb;
mod summary;
mod text;

pub use problems::Problems;

#[cfg(test)]
mod tests;
