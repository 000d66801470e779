"""Files over HTTP/1.1: methods, directories, validators, ranges, connections, limits."""

import email.utils
import html
import json
import os
import re
import time
import urllib.parse
from pathlib import Path

import pytest

from medusa import until

STRANGE = [
    "quote'\".txt",
    "<script>alert(1)<",
    "two words.txt",
    "100%.txt",
    "%41.txt",
    "Grüße 世界.txt",
    "a&amp;b.txt",
    "question?mark#hash.txt",
    "semi;colon+plus.txt",
]
UNREACHABLE = ["new\nline.txt", "a\x01", "\x7f"]  # control characters have no place in a path
DIGITS = b"0123456789" * 10
SITE = {
    "index.html": "<h1>home</h1>",
    "a.txt": "hello\n",
    "digits.bin": DIGITS,
    "empty.txt": "",
    "dir": {"b.txt": "bb", "sub": {}, "c.txt": "c" * 3000},
    "strange": {name: name for name in STRANGE + UNREACHABLE},
    "sorted": {"file10": "x", "file2": "xxx", "File1": "xx", "zdir": {}},
    "indexed": {"index.html": "inner"},
    ".secret": "s",
    ".git": {"config": "c"},
    ".well-known": {"security.txt": "mail us"},
    "style.css": "p{}",
    "page.html": "<p>",
    "unknown.zzzq": "?",
    "packed.js": "plain plain plain",
    "packed.js.br": "as br",
    "packed.js.zst": "as zst",
    "packed.js.gz": "as gz",
    "in.txt": Path("a.txt"),
    "out.txt": Path("/etc/hostname"),
    "up.txt": Path("../../../../../../../../etc/passwd"),
    "loop.txt": Path("loop.txt"),
    "dirlink": Path("dir"),
    "hidden_listing": {".dot": "1", "seen": "2"},
}


@pytest.fixture(scope="module")
def site(serve_all):
    return serve_all(SITE)


# ---- Methods ----


def test_get(site):
    r = site.get("/a.txt")
    assert (r.status, r.version, r.body) == (200, "HTTP/1.1", b"hello\n")
    assert r.get("Content-Length") == "6"
    assert r.get("Content-Type").lower() in ("text/plain; charset=utf-8", "text/plain;charset=utf-8")
    assert r.get("Accept-Ranges") == "bytes"
    assert re.fullmatch(r'"[^"]+"', r.get("ETag"))
    modified = email.utils.parsedate_to_datetime(r.get("Last-Modified")).timestamp()
    assert modified == int((site.root / "a.txt").stat().st_mtime)
    assert abs(email.utils.parsedate_to_datetime(r.get("Date")).timestamp() - time.time()) < 5


@pytest.mark.parametrize("target", ["/a.txt", "/", "/dir/", "/dir", "/nothing", "/packed.js", "/.secret"])
def test_head_is_get_without_body(site, target):
    wire = site.connect()
    head, get = wire.get(target, method="HEAD"), wire.get(target)
    assert head.status == get.status
    differing = {"Date"}
    assert [f for f in head.fields if f[0] not in differing] == [f for f in get.fields if f[0] not in differing]


def test_options(site):
    wire = site.connect()
    for target in ("/a.txt", "*", "/nothing"):
        r = wire.get(target, method="OPTIONS")
        assert r.status == 204 and r.get("Allow") == "GET, HEAD, OPTIONS"
        assert r.get("Content-Length") is None


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "TRACE", "PROPFIND"])
def test_method_not_allowed(site, method):
    r = site.get("/a.txt", "Content-Length: 0", method=method)
    assert r.status == 405
    assert r.get("Allow") == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize("method", ["BREW", "get", "G-E_T", "GETS"])
def test_method_unknown(site, method):
    assert site.get("/a.txt", method=method).status == 501


def test_connect(site):
    assert site.get("example.org:443", method="CONNECT", host="example.org:443").status == 501


@pytest.mark.parametrize("target", ["/nothing", "/a.txt/", "/a.txt/x", "/dir/nothing/", "/" + "x" * 300, "/dir/b.txt/."])
def test_not_found(site, target):
    assert site.get(target).status == 404


@pytest.mark.parametrize("version", ["2.0", "1.2", "0.9", "3.0"])
def test_other_versions(site, version):
    status = site.get("/a.txt", version=version).status
    assert status == (200 if version == "1.2" else 505)


