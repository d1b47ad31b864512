//! Bytes read where they stand: JSON, forms, heads, and edits of them. Knows nothing of models, keys or servers.

pub mod bytes;
pub mod failure;
pub mod grams;
pub mod headers;
pub mod json;
pub mod model_span;
pub mod multipart;
pub mod name_table;
pub mod names;
pub mod paths;
pub mod percent;
pub mod splice;
pub mod traces;
