//! A stream that asks for models: it makes the calls for lists that nobody else makes.

use super::super::abi::LogLevel;
use super::super::around::now_ms;
use super::super::calls::{self, log};
use super::super::lists::Asked;
use super::{Stream, Verdict};
use crate::exchange::ModelsQuery;
use crate::exchange::models::{Call, Outcomes};
use crate::wire::headers::Headers;

impl Stream {
    /// Envoy has woken this stream: its model lists are there, or it has to make the calls of one that has gone.
    pub fn woken(&mut self, filter: calls::Filter) {
        for call in self.configuration.lists().handed(self.id) {
            self.call(filter, call);
        }
        if let Some(outcomes) = self.configuration.lists().take(self.id)
            && let Some(query) = self.lists.take()
        {
            let _verdict = self.list(filter, query, outcomes);
        }
    }

    /// Answers a question for models with what is there, or waits for more.
    pub(super) fn list(
        &mut self,
        filter: calls::Filter,
        query: ModelsQuery,
        got: Outcomes,
    ) -> Verdict {
        let lists = self.configuration.lists();
        let config = &self.worker.config;
        match lists.ask(config, self.id, &query, got, now_ms(), || filter.thread()) {
            Asked::Reply(reply) => self.send(filter, &reply),
            Asked::Wait(calls) => {
                self.lists = Some(query);
                calls.into_iter().for_each(|call| self.call(filter, call));
                Verdict::Hold
            }
        }
    }

    /// Asks a provider for its models.
    fn call(&self, filter: calls::Filter, call: Call) {
        let lists = self.configuration.lists();
        match filter.call(&call) {
            Ok(id) => lists.sent(self.id, id, call),
            Err(why) => {
                let cluster = call.cluster();
                log(
                    LogLevel::Warn,
                    &format!("can't ask cluster {cluster} for its models: {why:?}"),
                );
                lists.not_sent(call, now_ms());
            }
        }
    }

    /// A call of this stream is over; `read` as for [`Lists::answered`](super::super::lists::Lists::answered).
    pub fn called_back(
        &mut self,
        filter: calls::Filter,
        id: u64,
        read: impl FnOnce() -> Option<(u16, Headers<'static>, Vec<u8>)>,
    ) {
        let next = self.configuration.lists().answered(self.id, id, read, now_ms());
        if let Some(call) = next {
            self.call(filter, call);
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.lists.is_some() {
            self.configuration.lists().forget(self.id);
        }
    }
}
