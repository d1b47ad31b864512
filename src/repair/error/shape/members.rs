//! What the members of error bodies are called, in all servers' bodies together.

/// Names of the text, the most specific first. `error` and containers are looked at before.
pub(super) const MESSAGE: [&str; 47] = [
    "message",
    "msg",
    "error_message",
    "errorMessage",
    "error_msg",
    "errorMsg",
    "errmsg",
    "err_msg",
    "retmsg",
    "ret_msg",
    "resultMsg",
    "status_desc",
    "status_msg",
    "error_description",
    "detail",
    "details",
    "violations",
    "issues",
    "problems",
    "faultstring",
    "description",
    "title",
    "reason",
    "text",
    "err",
    "Message",
    "ErrorMessage",
    "errors",
    "messages",
    "status_message",
    "failure_reason",
    "info",
    "result_msg",
    "exception",
    "failure",
    "statusDescription",
    "value",
    "desc",
    "errorInfo",
    "error_info",
    "failureReason",
    "failureMessage",
    "failure_message",
    "statusText",
    "status_text",
    "cause",
    "fieldErrors",
];

pub(super) const KIND: [&str; 5] = ["type", "error_type", "errorType", "__type", "Type"];

pub(super) const CODE: [&str; 25] = [
    "code",
    "error_code",
    "errorCode",
    "errorcode",
    "errcode",
    "err_code",
    "retcode",
    "ret_code",
    "resultCode",
    "Code",
    "ErrorCode",
    "statusCode",
    "status_code",
    "http_status_code",
    "http_code",
    "http_status",
    "httpStatus",
    "StatusCode",
    "status",
    "errno",
    "err_no",
    "ret",
    "rc",
    "OriginalStatusCode",
    "originalStatusCode",
];

pub(super) const PARAM: [&str; 3] = ["param", "parameter", "field"];

/// Members that hold the error object itself.
pub(super) const CONTAINER: [&str; 14] = [
    "error",
    "errors",
    "fault",
    "base_resp",
    "x_groq",
    "header",
    "Error",
    "ResponseMetadata",
    "response",
    "Response",
    "exception",
    "failure",
    "requestStatus",
    "status",
];

/// Members that hold a result, or what went wrong instead.
pub(super) const RESULT: [&str; 4] = ["data", "result", "response", "output"];

/// Names under which servers send the request back; never repeated to the client.
pub(super) const ECHO: [&str; 8] =
    ["input", "inputs", "prompt", "messages", "query", "body", "request", "instructions"];

/// Members that hold a gRPC status by its number.
pub(super) const GRPC: [&str; 4] = ["grpc_code", "grpcCode", "grpc_status", "grpc-status"];