def test_error_page_forms(site):
    page = site.get("/nothing", "Accept: text/html")
    assert page.get("Content-Type").startswith("text/html") and b"404" in page.body
    text = site.get("/nothing")
    assert text.get("Content-Type").startswith("text/plain") and text.body.startswith(b"404 ")


def test_empty_file(site):
    r = site.get("/empty.txt")
    assert (r.status, r.body, r.get("Content-Length")) == (200, b"", "0")


@pytest.mark.parametrize(
    "target, kind",
    [("/style.css", "text/css"), ("/page.html", "text/html"), ("/unknown.zzzq", "application/octet-stream"), ("/packed.js", "javascript")],
)
def test_types(site, target, kind):
    assert kind in site.get(target).get("Content-Type")


def test_absolute_form(site):
    assert site.get("http://test/a.txt").body == b"hello\n"
    assert site.get("http://test").body == b"<h1>home</h1>"
    assert site.get("https://test/a.txt").status == 421


def test_query_is_ignored_by_files(site):
    assert site.get("/a.txt?x=1&y").body == b"hello\n"


# ---- Directories ----


def test_redirect_for_missing_slash(site):
    r = site.get("/dir?sort=size")
    assert r.status in (301, 308) and r.get("Location") == "/dir/?sort=size"
    assert site.get("/strange").get("Location") == "/strange/"


def test_redirect_stays_on_this_host(site):
    """A path of two slashes must not become the name of another host."""
    for target in ("//dir", "///dir", "/.//dir", "/%2fdir", "/\\dir"):
        r = site.get(target)
        if r.status in (301, 302, 307, 308):
            assert not re.match(r"/[/\\]", r.get("Location")), (target, r)


def test_index(site):
    assert site.get("/").body == b"<h1>home</h1>"
    assert site.get("/indexed/").body == b"inner"


def test_json_listing(site):
    r = site.get("/strange/", "Accept: application/json")
    assert r.get("Content-Type") == "application/json" and "Accept" in r.get("Vary")
    listing = json.loads(r.body)
    assert sorted(e["name"] for e in listing["entries"]) == sorted(STRANGE)  # and not the UNREACHABLE
    for e in listing["entries"]:
        assert e["type"] == "file" and e["size"] == len(e["name"].encode())
        r = site.get("/strange/" + urllib.parse.quote(e["name"]))
        assert r.body.decode() == e["name"]
    for name in UNREACHABLE:
        assert site.get("/strange/" + urllib.parse.quote(name)).status == 400


def test_html_listing_of_strange_names(site):
    r = site.get("/strange/", "Accept: text/html")
    assert r.get("Content-Type") == "text/html; charset=utf-8"
    page = r.body.decode()
    assert "<script" not in page
    links = [html.unescape(link) for link in re.findall(r'href="([^"]*)"', page)]
    bodies = []
    for link in links:
        if link.startswith("#"):  # an icon within the page
            continue
        target = urllib.parse.urljoin("/strange/", link)
        if target.startswith("/strange/") and "?" not in target and target != "/strange/":
            bodies.append(site.get(target).body.decode())
    assert len(bodies) == len(STRANGE)
    assert set(STRANGE) == set(bodies)
    for name in STRANGE:
        if "\n" not in name:
            assert name in html.unescape(page)


@pytest.mark.parametrize(
    "query, names",
    [
        ("", ["zdir", "File1", "file2", "file10"]),
        ("?sort=name&order=desc", ["file10", "file2", "File1"]),
        ("?sort=size", ["zdir", "file10", "File1", "file2"]),
        ("?sort=size&order=desc", ["file2", "File1", "file10"]),
        ("?sort=nonsense&order=%00", ["zdir", "File1", "file2", "file10"]),
    ],
)
def test_sort(site, query, names):
    got = [e["name"] for e in json.loads(site.get("/sorted/" + query, "Accept: application/json").body)["entries"]]
    assert [n for n in got if n in names] == names


def test_no_listing(serve):
    server = serve(SITE, "--no-listing")
    assert server.get("/dir/").status == 403
    assert server.get("/indexed/").status == 200


