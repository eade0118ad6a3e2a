"""Secrets taken out of whatever leaves this program: logs, status, events, reports.

Laws: linear time; idempotent; text without anything that looks secret is returned as it is. When in
doubt something harmless is taken out rather than something secret left in. What cannot be seen
(a bare password in a sentence) is known by value to a `Redactor`.

Rules for editors: patterns start at a literal and bound or possess what they repeat, so that no
text makes them look twice at the same stretch. Nothing replaced may look secret again.
"""

import base64
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast
from urllib.parse import quote

REDACTED = "[REDACTED]"

# -- by shape -------------------------------------------------------------------------------------

_SHAPES: list[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]] = [
    # Also one whose end was cut off.
    (
        re.compile(
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----.*?"
            r"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----|\Z)",
            re.DOTALL,
        ),
        REDACTED,
    ),
    # AWS key ids; tokens of GitHub, GitLab, Slack and Google, which say what they are.
    (re.compile(r"\b(?:AKIA|ASIA|AIDA|AROA|AGPA|ANPA)[A-Z0-9]{16}(?![A-Z0-9])"), REDACTED),
    (re.compile(r"\b(?:gh[pousr]_|github_pat_|glpat-|xox[abeprs]-)[A-Za-z0-9_-]{16,}+"), REDACTED),
    (re.compile(r"\bAIza[A-Za-z0-9_-]{35}"), REDACTED),
    # scheme://user:password@host, and a token in the user's place.
    (re.compile(r"(://[^\s/:@\"']{0,256}+:)[^\s/\"']{1,256}(?=@)"), rf"\1{REDACTED}"),
    (re.compile(r"(://)[^\s/:@\"'\[\]]{20,256}+(?=@)"), rf"\1{REDACTED}"),
    (
        re.compile(
            r"\b([Bb]earer|BEARER)(\s++)"
            r"(?:(?=[a-z._~+/=-]*+[A-Z0-9])[A-Za-z0-9._~+/=-]{8,}+|[A-Za-z0-9._~+/=-]{16,}+)"
        ),
        rf"\1\2{REDACTED}",
    ),
    (
        re.compile(r"((?:secret|token|key)[\"'\s:=]{1,8}+)[A-Za-z0-9+/_-]{32,}+={0,2}", re.I),
        rf"\1{REDACTED}",
    ),
    # JWTs, whole or cut, whatever stands in front: `eyJ` is base64 for the beginning of a JSON
    # object, and no Kubernetes name has capitals.
    (re.compile(r"eyJ[A-Za-z0-9_-]{7,}+(?:\.[A-Za-z0-9_-]*+){0,4}"), REDACTED),
]

# -- by the name in front of it -------------------------------------------------------------------

_WORDS = (
    r"pass(?:word|wd|phrase|code)|pwd|secret|token|credential"
    r"|api[_. -]?key|access[_.-]?key|private[_.-]?key|account[_.-]?key|authorization"
)
# Names of things that are about a secret, and are none: secretName, tokenPath, passwordPolicy.
_HARMLESS = (
    r"names?|refs?|key_?-?refs?|key_?-?selector|namespaces?|paths?|files?|types?|ids?|count"
    r"|polic(?:y|ies)|modes?|enabled|required|ttl|length|reviews?|requests?|expir\w{0,16}"
    r"|version|audiences?|seconds|keys?_?names?"
)
_NAMED = re.compile(
    rf"(?P<word>{_WORDS}|(?<![A-Za-z])auth(?=[\"']?\s{{0,4}}[=:]\s{{0,4}}[\"']|=))"
    rf"(?!s?[_.-]?(?:{_HARMLESS})\\{{0,8}}[\"']?\s{{0,4}}[:=])"
    r"[A-Za-z0-9_.-]{0,32}(?P<close>\\{0,8}[\"'])?"
    r"(?P<separator>\s{0,4}[:=]{1,2}>?[ \t]{0,8}|[ \t]{1,4})",
    re.I,
)
_FLAG = re.compile(r"(?:^|\s|[\"'])--?[A-Za-z0-9_-]{0,40}\Z")
_SCHEME = re.compile(r"(?:bearer|basic|digest|negotiate|token|apikey|aws4-hmac-sha256)[ \t]+", re.I)
_OPENING = re.compile(r"(\\*)([\"'])")
# A comma or bracket may be part of a password, unless what follows says that the value is over.
_BARE_END = re.compile(r"[\s&;\"'<>`]|\\[nrt\"']|,(?=\s|[\"']|\Z|[\w.-]{1,64}[=:])|[)}\]](?=\W|\Z)")
_LINE_END = re.compile(r"[\r\n\"']|\\[nr\"']")
_EMPTY = re.compile(r"(?:null|none|nil|true|false|~)(?=[\s,;}\])]|\Z)", re.I)


def redact_text(text: str) -> str:
    """The text without what looks like a secret."""
    for pattern, replacement in _SHAPES:
        text = pattern.sub(replacement, text)
    return _without_named(text)


def _without_named(text: str) -> str:
    pieces: list[str] = []
    done = position = 0
    while (found := _NAMED.search(text, position)) is not None:
        position = found.end()
        if found["separator"].isspace() and not _is_flag(text, found):
            position = max(found.start("word") + 1, found.end("word"))
            continue
        start, end = _value(text, found)
        if end > start:
            pieces += text[done:start], REDACTED
            done = position = end
    return text if not pieces else "".join(pieces) + text[done:]


def _is_flag(text: str, found: re.Match[str]) -> bool:
    """Whether this is `--password value`, where no `=` or `:` stands between the two."""
    if found["close"]:
        return False
    return _FLAG.search(text, max(0, found.start() - 44), found.start()) is not None


