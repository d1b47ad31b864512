"""The model id in multipart forms: any place, any boundary, only its bytes change."""

from __future__ import annotations

import os
import random

import pytest
from harness import expect, wire

PATH = "/v1/audio/transcriptions"
AUDIO = random.Random(1).randbytes(20_000)


def part(name: str, value: bytes, *more: str, boundary: str = "B") -> bytes:
    """One part; `more` are further header lines."""
    lines = [f'Content-Disposition: form-data; name="{name}"', *more]
    return (
        f"--{boundary}\r\n".encode() + "\r\n".join(lines).encode() + b"\r\n\r\n" + value + b"\r\n"
    )


def audio(value: bytes = AUDIO, boundary: str = "B") -> bytes:
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n'
    return head.encode() + b"Content-Type: audio/wav\r\n\r\n" + value + b"\r\n"


MODEL = part("model", b"alpha/whisper-1")
END = b"--B--\r\n"
DECOYS = b'--C\r\n"model":"x"\r\n--b\r\n-B\r\n--\r\nname="model"\r\n\r\nbeta/x\xff\xfe\r\n\r\n--'

GOOD = {
    "first": MODEL + audio() + END,
    "after the file": audio() + MODEL + END,
    "between": part("language", b"en") + MODEL + audio() + END,
    "alone": MODEL + END,
    "decoys in the file": audio(DECOYS) + MODEL + END,
    "file that ends in dashes": audio(b"\r\n--") + MODEL + END,
    "empty file": audio(b"") + MODEL + END,
    "no last line end": MODEL + b"--B--",
    "more headers": part("model", b"alpha/whisper-1", "Content-Type: text/plain") + END,
    "file named model": b'--B\r\nContent-Disposition: form-data; name="file"; filename="model"\r\n\r\nx\r\n'
    + MODEL
    + END,
    "header in other case": MODEL.replace(b"Content-Disposition", b"CONTENT-disposition") + END,
    "name without quotes": MODEL.replace(b'"model"', b"model") + END,
    "similar names": part("models", b"beta/x") + part("mode", b"y") + MODEL + END,
}


@pytest.mark.parametrize("size", [None, 1000, 1], ids=["whole", "1000-byte", "1-byte"])
@pytest.mark.parametrize("body", GOOD.values(), ids=GOOD)
def test_only_the_models_bytes_change(gateway, upstreams, body, size):
    if size == 1:
        body = body.replace(AUDIO, AUDIO[:50])
    sent = {"pieces": wire.split(body, size)} if size else {"body": body}
    kind = "multipart/form-data; boundary=B"
    expect.good(gateway.post(PATH, content_type=kind, **sent))
    got = upstreams["alpha"].only
    assert got.body == body.replace(b"alpha/whisper-1", b"whisper-1")
    assert got.header("content-type") == kind
    if size is None:
        assert got.header("content-length") == str(len(got.body))


@pytest.mark.parametrize(
    ("boundary", "content_type"),
    [
        (
            "----WebKitFormBoundaryABC123",
            "multipart/form-data; boundary=----WebKitFormBoundaryABC123",
        ),
        ("a b:c?d", 'multipart/form-data; boundary="a b:c?d"'),
        ("B", "Multipart/Form-Data; BOUNDARY=B"),
        ("B", 'multipart/form-data; charset=utf-8; boundary="B"'),
        ("B", "multipart/form-data;boundary=B;charset=utf-8"),
        ("x" * 70, f"multipart/form-data; boundary={'x' * 70}"),
        ("--", "multipart/form-data; boundary=--"),
    ],
)
def test_boundaries(gateway, upstreams, boundary, content_type):
    body = audio(boundary=boundary) + part("model", b"alpha/w", boundary=boundary)
    body += f"--{boundary}--\r\n".encode()
    expect.good(gateway.post(PATH, body, content_type=content_type))
    got = upstreams["alpha"].only
    assert got.body == body.replace(b"alpha/w", b"w")
    quoted = f'"{boundary}"' if " " in boundary else boundary
    assert got.header("content-type") == f"multipart/form-data; boundary={quoted}"


