//! An [`exchange`](crate::exchange)'s own answer, sent.

use log::error;
use proxy_wasm::types::Action;

use super::calls;
use crate::exchange::Reply;
use crate::wire::headers::block_of;

/// Envoy carries the reply out after the callback and forces the stream to stop, so `Pause` says what
/// happens.
pub(super) fn send(reply: &Reply) -> Action {
    let pairs = reply.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    if let Err(status) = calls::reply(reply.status, &reply.details(), &block_of(pairs), &reply.body)
    {
        error!("can't send a reply: {status:?}");
    }
    Action::Pause
}

/// Ends a stream of which nothing more is known.
pub(super) fn give_up() -> Action {
    send(&Reply::without_exchange())
}
