//! What was decided about a request: all that a rewriting of it for one provider needs.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use crate::dialect::seal::Sealer;
use crate::policy::CacheMode;
use crate::policy::key::VirtualKey;
use crate::policy::model::Target;
use crate::policy::operation::Operation;
use crate::wire::json::scan::BodyFacts;

/// Who may do what with which model, and where the body says so.
#[derive(Debug)]
pub(super) struct Decision {
    /// Whose request it is.
    pub key: Arc<VirtualKey>,
    pub operation: Operation,
    /// Where it may go.
    pub target: Target,
    /// The model id as the client wrote it.
    pub requested: String,
    pub cache: CacheMode,
    /// Seals and opens what the client keeps for the gateway, for operations that have such things.
    pub sealer: Option<Rc<Sealer>>,
    /// The path behind the prefix, with its query.
    pub path: String,
    /// The client says which version of Anthropic's API it speaks.
    pub has_version: bool,
    /// `content-length`, where the client or the complete body told it.
    pub declared: Option<u64>,
    /// Where the body names its model (see [`crate::wire::model_span::ModelSpan`]).
    pub span: Range<u64>,
    /// What else the answer depends on, as far as the body had been read.
    pub facts: BodyFacts,
}