def test_hidden(site, serve):
    for target in ("/.secret", "/.git/config", "/.git/", "/.git", "/%2esecret", "/dirlink/../.secret"):
        assert site.get(target).status == 404, target
    assert site.get("/.well-known/security.txt").body == b"mail us"
    names = [e["name"] for e in json.loads(site.get("/hidden_listing/", "Accept: application/json").body)["entries"]]
    assert names == ["seen"]
    shown = serve(SITE, "--hidden")
    assert shown.get("/.secret").body == b"s"
    names = [e["name"] for e in json.loads(shown.get("/hidden_listing/", "Accept: application/json").body)["entries"]]
    assert sorted(names) == [".dot", "seen"]


def test_symbolic_links(site):
    assert site.get("/in.txt").body == b"hello\n"
    assert site.get("/dirlink/b.txt").body == b"bb"
    for target in ("/out.txt", "/up.txt", "/loop.txt"):
        assert site.get(target).status in (403, 404), target


@pytest.mark.parametrize(
    "target",
    [
        "/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2f..%2fetc/passwd",
        "/dir/../../../../etc/passwd",
        "/dir/..;/..;/etc/passwd",
        "/..\\..\\etc\\passwd",
        "/.%2e/.%2e/etc/passwd",
        "/%252e%252e/etc/passwd",
        "/%c0%ae%c0%ae/etc/passwd",
        "//etc/passwd",
        "/dir/%00/../../etc/passwd",
        "http://test/../../etc/passwd",
    ],
)
def test_no_way_out(site, target):
    r = site.get(target)
    assert r.status in (400, 403, 404) and b"root:" not in r.body


def test_dots_inside(site):
    assert site.get("/dir/../a.txt").body == b"hello\n"
    assert site.get("/./dir/./b.txt").body == b"bb"
    assert site.get("/%61.txt").body == b"hello\n"


@pytest.mark.parametrize("target", ["/%", "/%4", "/%zz", "/a%00.txt"])
def test_bad_escapes(site, target):
    assert site.get(target).status in (400, 404)


# ---- Conditions ----


def test_if_none_match(site):
    wire = site.connect()
    etag = wire.get("/a.txt").get("ETag")
    for value in (etag, "W/" + etag, f'"x", {etag}', "*"):
        r = wire.get("/a.txt", f"If-None-Match: {value}")
        assert r.status == 304 and r.get("ETag") == etag and r.get("Content-Length") is None
    assert wire.get("/a.txt", 'If-None-Match: "x"').status == 200
    # RFC 9110 13.2.2: If-Modified-Since does not count beside If-None-Match
    future = email.utils.formatdate(time.time() - 1, usegmt=True)
    assert wire.get("/a.txt", 'If-None-Match: "x"', f"If-Modified-Since: {future}").status == 200


def test_if_modified_since(site):
    os.utime(site.root / "a.txt", (1e9, 1e9))
    wire = site.connect()
    until(lambda: "2001" in wire.get("/a.txt").get("Last-Modified"), "the new time")
    assert wire.get("/a.txt", "If-Modified-Since: Sun, 09 Sep 2001 01:46:40 GMT").status == 304
    assert wire.get("/a.txt", "If-Modified-Since: Sun, 09 Sep 2001 01:46:39 GMT").status == 200
    assert wire.get("/a.txt", "If-Modified-Since: Sunday, 09-Sep-01 01:46:40 GMT").status == 304
    assert wire.get("/a.txt", "If-Modified-Since: yesterday").status == 200
    assert wire.get("/a.txt", "If-Unmodified-Since: Sun, 09 Sep 2001 01:46:40 GMT").status == 200
    assert wire.get("/a.txt", "If-Unmodified-Since: Sun, 09 Sep 2001 01:46:39 GMT").status == 412


def test_if_match(site):
    wire = site.connect()
    etag = wire.get("/digits.bin").get("ETag")
    assert wire.get("/digits.bin", f"If-Match: {etag}").status == 200
    assert wire.get("/digits.bin", "If-Match: *").status == 200
    assert wire.get("/digits.bin", 'If-Match: "x"').status == 412
    assert wire.get("/digits.bin", f"If-Match: W/{etag}").status == 412
    assert wire.get("/nothing", "If-Match: *").status in (404, 412)
    assert wire.get("/digits.bin", 'If-Match: "x"', "Range: bytes=0-1").status == 412


# ---- Ranges ----


