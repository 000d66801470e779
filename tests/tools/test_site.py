"""The demo site: its links lead somewhere, and what lies compressed beside a file is that file."""
import html.parser
import os
import subprocess
import urllib.parse

import pytest

SITE = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "site")
FILES = [os.path.join(where, name) for where, _, names in os.walk(SITE) for name in names]
UNPACK = {".gz": ["gzip", "-dc"], ".br": ["brotli", "-dc"], ".zst": ["zstd", "-dcq"]}


class Links(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.targets, self.ids = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("href", "src"):
                self.targets.append(value)
            elif name == "id":
                self.ids.add(value)


def test_links_lead_somewhere():
    with open(os.path.join(SITE, "index.html"), encoding="utf-8") as f:
        links = Links(f.read())
    assert links.targets
    for target in links.targets:
        if target.startswith("#"):
            assert target[1:] in links.ids
        else:
            assert os.path.exists(os.path.join(SITE, urllib.parse.unquote(target))), target


@pytest.mark.parametrize("packed", [path for path in FILES if os.path.splitext(path)[1] in UNPACK], ids=os.path.basename)
def test_compressed_is_the_same(packed):
    plain, kind = os.path.splitext(packed)
    with open(plain, "rb") as f:
        assert subprocess.check_output([*UNPACK[kind], packed]) == f.read(), f"call tools/precompress {plain}"


def test_it_is_small():
    assert sum(os.path.getsize(path) for path in FILES) < 100_000
