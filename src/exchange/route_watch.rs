//! Whether Envoy's routes send each provider's requests to that provider's cluster.
//!
//! The filter names the cluster in the routing header; whether a route reads it is the operator's doing. One that does not
//! would hand one provider's key to another. So the cluster that Envoy shows with an answer is compared, until it was seen
//! right once for this provider; after a mismatch the provider is refused for a while.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::error::{Code, GatewayError};
use crate::policy::{Provider, ProviderId};

/// How long a provider is refused after its request was seen at another's cluster, in seconds.
const REFUSED_SECONDS: u64 = 10;

/// What one worker has seen.
#[derive(Debug, Default)]
pub struct RouteWatch {
    seen: RefCell<HashMap<ProviderId, ObservedRoute>>,
}

#[derive(Debug, Clone, Copy)]
enum ObservedRoute {
    Right,
    /// Refused until this time, in Unix seconds.
    Wrong(u64),
}

impl RouteWatch {
    /// Whether the cluster of this provider's answers is still to be looked at.
    #[must_use]
    pub(super) fn is_open(&self, id: ProviderId) -> bool {
        !matches!(self.seen.borrow().get(&id), Some(ObservedRoute::Right))
    }

    /// Whether some provider was seen at another's cluster: only then the time matters.
    #[must_use]
    pub(super) fn has_wrong(&self) -> bool {
        self.seen.borrow().values().any(|seen| matches!(seen, ObservedRoute::Wrong(_)))
    }

    /// An answer of this provider came by way of `cluster`.
    ///
    /// # Errors
    /// `misrouted` where that is none of its clusters.
    pub(super) fn see(
        &self,
        id: ProviderId,
        provider: &Provider,
        cluster: &str,
        now: impl FnOnce() -> u64,
    ) -> Result<(), GatewayError> {
        let is_own = provider.is_in(cluster.as_bytes());
        let seen = if is_own {
            ObservedRoute::Right
        } else {
            ObservedRoute::Wrong(now().saturating_add(REFUSED_SECONDS))
        };
        self.seen.borrow_mut().insert(id, seen);
        if is_own { Ok(()) } else { Err(misrouted(provider)) }
    }

    /// Whether the provider may be asked.
    ///
    /// # Errors
    /// `misrouted` for a while after a mismatch.
    pub(super) fn check(
        &self,
        id: ProviderId,
        provider: &Provider,
        now: u64,
    ) -> Result<(), GatewayError> {
        match self.seen.borrow().get(&id) {
            Some(ObservedRoute::Wrong(until)) if now < *until => Err(misrouted(provider)),
            _ => Ok(()),
        }
    }
}

fn misrouted(provider: &Provider) -> GatewayError {
    GatewayError::new(
        Code::Misrouted,
        format!(
            "Envoy's route sends requests for provider {} to another cluster. Tell the gateway's operator: the route has \
             to follow the routing header, and upstream_clusters names what else Envoy may show.",
            provider.name
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::pattern::Pattern;
    use crate::policy::test_provider;
    use crate::test;

    #[test]
    fn a_provider_is_refused_for_a_while() {
        let (watch, id) = (RouteWatch::default(), ProviderId(0));
        let mut provider = test_provider();
        provider.upstream_clusters = [Pattern::new("outbound|443||*.p.test")].into();
        assert!(watch.is_open(id) && !watch.has_wrong());
        let error = watch.see(id, &provider, "other", || 100).unwrap_err();
        assert_eq!(error.code, Code::Misrouted);
        assert!(watch.has_wrong() && watch.check(id, &provider, 109).is_err());
        assert!(watch.check(ProviderId(1), &provider, 105).is_ok());
        assert!(watch.check(id, &provider, 110).is_ok());
        for right in ["p", "outbound|443||api.p.test"] {
            assert!(watch.see(id, &provider, right, || 110).is_ok());
        }
        assert!(!watch.is_open(id) && watch.check(id, &provider, 0).is_ok());
    }
}