def _value(text: str, found: re.Match[str]) -> tuple[int, int]:
    """Where the value begins and ends; an empty stretch if there is nothing secret."""
    start = found.end()
    quoted = _OPENING.match(text, start)
    if quoted:
        start = quoted.end()
        end = _closing(text, start, len(quoted[1]), quoted[2])
        if found["word"].lower() == "authorization" and (scheme := _SCHEME.match(text, start, end)):
            start = scheme.end()
        return start, end
    if found["word"].lower() == "authorization":
        if scheme := _SCHEME.match(text, start):
            start = scheme.end()
        ending = _LINE_END.search(text, start)
        return start, ending.start() if ending else len(text)
    if text.startswith("[", start):
        closing = text.find("]", start)
        return start, len(text) if closing < 0 else closing + 1
    if text.startswith("{", start) or _EMPTY.match(text, start):
        return start, start
    scheme = _SCHEME.match(text, start)
    ending = _BARE_END.search(text, scheme.end() if scheme else start)
    return start, ending.start() if ending else len(text)


def _closing(text: str, start: int, backslashes: int, mark: str) -> int:
    """Where the quoted value ends; the end of the text if its closing mark was cut off.

    A quotation inside a quotation marks its ends with one, three, seven ... backslashes, and quotes
    inside it with more.
    """
    position = start
    while (position := text.find(mark, position)) >= 0:
        before = position
        while before > start and text[before - 1] == "\\":
            before -= 1
        if (position - before) % (2 * (backslashes + 1)) == backslashes:
            return position - backslashes
        position += 1
    return len(text)


# -- structured -----------------------------------------------------------------------------------

_SENSITIVE_NAME = re.compile(
    r"password|passwd|passphrase|passcode|pwd|secret|token|credential|apikey|accesskey|privatekey"
    r"|accountkey|authorization|connectionstring|databaseurl|^auth$"
)
_HARMLESS_END = re.compile(
    r"(?:names?|refs?|keyselector|namespaces?|paths?|files?|types?|ids?|count|polic(?:y|ies)|modes?"
    r"|enabled|required|ttl|length|reviews?|requests?|expir\w*|version|audiences?|seconds)$"
)
# What a reference to a secret consists of, and a secret does not.
_REFERENCE = frozenset(
    {"name", "namespace", "key", "kind", "apiVersion", "path", "mode", "optional", "secretName"}
    | {"defaultMode", "items", "audience", "fieldPath"}
)


def is_sensitive_name(name: str) -> bool:
    """Whether what stands under this name is a secret: apiKey, DB_PASSWORD, but not secretName."""
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    return bool(_SENSITIVE_NAME.search(plain)) and not _HARMLESS_END.search(plain)


def redact_json(value: Any) -> Any:
    """A copy of a JSON value without secrets: by name, and in every string by shape.

    Knows Kubernetes' own forms: `data` of a Secret, `name`/`value` pairs of environments.
    """
    return _redacted(value, redact_text)


def _redacted(value: Any, text: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return text(value)
    if isinstance(value, list | tuple):
        return [_redacted(item, text) for item in cast(list[Any], value)]
    if isinstance(value, Mapping):
        return _redacted_mapping(cast(Mapping[str, Any], value), text)
    return value


def _redacted_mapping(value: Mapping[str, Any], text: Callable[[str], str]) -> dict[str, Any]:
    secret = value.get("kind") == "Secret"
    named = value.get("name")
    # Its name may itself hold a secret, without which it reads differently.
    pair = isinstance(named, str) and (is_sensitive_name(named) or is_sensitive_name(text(named)))
    result: dict[str, Any] = {}
    for key, inner in value.items():
        hidden = (
            is_sensitive_name(str(key)) or (secret and key in {"data", "stringData"}) or (pair and key == "value")
        )
        result[key] = _hidden(inner, text) if hidden else _redacted(inner, text)
    return result


def _hidden(value: Any, text: Callable[[str], str]) -> Any:
    if value is None or isinstance(value, bool) or value == "":
        return value
    if isinstance(value, list | tuple):
        return [_hidden(item, text) for item in cast(list[Any], value)]
    if isinstance(value, Mapping):
        entries = cast(Mapping[str, Any], value).items()
        return {
            key: _redacted(inner, text) if key in _REFERENCE else _hidden(inner, text) for key, inner in entries
        }
    return REDACTED


# -- by value -------------------------------------------------------------------------------------

_SHORTEST = 4


class Redactor:
    """Also takes out values that are known to be secret, however they are written.

    Values under four characters are not sought: they would take ordinary text apart.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self.add(*secrets)

    def add(self, *secrets: str) -> None:
        """From now on these are secret too: as they are, in base64, in JSON and in URLs."""
        for secret in secrets:
            for part in (secret, *secret.splitlines()):
                if len(part.strip()) >= _SHORTEST:
                    self._secrets |= _spellings(part.strip())
        if self._secrets:
            longest_first = sorted(self._secrets, key=lambda known: (-len(known), known))
            known = "|".join(re.escape(secret) for secret in longest_first)
            self._pattern = re.compile(f"({re.escape(REDACTED)})|(?:{known})")

    def text(self, text: str) -> str:
        if self._pattern is not None:
            text = self._pattern.sub(REDACTED, text)
        return redact_text(text)

    def json(self, value: Any) -> Any:
        return _redacted(value, self.text)


def _spellings(secret: str) -> set[str]:
    raw = secret.encode()
    encoded = base64.b64encode(raw).decode()
    return {
        secret,
        encoded,
        encoded.rstrip("="),
        base64.urlsafe_b64encode(raw).decode(),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        quote(secret, safe=""),
    }
