//! Models: what a client's id stands for, who may use it, and where it leads.

mod alias;
mod allowlist;
mod id;
mod resolution;

pub use alias::{
    AliasChoice, AliasEntry, AliasTable, AliasTarget, AliasTargets, Fallback, Targets,
};
pub use allowlist::{Allowlist, Patterns};
pub use id::{check_id, id_problem, own_id_problem, pattern_problem};
pub(crate) use resolution::refusal;
pub use resolution::{Plan, Target, Way, default, is_named, is_usable, resolve};

use super::intern::Interner;

/// What the aliases and allowlists of one configuration share. Needed while it is compiled only.
#[derive(Debug, Default)]
pub struct Interned {
    /// Names of aliases and entries of allowlists.
    pub names: Interner<str>,
    /// Where aliases lead.
    pub targets: Interner<Targets>,
    /// Whole tables of aliases, sorted.
    pub aliases: Interner<[AliasEntry]>,
    /// Whole allowlists.
    pub patterns: Interner<Patterns>,
}

#[cfg(test)]
mod tests;
