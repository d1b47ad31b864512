//! A Responses request as a request for `/chat/completions`.

/// What the conversion depends on beside the request.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// The upstream's model id.
    pub model: &'a str,
    /// Whether `stream_options.include_usage` may be asked of this server.
    pub stream_usage: bool,
    /// The member of an assistant message in which this server wants earlier reasoning back.
    pub reasoning_field: Option<&'a str>,
}
