//! `GET /models`: the models that one virtual key may use.
//!
//! [`parse`] reads a server's own list in whatever shape it comes; [`show`] decides what a key sees of
//! these lists, of curated ones and of aliases; [`fetch`] decides which lists to ask for, and when.

pub mod fetch;
pub mod parse;
pub mod show;
#[cfg(test)]
mod tests;

pub use fetch::{Asked, Dispatch, Fetches, Outcome, Outcomes};
pub use parse::{List, ListedModel};
pub use show::{Answer, Want, answer, needed};
