"""Taking secrets out of text that git, a proxy or a server wrote, before anybody sees it.

Known secrets are replaced wherever they stand, in every spelling they may have taken: as given,
percent-encoded, percent-decoded, in base64 of a basic authentication. What merely looks like a
credential is replaced as well: user information in URLs, authorisation and internal headers,
query parameters, tokens of well-known shapes. Too much is replaced rather than too little.
"""

import base64
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus, unquote, unquote_plus

HIDDEN = "***"
MOST_LINES = 200
LONGEST_LINE = 4000

# Greedy up to the last `@` before the path, because a password may hold one.
_USERINFO = re.compile(r"(?i)\b([a-z][a-z0-9+.-]{0,20}://)[^\s/?#'\"<>]*@")
# A password with a slash in it, which no URL may hold unescaped but people write.
_LOOSE_USERINFO = re.compile(r"(?i)\b([a-z][a-z0-9+.-]{0,20}://)[^\s/@:'\"<>]*:[^\s@'\"<>]*@")
_HEADER = re.compile(
    r"(?im)(\b(?:proxy-)?authorization|\bset-cookie2?|\bcookie|\bwww-authenticate"
    r"|\b(?:x|private|job|deploy|gitlab|github|internal|amz)(?:-[a-z0-9]+)+"
    r"|\bprivate-token|\bjob-token|\bapi[-_]?key)(\"?\s*[:=]\s*)[^\r\n]+"
)
_SCHEME_VALUE = re.compile(r"(?i)\b(basic|bearer|negotiate|digest|token)\s+[a-z0-9._~+/=-]{8,}")
_NAMED = re.compile(
    r"(?i)(\b[\w-]*(?:token|secret|passw(?:or)?d|passwd|pwd|api[-_]?key|access[-_]?key|signature"
    r"|credential|authori[sz]ation|auth|sig|key|jwt|session)[\w-]*\"?'?\s*(?:=|:\s))"
    r"(\s*)(\"[^\"\r\n]*\"?|'[^'\r\n]*'?|[^\s&;,'\"<>]+)"
)
_SHAPES = re.compile(
    r"gh[pousr]_[A-Za-z0-9]{10,}"
    r"|github_pat_[A-Za-z0-9_]{10,}"
    r"|gl(?:pat|ptt|dt|rt|cbt|ft|soat|agent|imt)-[A-Za-z0-9_.-]{10,}"
    r"|ATBB[A-Za-z0-9]{10,}|ATCTT3[A-Za-z0-9_=-]{10,}|ATATT3[A-Za-z0-9_=-]{10,}"
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,}"
    r"|(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,}"
    r"|AIza[A-Za-z0-9_-]{20,}|ya29\.[A-Za-z0-9_.-]{10,}"
    r"|sk-[A-Za-z0-9_-]{16,}|npm_[A-Za-z0-9]{20,}|pypi-[A-Za-z0-9_-]{20,}|dop_v1_[a-f0-9]{20,}"
    r"|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)?"
)
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [^-]*-----|\Z)", re.DOTALL
)
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-_]")
_INVISIBLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2060\ufeff]")


def without_userinfo(text: str) -> str:
    """`text` with the user information of every URL in it taken out."""
    text = _LOOSE_USERINFO.sub(r"\1", text)
    return _USERINFO.sub(r"\1", text)


def sanitised(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without secrets, terminal escapes and invisible characters."""
    text = _INVISIBLE.sub("", _ESCAPES.sub("", text))
    for spelling in _spellings(secrets):
        text = re.sub(re.escape(spelling), HIDDEN, text, flags=re.IGNORECASE)
    text = _PRIVATE_KEY.sub(HIDDEN, text)
    text = "\n".join(_bounded(text.splitlines()))
    text = without_userinfo(text)
    text = _HEADER.sub(rf"\1\2{HIDDEN}", text)
    text = _SCHEME_VALUE.sub(rf"\1 {HIDDEN}", text)
    text = _NAMED.sub(rf"\1\2{HIDDEN}", text)
    return _SHAPES.sub(HIDDEN, text)


def _bounded(lines: list[str]) -> list[str]:
    """The last lines, without overlong ones: looking for shapes costs more than looking for words,
    and a part of a line may hold a part of a secret that no longer looks like one."""
    return [
        line if len(line) <= LONGEST_LINE else f"({len(line)} characters left out)"
        for line in lines[-MOST_LINES:]
    ]


def _spellings(secrets: Iterable[str]) -> list[str]:
    """Every spelling of the secrets, the longest first so that none hides a part of another."""
    found: set[str] = set()
    for secret in secrets:
        if not secret or not secret.strip():
            continue
        forms = {secret, unquote(secret), unquote_plus(secret)}
        forms |= {quote(form, safe="") for form in forms} | {quote_plus(form) for form in forms}
        forms |= {quote(form) for form in forms}
        forms |= {base64.b64encode(form.encode()).decode() for form in (secret, unquote(secret))}
        forms |= {repr(form)[1:-1] for form in (secret, unquote(secret))}
        found |= forms
    # A secret of one or two characters would turn every text into stars and say what it is.
    return sorted((form for form in found if len(form) > 2), key=len, reverse=True)


def secrets_of(username: str, password: str) -> list[str]:
    """What must not be seen of a login: both parts, and their pair as it is sent.

    A user name that everybody knows, such as `oauth2`, is no secret, and hiding it would only
    make messages harder to read.
    """
    if username in PUBLIC_NAMES or not password:
        names = [] if password else [username]
    else:
        names = [username]
    pair = f"{username}:{password}"
    return [*names, password, pair]


PUBLIC_NAMES = ("oauth2", "x-token-auth", "x-access-token", "git", "x-oauth-basic")
