//! What is counted, and under which names.

pub mod counters;
pub mod usage;
