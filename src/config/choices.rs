//! The names that stand for a choice, each in one place.

use crate::policy::{
    AnswerHeader, Authority, CacheMode, MessagesApi, Outside, ProviderKind, ResponseModel,
    ResponsesApi, UsageMode,
};

/// A choice by name.
pub(super) trait Choice: Copy + 'static {
    /// Each name and what it stands for, in the order in which messages list them.
    const NAMES: &'static [(&'static str, Self)];
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
