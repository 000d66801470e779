"""Requests that two servers could understand differently: each is refused, and nothing behind it is taken for a request."""

import json
import re
import select
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from medusa import ROOT
from script import Script

SITE = {"index.html": "home", "a.txt": "hello\n", "path": "p", "smuggled": "SMUGGLED"}
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n"
HOST = b"Host: t\r\n"


@pytest.fixture(scope="module")
def site(serve_all):
    return serve_all(SITE, "--header-timeout", "10s")


def statuses(data):
    return [int(s) for s in re.findall(rb"^HTTP/1\.1 (\d{3}) ", data, re.M)]


def head(*lines, method=b"POST", target=b"/a.txt", host=HOST):
    return method + b" " + target + b" HTTP/1.1\r\n" + host + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


BAD_HEADS = {
    "length and chunked": head(b"Content-Length: 5", b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "chunked and length": head(b"Transfer-Encoding: chunked", b"Content-Length: 5") + b"0\r\n\r\n",
    "two lengths": head(b"Content-Length: 5", b"Content-Length: 6") + b"hello",
    "two lengths, one line": head(b"Content-Length: 5, 6") + b"hello",
    "length with plus": head(b"Content-Length: +5") + b"hello",
    "length with minus": head(b"Content-Length: -5") + b"hello",
    "length in hex": head(b"Content-Length: 0x5") + b"hello",
    "length with blank": head(b"Content-Length: 1 0"),
    "length empty": head(b"Content-Length:"),
    "length overflows": head(b"Content-Length: 18446744073709551621") + b"hello",
    "length overflows in sign": head(b"Content-Length: 9223372036854775813") + b"hello",
    "length with vertical tab": head(b"Content-Length: \x0b5") + b"hello",
    "coding not final": head(b"Transfer-Encoding: chunked, gzip") + b"0\r\n\r\n",
    "coding twice": head(b"Transfer-Encoding: chunked, chunked") + b"0\r\n\r\n",
    "coding twice, two lines": head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "coding identity": head(b"Transfer-Encoding: identity", b"Content-Length: 5") + b"hello",
    "coding quoted": head(b'Transfer-Encoding: "chunked"') + b"0\r\n\r\n",
    "coding with vertical tab": head(b"Transfer-Encoding: \x0bchunked") + b"0\r\n\r\n",
    "coding with parameter": head(b"Transfer-Encoding: chunked;x=y") + b"0\r\n\r\n",
    "coding with HTTP/1.0": b"POST /a.txt HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bare LF after request line": b"GET /a.txt HTTP/1.1\nHost: t\r\n\r\n",
    "bare LF after field": b"GET /a.txt HTTP/1.1\r\nHost: t\nX: y\r\n\r\n",
    "bare LF ends head": b"GET /a.txt HTTP/1.1\r\nHost: t\r\n\n",
    "bare CR in value": head(b"X: a\rb", method=b"GET"),
    "bare CR in name": head(b"X\r: ab", method=b"GET"),
    "bare CR before CRLF": head(b"X: a\r", method=b"GET"),
    "folded line": head(b"X: a", b" b", method=b"GET"),
    "folded line with tab": head(b"X: a", b"\tb", method=b"GET"),
    "first line folded": b"GET /a.txt HTTP/1.1\r\n Host: t\r\n\r\n",
    "folded coding": head(b"Transfer-Encoding:", b" chunked"),
    "space before colon": head(b"X : a", method=b"GET"),
    "tab before colon": head(b"Content-Length\t: 5") + b"hello",
    "no colon": head(b"nonsense", method=b"GET"),
    "no name": head(b": a", method=b"GET"),
    "brace in name": head(b"X{: a", method=b"GET"),
    "UTF-8 in name": head("Ä: a".encode(), method=b"GET"),
    "NUL in value": head(b"X: a\0b", method=b"GET"),
    "NUL in name": head(b"X\0: a", method=b"GET"),
    "NUL in target": head(target=b"/a.txt\0", method=b"GET"),
    "NUL in method": head(method=b"GE\0T"),
    "control character in value": head(b"X: a\x01b", method=b"GET"),
    "DEL in value": head(b"X: a\x7fb", method=b"GET"),
    "no host": head(method=b"GET", host=b""),
    "two hosts": head(b"Host: t", method=b"GET"),
    "two hosts in one": head(method=b"GET", host=b"Host: a, b\r\n"),
    "host with user": head(method=b"GET", host=b"Host: a@b\r\n"),
    "host with path": head(method=b"GET", host=b"Host: a/b\r\n"),
    "host with blank": head(method=b"GET", host=b"Host: a b\r\n"),
    "blank in target": head(target=b"/a b", method=b"GET"),
    "two blanks": b"GET  /a.txt HTTP/1.1\r\nHost: t\r\n\r\n",
    "tab for blank": b"GET\t/a.txt HTTP/1.1\r\nHost: t\r\n\r\n",
    "blank after version": b"GET /a.txt HTTP/1.1 \r\nHost: t\r\n\r\n",
    "blank before method": b" GET /a.txt HTTP/1.1\r\nHost: t\r\n\r\n",
    "no version": b"GET /a.txt\r\nHost: t\r\n\r\n",
    "version in small letters": b"GET /a.txt http/1.1\r\nHost: t\r\n\r\n",
    "version with zeros": b"GET /a.txt HTTP/01.1\r\nHost: t\r\n\r\n",
    "version with blank": b"GET /a.txt HTTP/ 1.1\r\nHost: t\r\n\r\n",
    "target without slash": head(target=b"a.txt", method=b"GET"),
    "star with GET": head(target=b"*", method=b"GET"),
    "fragment": head(target=b"/a.txt#x", method=b"GET"),
    "UTF-8 in target": head(target="/ä".encode(), method=b"GET"),
    "other host in target, bad": head(target=b"http://a b/", method=b"GET"),
    "method with colon": head(method=b"GET:"),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n\r\n",
    "blank line of blanks": b"   \r\n\r\n",
}


# What is well formed, but too much.
OTHER_STATUS = {"length overflows in sign": 413}


@pytest.mark.parametrize("name", BAD_HEADS)
def test_bad_head_is_400_and_the_end(site, name):
    answer = site.raw(BAD_HEADS[name] + SMUGGLED)
    assert statuses(answer) == [OTHER_STATUS.get(name, 400)], answer
    assert b"\r\nConnection: close\r\n" in answer and b"SMUGGLED" not in answer


def test_bad_head_after_a_good_one(site):
    wire = site.connect()
    wire.send(head(method=b"GET") + BAD_HEADS["two lengths"] + SMUGGLED)
    assert [wire.answer().status, wire.answer().status] == [200, 400]
    assert wire.has_ended()


BAD_CHUNKS = {
    "in hex with prefix": b"0x5\r\nhello\r\n0\r\n\r\n",
    "plus": b"+5\r\nhello\r\n0\r\n\r\n",
    "minus": b"-1\r\nhello\r\n0\r\n\r\n",
    "underscore": b"1_0\r\nhello world!!!!!\r\n0\r\n\r\n",
    "empty": b"\r\nhello\r\n0\r\n\r\n",
    "letters": b"xyz\r\nhello\r\n0\r\n\r\n",
    "blank before": b" 5\r\nhello\r\n0\r\n\r\n",
    "blank behind": b"5 \r\nhello\r\n0\r\n\r\n",
    "overflow": b"FFFFFFFFFFFFFFFF5\r\nhello\r\n0\r\n\r\n",
    "LF after size": b"5\nhello\r\n0\r\n\r\n",
    "LF after data": b"5\r\nhello\n0\r\n\r\n",
    "CR after size": b"5\rhello\r\n0\r\n\r\n",
    "data too long": b"5\r\nhello!!\r\n0\r\n\r\n",
    "data without end": b"5\r\nhello0\r\n\r\n",
    "extension with NUL": b"5;\0=x\r\nhello\r\n0\r\n\r\n",
    "extension with CR": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "extension with LF": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "extension too long": b"5;" + b"x" * 70000 + b"\r\nhello\r\n0\r\n\r\n",
    "trailer without colon": b"0\r\nnonsense\r\n\r\n",
    "trailer folded": b"0\r\nX: y\r\n z\r\n\r\n",
    "trailer with LF": b"0\r\nX: y\n\r\n",
    "LF ends trailer": b"0\r\n\n",
    "trailer too long": b"0\r\n" + b"X: y\r\n" * 20000 + b"\r\n",
}


@pytest.mark.parametrize("name", BAD_CHUNKS)
@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_bad_chunk_is_the_end(site, name, method):
    """No handler reads this body, so the answer does not wait for it; but what follows is no request."""
    answer = site.raw(head(b"Transfer-Encoding: chunked", method=method) + BAD_CHUNKS[name] + SMUGGLED)
    assert len(statuses(answer)) <= 1 and b"SMUGGLED" not in answer


def test_chunk_of_nine_exabytes(site):
    """Its size is well formed: all that follows belongs to it."""
    wire = site.connect().send(head(b"Transfer-Encoding: chunked") + b"8000000000000005\r\nhello\r\n0\r\n\r\n" + SMUGGLED)
    assert b"SMUGGLED" not in wire.half_close().rest()


@pytest.mark.parametrize("body", [b"5\r\nhello\r\n0\r\n\r\n", b"A;x=y\r\n0123456789\r\n000\r\nX: y\r\n\r\n", b'1;a="b;c"\r\nx\r\n0\r\n\r\n'])
def test_good_chunks_are_not_the_end(site, body):
    wire = site.connect()
    wire.send(head(b"Transfer-Encoding: chunked") + body + SMUGGLED)
    assert wire.answer().status == 405
    assert wire.answer().body == b"SMUGGLED"


def test_body_is_not_taken_for_a_request(site):
    wire = site.connect()
    wire.send(head(b"Content-Length: %d" % len(SMUGGLED)) + SMUGGLED + head(method=b"GET"))
    assert wire.answer().status == 405
    assert wire.answer().body == b"hello\n"
    assert wire.is_quiet()


def test_garbage(site):
    for seed in range(50):
        data = bytes((seed * 7919 + i * i * 31 + i // 3) % 256 for i in range(400)) + b"\r\n\r\n"
        assert statuses(site.raw(data)) in ([400], [501], [505], [414], [431])


def test_blank_lines_before_a_request(site):
    assert site.connect().send(b"\r\n\r\n" + head(method=b"GET")).answer().status == 200


# ---- The suite beside the project, where it is there ----

SUITE = ROOT.parent / "shared" / "suites" / "http11probe.jsonl"

# Left out: what needs an echo. Files answer POST with 405 and do not wait for its body: cases that take nothing but 2xx
# as the right answer to POST, ...
WANT_2XX = {
    "COMP-POST-CL-UNDERSEND",  # incomplete: the 405 comes before the missing rest, as it may
    "COMP-CHUNKED-NO-FINAL",  # the same
    "COMP-CHUNKED-EMPTY",
    "COMP-DUPLICATE-CT",
    "COMP-POST-CL-ZERO",
    "COMP-POST-NO-CL-NO-TE",
    "COMP-RANGE-POST",
    "MAL-CL-TAB-BEFORE-VALUE",
    "SMUG-CL-EXTRA-LEADING-SP",
    "SMUG-CL-TRAILING-SPACE",
}
# ... and faults in a body that nobody reads. Here 405 is right too, if the connection ends and nothing behind is taken
# for a request: that is checked below, and in test_bad_chunk_is_the_end.
FAULTY_BODIES = {
    "MAL-CHUNK-EXT-64K",
    "MAL-CHUNK-SIZE-OVERFLOW",
    "SMUG-CHUNK-BARE-CR-TERM",
    "SMUG-CHUNK-BARE-SEMICOLON",
    "SMUG-CHUNK-EXT-CR",
    "SMUG-CHUNK-EXT-CTRL",
    "SMUG-CHUNK-EXT-INVALID-TOKEN",
    "SMUG-CHUNK-EXT-LF",
    "SMUG-CHUNK-HEX-PREFIX",
    "SMUG-CHUNK-LEADING-SP",
    "SMUG-CHUNK-LF-TERM",
    "SMUG-CHUNK-LF-TRAILER",
    "SMUG-CHUNK-MISSING-TRAILING-CRLF",
    "SMUG-CHUNK-NEGATIVE",
    "SMUG-CHUNK-SIZE-PLUS",
    "SMUG-CHUNK-SIZE-TRAILING-OWS",
    "SMUG-CHUNK-SPILL",
    "SMUG-CHUNK-UNDERSCORE",
}
# RFC 9110 15.5.14: a body larger than the server takes is 413; the suite only knows 400.
# A body that is not complete is waited for, after the answer.
ALSO_RIGHT = {
    "MAL-POST-CL-HUGE-NO-BODY": ["413+close"],
    "COMP-POST-CL-UNDERSEND": ["405"],
    "COMP-CHUNKED-NO-FINAL": ["405"],
} | {name: ["405+close"] for name in FAULTY_BODIES}


def cases():
    if not SUITE.exists():
        return []
    found = [json.loads(line) for line in SUITE.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [case for case in found if case.get("scored", True)]


def replay(site, case, patience=1.5):
    """What came, and whether the server ended the connection."""
    wire = site.connect()
    got, ended = b"", False
    try:
        for part in case["parts"]:
            if isinstance(part, (int, float)):
                select.select([wire.sock], [], [], part)
            elif part == "@shut":
                wire.half_close()
            else:
                wire.send(part["rep"] * part["n"] if isinstance(part, dict) else part)
        quiet_since = time.monotonic()
        while time.monotonic() - quiet_since < patience:
            if select.select([wire.sock], [], [], 0.1)[0]:
                data = wire.sock.recv(65536)
                if not data:
                    ended = True
                    break
                got += data
                quiet_since = time.monotonic()
    except ConnectionError:
        ended = True
    wire.close()
    return got, ended


def accepts(token, got, ended):
    if token.endswith("+close"):
        return ended and accepts(token[: -len("+close")], got, ended)
    if token in ("close", "wait"):
        return not got and ended == (token == "close")
    first = statuses(got)[:1]
    if not first:
        return False
    return first[0] // 100 == int(token[0]) if token.endswith("xx") else first[0] == int(token)


def failures(server, todo, also_right):
    """What is wrong with the answers to these cases, a line each."""
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda case: replay(server, case), todo))
    failed = []
    for case, (got, ended) in zip(todo, answers):
        right = case["must"] + case["may"] + also_right.get(case["id"], [])
        if len(statuses(got)) > 1 or not any(accepts(token, got, ended) for token in right):
            failed.append(f"{case['id']}: {statuses(got)} ended={ended}, wanted {case['must'][:5]} {case['may'][:3]}")
    return failed


@pytest.mark.skipif(not SUITE.exists(), reason="the suite is not beside the project")
def test_suite(site):
    todo = [case for case in cases() if case["id"] not in WANT_2XX]
    assert len(todo) > 90
    failed = failures(site, todo, ALSO_RIGHT)
    assert not failed, "\n".join(failed)


# Bodies of any size, so that the huge ones are waited for, as the suite wants it.
ECHO = """
local function echo(req) return {body = req:body() or ""} end
medusa.http.server {
  listen = "127.0.0.1:0", max_body = "1G",
  routes = { ["/"] = echo, ["/cookie"] = function(req) return {body = req.headers.cookie or ""} end },
}
"""


@pytest.mark.skipif(not SUITE.exists(), reason="the suite is not beside the project")
def test_suite_with_an_echo(tmp_path):
    todo = cases()
    assert len(todo) > 120
    with Script(tmp_path, ECHO) as script:
        failed = failures(script, todo, {})
    assert not failed, "\n".join(failed)
