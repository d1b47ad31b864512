"""What answers are compared with."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from .client import Response

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


def type_of(status: int) -> str:
    """`error.type` that goes with a status when no upstream gave another."""
    return TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")


def envelope(response: Response) -> dict[str, Any]:
    """The error object of an answer that is an OpenAI error envelope and nothing else."""
    assert response.complete, "the answer was cut"
    assert response.header("content-type") == "application/json", response
    assert response.header("content-length") == str(len(response.body)), response
    body = response.json()
    assert list(body) == ["error"], response.body
    error = body["error"]
    assert {"message", "type", "param", "code"} <= set(error), error
    assert isinstance(error["message"], str) and error["message"].strip(), error
    assert isinstance(error["type"], str) and error["type"], error
    assert error["param"] is None or isinstance(error["param"], str), error
    assert error["code"] is None or isinstance(error["code"], str), error
    return error


def gateway_error(
    response: Response, status: int, code: str | Container[str], param: str | None = None
) -> str:
    """The answer is the gateway's own error; its message. `param` is compared when given."""
    assert response.status == status, (response.status, response.body)
    error = envelope(response)
    assert set(error) == {"message", "type", "param", "code"}, error
    codes = (code,) if isinstance(code, str) else code
    assert error["code"] in codes, error
    assert error["type"] == type_of(status), error
    if param is not None:
        assert error["param"] == param, error
    return error["message"]


def good(response: Response) -> Response:
    """The answer is a complete 200."""
    assert response.status == 200, (response.status, response.body[:2000])
    assert response.complete, "the answer was cut"
    return response
