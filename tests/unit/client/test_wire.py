"""HTTP/1.1 framing, fed byte by byte."""

import gzip
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.client.wire import (
    ProtocolFailure,
    header_block,
    read_response,
    request_bytes,
)


def stream(data: bytes, piece: int) -> Callable[[int], bytes]:
    """A `receive` that gives at most `piece` bytes at a time."""
    position = 0

    def receive(count: int) -> bytes:
        nonlocal position
        taken = data[position : position + min(count, piece)]
        position += len(taken)
        return taken

    return receive


def test_requests_are_written_whole():
    fixed = header_block([("Host", "api"), ("Accept", "application/json")])
    added = header_block([("X-Prefect-Flow-Name", "etl")])
    assert request_bytes("POST", "/api/flows/", fixed, added, b"{}") == (
        b"POST /api/flows/ HTTP/1.1\r\nHost: api\r\nAccept: application/json\r\n"
        b"X-Prefect-Flow-Name: etl\r\n"
        b"content-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
    )
    assert request_bytes("GET", "/x", b"", b"", None) == b"GET /x HTTP/1.1\r\n\r\n"
    assert b"content-length: 0" in request_bytes("DELETE", "/x", b"", b"", None)


@pytest.mark.parametrize("header", [("a", "b\r\nc: d"), ("a\nb", "c"), ("a:b", "c")])
def test_a_header_cannot_smuggle_another(header: tuple[str, str]):
    with pytest.raises(ValueError, match="line break"):
        header_block([header])


@given(
    body=st.binary(max_size=200),
    piece=st.integers(1, 50),
    chunks=st.lists(st.integers(1, 40), min_size=1, max_size=8),
)
def test_a_body_arrives_whole_however_it_is_cut(body: bytes, piece: int, chunks: list[int]):
    sized = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX-A: 1\r\n\r\n" % len(body) + body
    response, reusable = read_response(stream(sized, piece))
    assert (response.status, response.body, response.headers["x-a"]) == (200, body, "1")
    assert reusable

    rest, framed = body, b""
    for size in chunks:
        part, rest = rest[:size], rest[size:]
        if part:
            framed += b"%x;ext=1\r\n%b\r\n" % (len(part), part)
    if rest:
        framed += b"%x\r\n%b\r\n" % (len(rest), rest)
    chunked = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\nT: 1\r\n\r\n"
    )
    response, reusable = read_response(stream(chunked, piece))
    assert (response.body, reusable) == (body, True)


def test_interim_responses_are_skipped():
    data = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"
    response, reusable = read_response(stream(data, 1000))
    assert (response.status, response.body, reusable) == (204, b"", True)


def test_gzip_is_undone():
    packed = gzip.compress(b'{"a":1}')
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed)
    response, _ = read_response(stream(head + packed, 7))
    assert response.body == b'{"a":1}'


def test_a_body_without_length_ends_with_the_connection():
    response, reusable = read_response(stream(b"HTTP/1.1 200 OK\r\n\r\nabc", 2))
    assert (response.body, reusable) == (b"abc", False)


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nconnection: close", b"HTTP/1.0 200 OK"])
def test_a_connection_the_server_closes_is_not_used_again(head: bytes):
    _, reusable = read_response(stream(head + b"\r\ncontent-length: 0\r\n\r\n", 99))
    assert not reusable


@pytest.mark.parametrize(
    ("data", "started"),
    [
        (b"", False),
        (b"HTTP/1.1 200", True),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", True),
        (b"SSH-2.0-server\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 20_000, True),
    ],
)
def test_broken_responses_say_whether_anything_had_come(data: bytes, started: bool):
    with pytest.raises(ProtocolFailure) as caught:
        read_response(stream(data, 65_536))
    assert caught.value.started is started