@pytest.mark.parametrize("size", [None, 1])
@pytest.mark.parametrize("header", ["Content-Length: 15", "content-length:0015 "])
def test_a_part_that_tells_its_length_tells_the_new_one(gateway, upstreams, header, size):
    """OkHttp before 5 writes it, and some servers go by it: they would read a part of the model, or beyond it."""
    body = audio(b"x") + part("model", b"alpha/whisper-1", header, "X-Y: 15") + END
    sent = {"pieces": wire.split(body, size)} if size else {"body": body}
    expect.good(gateway.post(PATH, content_type="multipart/form-data; boundary=B", **sent))
    got = upstreams["alpha"].only
    told = header.replace("0015", "9").replace("15", "9")
    want = audio(b"x") + part("model", b"whisper-1", told, "X-Y: 15") + END
    assert got.body == want
    if size is None:
        assert got.header("content-length") == str(len(want))


@pytest.mark.parametrize(
    "header",
    [
        "Content-Transfer-Encoding: 8bit",
        "Content-Type: text/plain; charset=ISO-8859-1",
        "content-type:text/plain;charset=UTF-8",
    ],
)
def test_a_part_that_says_how_it_is_written(gateway, upstreams, header):
    body = part("model", b"alpha/whisper-1", header) + audio(b"x") + END
    expect.good(gateway.post(PATH, body, content_type="multipart/form-data; boundary=B"))
    assert upstreams["alpha"].only.body == body.replace(b"alpha/whisper-1", b"whisper-1")


TWO = MODEL + part("model", b"alpha/x")
REFUSED = {
    "no model": (audio() + END, "missing_model"),
    "empty model": (part("model", b"") + END, {"missing_model", "invalid_model"}),
    "two": (TWO + END, "duplicate_model"),
    "two, around a file": (
        MODEL + audio() + part("model", b"beta/x") + END,
        "duplicate_model",
    ),
    "two, other case": (MODEL + part("MODEL", b"beta/x") + END, "duplicate_model"),
    "two, one unquoted": (
        MODEL + MODEL.replace(b'"model"', b"model") + END,
        "duplicate_model",
    ),
    "model as a file": (
        b'--B\r\nContent-Disposition: form-data; name="model"; filename="f"\r\n\r\nalpha/x\r\n'
        + END,
        {"invalid_model", "invalid_multipart"},
    ),
    "not UTF-8": (
        part("model", b"alpha/\xff") + END,
        {"invalid_model", "invalid_multipart"},
    ),
    "no end": (MODEL + audio(), "invalid_multipart"),
    "cut in the model": (MODEL[:-4], "invalid_multipart"),
    "cut in a header": (MODEL + b"--B\r\nContent-Dis", "invalid_multipart"),
    "empty": (b"", {"invalid_multipart", "missing_model"}),
    "other boundary": (
        MODEL.replace(b"--B", b"--D") + b"--D--\r\n",
        "invalid_multipart",
    ),
    "only an end": (END, {"missing_model", "invalid_multipart"}),
    "JSON": (b'{"model":"alpha/m"}', "invalid_multipart"),
    "two, an encoded word": (
        MODEL + part("=?UTF-8?Q?model?=", b"beta/x") + END,
        "invalid_multipart",
    ),
    "two, a byte order mark": (
        MODEL + part("\ufeffmodel", b"beta/x") + END,
        "invalid_multipart",
    ),
    "two, bad UTF-8": (
        MODEL + part("mod?el", b"beta/x").replace(b"?", b"\xff") + END,
        "invalid_multipart",
    ),
    "two, overlong": (
        MODEL + part("mode?", b"beta/x").replace(b"?", b"\xc1\xac") + END,
        "invalid_multipart",
    ),
    "two, as a list": (MODEL + part("model[]", b"beta/x") + END, "duplicate_model"),
    "two, percent": (MODEL + part("mo%00del", b"beta/x") + END, "duplicate_model"),
    "two, signs": (MODEL + part("mo.del", b"beta/x") + END, "duplicate_model"),
    "underscore in a header": (
        MODEL
        + part("model", b"beta/x").replace(b"Content-Disposition", b"Content_Disposition")
        + END,
        "invalid_multipart",
    ),
    "underscore in a further header": (
        part("a", b"x", "Content_Type: y") + MODEL + END,
        "invalid_multipart",
    ),
    "path": (part("model", b"alpha/family/../denied") + END, "invalid_model"),
    # Decoded, it is another model
    "base64": (
        part("model", b"YWxwaGEvZGVuaWVk", "Content-Transfer-Encoding: base64") + END,
        "invalid_model",
    ),
    "quoted-printable": (
        part("model", b"alpha/m=65", "content-transfer-encoding: Quoted-Printable") + END,
        "invalid_model",
    ),
    "a charset": (
        part("model", b"alpha/+AGQ-", "Content-Type: text/plain; charset=utf-7") + END,
        "invalid_model",
    ),
    "a charset of RFC 2231": (
        part("model", b"alpha/+AGQ-", "Content-Type: text/plain; charset*=us-ascii''utf-7") + END,
        "invalid_model",
    ),
    "a charset that is one beyond ASCII": (
        part("model", b"alpha/\xc3\xa9", "Content-Type: text/plain; charset=iso-8859-1") + END,
        "invalid_model",
    ),
    "a charset for all": (
        part("_charset_", b"utf-7") + part("model", b"alpha/m") + END,
        "invalid_multipart",
    ),
    # Readers of forms differ in these, and no client library writes them
    "text before": (b"ignored?\r\n" + MODEL + END, "invalid_multipart"),
    "text after": (MODEL + END + b"ignored?", "invalid_multipart"),
    "padding": (MODEL.replace(b"--B\r", b"--B  \r") + END, "invalid_multipart"),
    "longer boundary": (audio(b"x\r\n--Bx\r\ny") + MODEL + END, "invalid_multipart"),
    "endless header": (
        b"--B\r\nX: " + b"x" * 200_000 + b"\r\n\r\n" + MODEL + END,
        "invalid_multipart",
    ),
}


