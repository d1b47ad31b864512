//! The names that stand for a choice, each in one place.

use crate::policy::operation::Operation;
use crate::policy::{
    AnswerHeader, Authority, CacheMode, MessagesApi, Outside, ProviderKind, ResponseModel,
    ResponsesApi, UsageMode,
};

/// A choice by name.
pub(super) trait Choice: Copy + 'static {
    /// Each name and what it stands for, in the order in which messages list them.
    const NAMES: &'static [(&'static str, Self)];

    /// Why a name that stands for none is none, where there is more to say than which are.
    fn never(_name: &str) -> Option<&'static str> {
        None
    }
}

/// The operations that a provider may be offered for.
macro_rules! offered {
    ($($operation:ident)+) => {
        impl Choice for Operation {
            const NAMES: &'static [(&'static str, Self)] =
                &[$((Self::$operation.as_str(), Self::$operation)),+];

            fn never(name: &str) -> Option<&'static str> {
                let is_known = Self::from_name(name).is_some();
                is_known.then_some("files and batches can't be offered: no model in the request tells the provider")
            }
        }
    };
}

offered! {
    ChatCompletions Completions Embeddings Responses Moderations Messages CountTokens Models Transcriptions Translations Speech
    ImageGeneration ImageEdit Rerank
}

/// `providers[].auth.mode`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum AuthMode {
    Bearer,
    ApiKey,
    Header,
    None,
}

macro_rules! choices {
    ($($choice:ident { $($name:literal => $value:ident),+ })*) => {
        $(impl Choice for $choice {
            const NAMES: &'static [(&'static str, Self)] = &[$(($name, Self::$value)),+];
        })*
    };
}

choices! {
    AnswerHeader {
        "provider" => Provider, "model" => Model, "request_id" => RequestId, "cache_mode" => CacheMode, "cache" => Cache
    }
    AuthMode { "bearer" => Bearer, "api_key" => ApiKey, "header" => Header, "none" => None }
    Authority { "filter" => Filter, "route" => Route, "upstream" => Upstream }
    CacheMode { "respect" => Respect, "disable" => Disable, "force" => Force }
    MessagesApi { "chat" => Chat, "native" => Native }
    Outside { "pass" => Pass, "refuse" => Refuse }
    ProviderKind { "openai" => Openai, "vllm" => Vllm }
    ResponseModel { "upstream" => Upstream, "requested" => Requested }
    ResponsesApi { "chat" => Chat, "native" => Native }
    UsageMode { "off" => Off, "observe" => Observe, "require" => Require }
}