@pytest.mark.parametrize(
    "value, first, last",
    [("0-0", 0, 0), ("0-9", 0, 9), ("90-", 90, 99), ("-5", 95, 99), ("50-1000", 50, 99), ("-1000", 0, 99), (" 3-4", 3, 4), ("3-4,", 3, 4)],
)
def test_range(site, value, first, last):
    r = site.get("/digits.bin", f"Range: bytes={value}")
    assert (r.status, r.body) == (206, DIGITS[first : last + 1])
    assert r.get("Content-Range") == f"bytes {first}-{last}/100"
    assert r.get("ETag")


@pytest.mark.parametrize("value", ["100-", "1000-2000", "-0"])
def test_range_unsatisfiable(site, value):
    r = site.get("/digits.bin", f"Range: bytes={value}")
    assert r.status == 416 and r.get("Content-Range") == "bytes */100"


@pytest.mark.parametrize("value", ["bytes=5-2", "bytes=x-y", "lines=0-3", "bytes", "bytes=", "bytes=1-2-3", "bytes=0x0-1"])
def test_range_ignored(site, value):
    r = site.get("/digits.bin", f"Range: {value}")
    assert (r.status, r.body) == (200, DIGITS)


def test_several_ranges(site):
    r = site.get("/digits.bin", "Range: bytes=0-1, 20-24,-3")
    assert r.status == 206 and r.get("Content-Range") is None
    kind, boundary = r.get("Content-Type").split("; boundary=")
    assert kind == "multipart/byteranges"
    parts = r.body.split(b"--" + boundary.encode())
    assert parts[0] in (b"", b"\r\n") and parts[-1] == b"--\r\n"
    got = []
    for part in parts[1:-1]:
        head, body = part.split(b"\r\n\r\n", 1)
        fields = dict(line.split(": ", 1) for line in head.decode().strip().split("\r\n"))
        assert fields["Content-Type"]
        got.append((fields["Content-Range"], body[:-2]))
    assert got == [("bytes 0-1/100", b"01"), ("bytes 20-24/100", b"01234"), ("bytes 97-99/100", b"789")]


def test_too_many_ranges_are_capped(site):
    value = ",".join(f"{i}-{i}" for i in range(0, 100, 2))
    assert site.get("/digits.bin", f"Range: bytes={value}").status in (200, 416)
    overlapping = ",".join(["0-"] * 10)
    assert len(site.get("/digits.bin", f"Range: bytes={overlapping}").body) <= 100 + 200


def test_if_range(site):
    wire = site.connect()
    whole = wire.get("/digits.bin")
    etag = whole.get("ETag")
    assert wire.get("/digits.bin", "Range: bytes=0-1", f"If-Range: {etag}").status == 206
    assert wire.get("/digits.bin", "Range: bytes=0-1", 'If-Range: "x"').status == 200
    assert wire.get("/digits.bin", "Range: bytes=0-1", f"If-Range: W/{etag}").status == 200
    assert wire.get("/digits.bin", "Range: bytes=500-", 'If-Range: "x"').status == 200
    # RFC 9110 14.2: Range counts for GET only
    r = wire.get("/digits.bin", "Range: bytes=0-1", method="HEAD")
    assert r.status == 200 and r.get("Content-Length") == "100"


# ---- Compressed forms ----


@pytest.mark.parametrize(
    "accept, coding",
    [
        ("br", "br"),
        ("gzip", "gzip"),
        ("zstd", "zstd"),
        ("gzip, br, zstd", "br"),
        ("gzip;q=1, br;q=0.5", "gzip"),
        ("br;q=0, gzip", "gzip"),
        ("x-gzip", "gzip"),
        ("deflate", None),
        ("identity", None),
        ("*;q=0, identity", None),
        ("", None),
        (None, None),
    ],
)
def test_compressed_forms(site, accept, coding):
    r = site.get("/packed.js", *([] if accept is None else [f"Accept-Encoding: {accept}"]))
    bodies = {"br": b"as br", "gzip": b"as gz", "zstd": b"as zst", None: b"plain plain plain"}
    assert (r.status, r.get("Content-Encoding"), r.body) == (200, coding, bodies[coding])
    assert r.get("Vary") == "Accept-Encoding" and "javascript" in r.get("Content-Type")


def test_compressed_forms_have_their_own_tags(site):
    tags = {site.get("/packed.js", f"Accept-Encoding: {coding}").get("ETag") for coding in ("br", "gzip", "zstd", "identity")}
    assert len(tags) == 4
    assert site.get("/a.txt", "Accept-Encoding: gzip").get("Vary") is None


