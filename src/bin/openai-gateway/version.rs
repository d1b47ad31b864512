//! What the Envoy at hand does not know yet, where its version is known.

use super::document::Node;
use super::envoy::GatewayFilter;
use super::report::Report;

/// An Envoy, by its minor version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EnvoyVersion {
    major: u32,
    minor: u32,
}

/// The first that loads the native module.
const NATIVE: EnvoyVersion = EnvoyVersion { major: 1, minor: 38 };
/// The first that tells a native module where it stands.
const NATIVE_TWICE: EnvoyVersion = EnvoyVersion { major: 1, minor: 39 };
/// The first with composite clusters.
const COMPOSITE: EnvoyVersion = EnvoyVersion { major: 1, minor: 37 };

impl std::fmt::Display for EnvoyVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl std::str::FromStr for EnvoyVersion {
    type Err = String;

    /// `1.39`, `v1.39.3`
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.strip_prefix('v').unwrap_or(text).split('.');
        let mut number = || parts.next().and_then(|part| part.parse().ok());
        match (number(), number()) {
            (Some(major), Some(minor)) => Ok(Self { major, minor }),
            _ => Err("give it as 1.39 or 1.39.3".to_owned()),
        }
    }
}

/// The Envoy of a container in a manifest: `image: envoyproxy/envoy:distroless-v1.39.3`.
pub fn of_image(document: &Node) -> Option<EnvoyVersion> {
    document.maps().into_iter().find_map(|map| {
        let image = map.text_of("image");
        let image = image.split_once('@').map_or(image, |(name, _)| name);
        let (repository, tag) = image.rsplit_once(':')?;
        let name = repository.rsplit('/').next()?;
        let is_envoy =
            matches!(name, "envoy" | "envoy-distroless" | "envoy-contrib" | "envoy-debug");
        is_envoy.then(|| tag.split('-').find_map(|part| part.parse().ok())).flatten()
    })
}

/// Whether this Envoy can run what a listener holds. `is_upstream`: the filter stands in the second position, too.
pub fn check(
    report: &mut Report<'_>,
    document: &Node,
    filter: &Node,
    gateway: &GatewayFilter<'_>,
    is_upstream: bool,
    version: EnvoyVersion,
) {
    if gateway.is_native && version < NATIVE {
        let why = format!(
            "Envoy {version} does not load the native module: take Envoy {NATIVE} or later, or the wasm module (docs/native.md)"
        );
        report.error_at(document, filter, "typed_config", why);
    } else if gateway.is_native
        && version < NATIVE_TWICE
        && (is_upstream || gateway.positions() == 2)
    {
        let why = format!(
            "the native module is refused in two positions by Envoy {version}, which does not tell it where it stands: take Envoy \
             {NATIVE_TWICE} or later, or the wasm module, or one position without fallbacks (docs/native.md)"
        );
        report.error_at(document, filter, "typed_config", why);
    }
    if version < COMPOSITE {
        for cluster in document.maps() {
            if cluster.at(&["cluster_type", "name"]).and_then(Node::text)
                == Some("envoy.clusters.composite")
            {
                let why = format!(
                    "Envoy {version} has no composite clusters: take Envoy {COMPOSITE} or later, or an aggregate cluster \
                     (docs/fallback.md)"
                );
                report.error_at(document, cluster, "cluster_type", why);
            }
        }
    }
}
