//! What chat and text completions are made of, whoever sends them.
//!
//! One table, two readers: whole answers ([`completion`]) and the chunks of streams ([`super::sse`]) are
//! read by the same functions, so that what is repaired in one is repaired in the other.
//!
//! | file | what it knows |
//! | --- | --- |
//! | `finish` | what a finish reason means, failures among them |
//! | `content` | content that is no string: typed parts, JSON |
//! | `calls` | tool calls: which one a delta goes on with, and what each is made of |
//! | `choice` | one choice: its message or delta, its text, its end |
//! | `progress` | what each choice has said so far, so that nothing is said twice |
//! | `root` | what stands beside the choices |
//! | `silent` | what must say nothing where an answer is to go on unread |
//! | `usage` | token counts |
//! | `container` | where the chunk or completion stands inside of what was sent |
//! | `completion` | a whole answer |
//! | `collect` | a stream put together, for a client that did not ask for one |

pub(super) mod calls;
pub(super) mod choice;
pub mod collect;
pub mod completion;
pub(super) mod container;
mod content;
pub(super) mod edits;
pub(super) mod finish;
#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
pub(super) mod laws;
pub(super) mod progress;
pub(super) mod root;
pub(super) mod silent;
pub(super) mod straight;
#[cfg(test)]
mod tests;
pub(super) mod usage;

/// What the request says about the answer that is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestFacts {
    /// How many choices were asked for: `n` for each prompt.
    pub choices: u64,
    /// Token counts were asked for (`stream_options.include_usage`).
    pub wants_usage: bool,
    /// `tool_choice` names a function: OpenAI itself ends such an answer with `stop`.
    pub names_tool: bool,
}

impl Default for RequestFacts {
    fn default() -> Self {
        Self { choices: 1, wants_usage: false, names_tool: false }
    }
}

/// Which of the two APIs an answer belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// Chat completions: choices have a `message` or a `delta`.
    Chat,
    /// Text completions: choices have a `text`.
    Completions,
}

/// How an answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WholeOrChunk {
    /// In one piece.
    Whole,
    /// As one chunk of a stream.
    Chunk,
}