def test_old_compressed_form_is_not_sent(serve):
    server = serve({"a.js": "new", "a.js.gz": "old"})
    os.utime(server.root / "a.js.gz", (1e9, 1e9))
    assert server.get("/a.js", "Accept-Encoding: gzip").body == b"new"


# ---- Connections ----


def test_keep_alive(site):
    wire = site.connect()
    for _ in range(5):
        r = wire.get("/a.txt")
        assert r.body == b"hello\n" and r.get("Connection") is None


def test_connection_close(site):
    wire = site.connect()
    assert wire.get("/a.txt", "Connection: close").get("Connection") == "close"
    assert wire.has_ended()
    wire = site.connect()
    assert wire.get("/a.txt", "Connection: foo, Close").body == b"hello\n"
    assert wire.has_ended()


def test_http_1_0(site):
    wire = site.connect()
    r = wire.get("/a.txt", version="1.0", host=None)
    assert (r.status, r.body, r.get("Connection")) == (200, b"hello\n", "close")
    assert wire.has_ended()
    wire = site.connect()
    for _ in range(3):
        r = wire.get("/a.txt", "Connection: keep-alive", version="1.0", host=None)
        assert r.get("Connection") == "keep-alive" and r.body == b"hello\n"


def test_max_requests(serve):
    wire = serve(SITE, "--max-requests", "3").connect()
    assert [wire.get("/a.txt").get("Connection") for _ in range(3)] == [None, None, "close"]
    assert wire.has_ended()


def test_pipelining(site):
    targets = ["/a.txt", "/digits.bin", "/nothing", "/dir/c.txt", "/dir/"] * 20
    wire = site.connect()
    wire.send("".join(f"GET {t} HTTP/1.1\r\nHost: test\r\n\r\n" for t in targets))
    alone = {t: site.get(t).body for t in set(targets)}
    for target in targets:
        assert wire.answer().body == alone[target]
    assert wire.is_quiet()


def test_pipelining_then_half_close(site):
    wire = site.connect()
    wire.send("GET /dir/c.txt HTTP/1.1\r\nHost: test\r\n\r\n" * 50).half_close()
    for _ in range(50):
        assert wire.answer().body == b"c" * 3000
    assert wire.has_ended()


def test_expect_continue_is_answered_finally(site):
    """Nobody reads this body, so 100 is not sent: RFC 9110 10.1.1."""
    wire = site.connect()
    r = wire.get("/a.txt", "Expect: 100-continue", "Content-Length: 5", method="POST")
    assert r.status == 405
    assert wire.has_ended()
    assert site.get("/a.txt", "Expect: 200-maybe").status == 417


def test_body_of_a_get_is_read_away(site):
    wire = site.connect()
    assert wire.get("/a.txt", "Content-Length: 5", body=b"12345").status == 200
    assert wire.get("/a.txt", "Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\nX: y\r\n\r\n").status == 200
    assert wire.get("/digits.bin").body == DIGITS


# ---- Limits ----


def test_hosts(serve):
    server = serve(SITE, "--host", "example.org", "--host", "other.org")
    for host in ("example.org", "EXAMPLE.org:8080", "other.org", "example.org."):
        assert server.get("/a.txt", host=host).status == 200, host
    for host in ("evil.org", "127.0.0.1", "example.org.evil"):
        assert server.get("/a.txt", host=host).status == 421, host
    assert server.get("http://evil.org/a.txt", host="example.org").status == 421


def test_body_too_large(serve):
    server = serve(SITE, "--max-body", "1000")
    wire = server.connect()
    assert wire.get("/a.txt", "Content-Length: 1001", method="POST").status == 413
    assert wire.has_ended()
    wire = server.connect()
    r = wire.get("/a.txt", "Transfer-Encoding: chunked", method="POST", body=b"7d0\r\n" + b"x" * 2000 + b"\r\n0\r\n\r\n")
    assert r.status == 405  # it was answered before the body came


def test_target_too_long(serve):
    server = serve(SITE, "--max-target", "100")
    assert server.get("/" + "x" * 99).status == 404
    wire = server.connect()
    assert wire.get("/" + "x" * 100).status == 414
    assert wire.has_ended()


