//! What one worker has seen, and need not look at again.

use super::route_watch::RouteWatch;
use crate::repair::shape::Shapes;

/// Of one worker and one configuration.
#[derive(Debug, Default)]
pub struct WorkerMemory {
    /// Which of Envoy's routes lead where they are to lead.
    pub(super) routes: RouteWatch,
    /// What good answers look like.
    pub(super) shapes: Shapes,
}