@pytest.mark.parametrize("size", [None, 7], ids=["whole", "7-byte"])
@pytest.mark.parametrize(("body", "code"), REFUSED.values(), ids=REFUSED)
def test_in_doubt_the_form_is_refused(gateway, upstreams, body, code, size):
    if size and len(body) > 50_000:
        size = 5000
    sent = {"pieces": wire.split(body, size)} if size else {"body": body}
    with gateway.completes_nothing(upstreams):
        reply = gateway.post(PATH, content_type="multipart/form-data; boundary=B", **sent)
    expect.gateway_error(reply, 400, code, "model" if str(code).endswith("_model") else None)


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "application/json",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        "multipart/mixed; boundary=B",
        "multipart/form-data; boundary=B; boundary=C",
        "application/x-www-form-urlencoded",
        f"multipart/form-data; boundary={'x' * 200}",
        # A second boundary, for servers that search
        "multipart/form-data; xboundary=C; boundary=B",
        "multipart/form-data; boundary=B; xboundary=C",
        'multipart/form-data; x="boundary=C"; boundary=B',
        'multipart/form-data; boundary="B boundary=C"',
        "multipart/form-data; boundary=B; x=1",
    ],
)
def test_content_types_that_are_no_form(gateway, content_type):
    with gateway.sends_nothing():
        reply = gateway.post(PATH, MODEL + END, content_type=content_type)
        expect.gateway_error(reply, 400, "invalid_multipart")


def test_a_form_is_no_json(gateway):
    with gateway.sends_nothing():
        reply = gateway.post(body=MODEL + END, content_type="multipart/form-data; boundary=B")
        expect.gateway_error(reply, 400, "invalid_json")


def test_the_allowlist_holds_for_forms(gateway):
    body = part("model", b"alpha/denied") + audio() + END
    with gateway.sends_nothing():
        reply = gateway.post(PATH, body, vk="allow", content_type="multipart/form-data; boundary=B")
        expect.gateway_error(reply, 403, "model_not_allowed", "model")


def test_a_file_of_any_bytes_before_the_model(gateway, upstreams):
    body = audio(os.urandom(400_000)) + MODEL + END
    expect.good(gateway.post(PATH, body, content_type="multipart/form-data; boundary=B"))
    assert upstreams["alpha"].only.body == body.replace(b"alpha/whisper-1", b"whisper-1")