def test_head_too_large(serve):
    server = serve(SITE, "--max-header", "1000", "--max-fields", "10")
    assert server.get("/a.txt", "X: " + "x" * 500).status == 200
    assert server.get("/a.txt", "X: " + "x" * 1000).status == 431
    assert server.get("/a.txt", *["X: y"] * 9).status == 200
    assert server.get("/a.txt", *["X: y"] * 10).status == 431


def test_defaults_of_limits(site):
    assert site.get("/" + "x" * 4000).status == 404
    assert site.get("/" + "x" * 4094).status == 404
    assert site.get("/" + "x" * 4095).status == 404  # longer than any path
    assert site.get("/" + "x" * 8000).status == 404
    assert site.get("/" + "%78" * 2000).status == 404
    assert site.get("/" + "x/" * 2046 + "dir/").status == 404
    assert site.get("/" + "x" * 9000).status == 414
    assert site.get("/a.txt", "X: " + "x" * 33000).status == 431
    assert site.get("/a.txt", *["X: y"] * 200).status == 431


def test_header_timeout(serve):
    server = serve(SITE, "--header-timeout", "200ms")
    wire = server.connect().send("GET /a.txt HTT")
    assert wire.answer().status == 408
    assert wire.has_ended()
    wire = server.connect()
    assert wire.get("/a.txt").status == 200
    wire.send("GET /a.t")
    assert wire.answer().status == 408
    assert wire.has_ended()
    assert server.connect().has_ended()


def test_keepalive_timeout(serve):
    wire = serve(SITE, "--keepalive", "200ms").connect()
    assert wire.get("/a.txt").status == 200
    assert wire.has_ended()


def test_custom_error_pages(serve, tmp_path):
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "404.html").write_text("<p>gone fishing")
    server = serve(SITE, "--error-pages", str(pages))
    r = server.get("/nothing", "Accept: text/html")
    assert (r.status, r.body) == (404, b"<p>gone fishing")
    assert server.get("/a.txt", "Accept: text/html", method="POST").status == 405


# ---- Large, changing and vanishing files ----

BIG = os.urandom(1 << 20) * 20


def test_big_file(serve):
    server = serve({"big": BIG})
    wire = server.connect()
    assert wire.get("/big").body == BIG
    r = wire.get("/big", "Range: bytes=5000001-15000000")
    assert r.status == 206 and r.body == BIG[5000001:15000001]
    r = wire.get("/big", "Range: bytes=-3000000")
    assert r.body == BIG[-3000000:]
    assert wire.get("/big", method="HEAD").get("Content-Length") == str(len(BIG))
    r = wire.get("/big", "Range: bytes=0-2999999,10000000-12999999")
    assert r.status == 206 and BIG[:3000000] in r.body and BIG[10000000:13000000] in r.body


def test_change_is_seen_soon(serve):
    server = serve({"a.txt": "old"})
    first = server.get("/a.txt")
    assert first.body == b"old"
    (server.root / "a.txt").write_text("newer")
    r = until(lambda: (r := server.get("/a.txt")).body == b"newer" and r, "the change", 5)
    assert r.get("ETag") != first.get("ETag")


def test_replaced_and_deleted(serve):
    server = serve({"a.txt": "old"})
    assert server.get("/a.txt").body == b"old"
    (server.root / "b.txt").write_text("new")
    (server.root / "b.txt").rename(server.root / "a.txt")
    until(lambda: server.get("/a.txt").body == b"new", "the replacement", 5)
    (server.root / "a.txt").unlink()
    until(lambda: server.get("/a.txt").status == 404, "the end of the file", 5)
    (server.root / "a.txt").mkdir()
    until(lambda: server.get("/a.txt").status == 301, "the directory", 5)


def test_big_file_truncated_while_it_is_sent(serve):
    """What was promised cannot be sent any more: the connection is cut, and the server lives."""
    server = serve({"big": BIG, "a.txt": "a"})
    wire = server.connect(receive_buffer=4096)
    wire.ask("/big")
    assert wire._head().status == 200
    os.truncate(server.root / "big", 1000000)
    assert len(wire.rest()) < len(BIG)
    assert server.get("/a.txt").body == b"a"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read all")
def test_unreadable_file(serve):
    server = serve({"a.txt": "a"})
    (server.root / "a.txt").chmod(0)
    assert server.get("/a.txt").status == 403
