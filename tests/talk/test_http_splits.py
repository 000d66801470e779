"""However the bytes of requests are cut into pieces on their way, the answers are the same."""

import re
import select

import pytest

SITE = {"index.html": "home", "a.txt": "hello\n", "digits.bin": b"0123456789" * 10, "dir": {"b.txt": "b"}}
GET = b"GET /a.txt HTTP/1.1\r\nHost: t\r\n\r\n"
CLOSE = b"GET /digits.bin HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"
POST = b"POST /a.txt HTTP/1.1\r\nHost: t\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

# Each ends the connection, so that all of the answer is what comes until then.
CASES = {
    "close": CLOSE,
    "two": GET + CLOSE,
    "ten": GET * 10 + CLOSE,
    "HTTP/1.0": b"GET /a.txt HTTP/1.0\r\n\r\n",
    "HTTP/1.0 keep-alive": b"GET /a.txt HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + CLOSE,
    "HEAD": b"HEAD /a.txt HTTP/1.1\r\nHost: t\r\n\r\n" + CLOSE,
    "OPTIONS": b"OPTIONS * HTTP/1.1\r\nHost: t\r\n\r\n" + CLOSE,
    "absolute form": b"GET http://t/a.txt HTTP/1.1\r\nHost: t\r\n\r\n" + CLOSE,
    "blank lines before": b"\r\n\r\n" + CLOSE,
    "not found": b"GET /nothing HTTP/1.1\r\nHost: t\r\n\r\n" + CLOSE,
    "redirect": b"GET /dir?x HTTP/1.1\r\nHost: t\r\n\r\n" + CLOSE,
    "listing": b"GET /dir/ HTTP/1.1\r\nHost: t\r\nAccept: application/json\r\n\r\n" + CLOSE,
    "range": b"GET /digits.bin HTTP/1.1\r\nHost: t\r\nRange: bytes=5-9\r\n\r\n" + CLOSE,
    "bad range": b"GET /digits.bin HTTP/1.1\r\nHost: t\r\nRange: bytes=500-\r\n\r\n" + CLOSE,
    "escapes": b"GET /%61.t%78t HTTP/1.1\r\nHost: t\r\n\r\n" + CLOSE,
    "blanks around values": b"GET /a.txt HTTP/1.1\r\nHost: \t t \t\r\nX:\r\n\r\n" + CLOSE,
    "body by length": POST + b"Content-Length: 10\r\n\r\n0123456789" + CLOSE,
    "body like a request": POST + b"Content-Length: %d\r\n\r\n" % len(GET) + GET + CLOSE,
    "no body": POST + b"Content-Length: 0\r\n\r\n" + CLOSE,
    "chunks": CHUNKED + b"5\r\nhello\r\n0a\r\n0123456789\r\n0\r\n\r\n" + CLOSE,
    "chunks with extensions": CHUNKED + b'5;a=b;c="d\\"e"\r\nhello\r\n0;x\r\n\r\n' + CLOSE,
    "chunks with trailer": CHUNKED + b"1\r\nx\r\n0\r\nX: y\r\nZ: \r\n\r\n" + CLOSE,
    "body of GET": b"GET /a.txt HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc" + CLOSE,
    "unknown method": b"BREW /a.txt HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n",
    "no host": b"GET /a.txt HTTP/1.1\r\n\r\n",
    "good, then bad": GET + b"GET /a.txt HTTP/1.1\r\nHost: t\r\nHost: u\r\n\r\n",
    "length and chunked": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "bare CR": b"GET /a.txt HTTP/1.1\r\nHost: t\r\nX: a\rb\r\n\r\n",
    "space before colon": b"GET /a.txt HTTP/1.1\r\nHost : t\r\n\r\n",
    "other version": b"GET /a.txt HTTP/2.0\r\nHost: t\r\n\r\n",
    "garbage": b"\x16\x03\x01\r\n\r\n",
    "expectation": b"GET /a.txt HTTP/1.1\r\nHost: t\r\nExpect: miracles\r\nConnection: close\r\n\r\n",
    "bad escape": b"GET /%zz HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n",
}


@pytest.fixture(scope="module")
def site(serve_all):
    return serve_all(SITE)


def answer(site, pieces):
    """All that comes. Between pieces nothing waits, but Nagle is off: each is a packet, and most are read alone."""
    wire = site.connect()
    got = b""
    try:
        for piece in pieces:
            wire.send(piece)
            if select.select([wire.sock], [], [], 0)[0]:
                got += wire.sock.recv(65536)
    except ConnectionError:  # it was refused before its end
        pass
    got += wire.rest()
    wire.close()
    site.wires.remove(wire)
    return re.sub(rb"\r\nDate: [^\r]*", b"", got)


def offsets(data):
    """Where it hurts: around every CR, LF, colon and blank; a few elsewhere."""
    found = set(range(1, len(data), 17))
    for i, byte in enumerate(data):
        if byte in b"\r\n: ;":
            found |= {i, i + 1}
    return sorted(i for i in found if 0 < i < len(data))


@pytest.mark.parametrize("name", CASES)
def test_splits(site, name):
    data = CASES[name]
    whole = answer(site, [data])
    assert whole.startswith(b"HTTP/1.1 ")
    assert answer(site, [data[i : i + 1] for i in range(len(data))]) == whole, "byte by byte"
    for size in (2, 3, 7, 16):
        assert answer(site, [data[i : i + size] for i in range(0, len(data), size)]) == whole, f"in pieces of {size}"
    for at in offsets(data):
        assert answer(site, [data[:at], data[at:]]) == whole, f"cut at {at}"
