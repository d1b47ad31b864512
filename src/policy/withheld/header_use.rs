//! What the gateway reads of a request's head.

use crate::policy::HeaderNames;

/// Defines the uses that are known by a name in the code.
macro_rules! uses {
    ($count:literal: $($name:literal => $use:ident,)*) => {
        /// What a header is read for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the table says it")]
        pub enum HeaderUse {
            $($use,)*
            /// `<prefix>-cache`.
            Cache,
            /// It is none of those.
            Nothing,
        }

        impl HeaderUse {
            pub(super) const NAMES: [&str; $count] = [$($name),*];

            /// What a header of this name (lower case) is read for.
            #[must_use]
            pub fn of(own: &HeaderNames, name: &[u8]) -> Self {
                match std::str::from_utf8(name).unwrap_or_default() {
                    $($name => Self::$use,)*
                    name if name == &*own.cache => Self::Cache,
                    _ => Self::Nothing,
                }
            }
        }
    };
}

uses! { 13:
    ":method" => Method,
    ":path" => Path,
    ":protocol" => Protocol,
    "anthropic-version" => AnthropicVersion,
    "api-key" => ApiKey,
    "authorization" => Authorization,
    "content-encoding" => ContentEncoding,
    "content-length" => ContentLength,
    "content-type" => ContentType,
    "origin" => Origin,
    "upgrade" => Upgrade,
    "x-api-key" => XApiKey,
    "x-request-id" => RequestId,
}
