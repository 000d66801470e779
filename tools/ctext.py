"""What the tools know of C text: comments and strings told from code, and code cut into tokens."""
import re

_PIECE = re.compile(
    r"""(?P<comment>/\*.*?\*/|//(?:\\\n|[^\n])*)"""
    r"""|(?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')""",
    re.S)
_TOKEN = re.compile(r"[A-Za-z_]\w*|\d[\w.]*|\S")
_DIRECTIVE = re.compile(r"^[ \t]*#(?:\\\n|[^\n])*", re.M)


def _blank(text):
    return re.sub(r"[^\n]", " ", text)


def code_only(text):
    """The text with comments and the insides of strings blanked; lines and columns stay where they are."""
    def replace(m):
        if m["comment"]:
            return _blank(m[0])
        return m[0][0] + _blank(m[0][1:-1]) + m[0][-1]
    return _PIECE.sub(replace, text)


def comments(text):
    """(line, text) of each comment"""
    for m in _PIECE.finditer(text):
        if m["comment"]:
            yield text.count("\n", 0, m.start()) + 1, m[0]


def tokens(text):
    """The words and signs of the code, without comments, preprocessor lines and the insides of strings."""
    return _TOKEN.findall(_DIRECTIVE.sub(lambda m: _blank(m[0]), code_only(text)))
