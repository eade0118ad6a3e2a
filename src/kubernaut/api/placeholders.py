"""`$(inputs.name)` and `$(outputs.name)` in texts of probes: put in as the place allows, else refused.

A name may go on into an object: `$(inputs.manifest.metadata.name)`.

A value comes from whoever asks for a remediation, who must not be able to choose another object, another host or
another query than the probe's author meant.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, cast
from urllib.parse import quote

PLACEHOLDER = re.compile(r"\$\((inputs|outputs)\.([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)\)")
_ANY = re.compile(r"\$\([^)]*\)?")
_OBJECT_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9._:]*[A-Za-z0-9])?")
_API_VERSION = re.compile(r"(?:[a-z0-9][-a-z0-9.]*/)?v[0-9][a-z0-9]*")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?)?")
_HOST_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_QUOTED = re.compile(r'(=~|!~)?\s*("(?:[^"\\]|\\.)*")|\'(?:[^\'\\]|\\.)*\'|`[^`]*`')
_SPECIAL = re.compile(r"([\\.+*?()|\[\]{}^$])")


class NotFillable(ValueError):
    """A value is missing, or may not stand where it is asked for. `name` is the placeholder's, as `inputs.pod`."""

    def __init__(self, name: str, message: str, mend: str = "") -> None:
        super().__init__(message)
        self.name = name
        self.mend = mend


Values = Mapping[str, Mapping[str, Any] | None]
"""`inputs` and `outputs`; None for what is not known yet."""


def names_in(text: str) -> list[tuple[str, str]]:
    """Which inputs and outputs a text asks for: ("inputs", "pod"), each once."""
    return list(dict.fromkeys((found[1], found[2].partition(".")[0]) for found in PLACEHOLDER.finditer(text)))


def strange_in(text: str) -> list[str]:
    """What looks like a placeholder and is none."""
    return [found[0] for found in _ANY.finditer(text) if not PLACEHOLDER.fullmatch(found[0])]


def fill_name(text: str, values: Values) -> str:
    """A name of an object or of a namespace. Raises NotFillable."""
    return _fill(text, values, _checked(_OBJECT_NAME, 253, "no name of an object"))


def fill_type(text: str, values: Values) -> str:
    """An apiVersion. Raises NotFillable."""
    return _fill(text, values, _checked(_API_VERSION, 253, "no apiVersion"))


def fill_selector(text: str, values: Values) -> str:
    """A label or field selector; one that is nothing but a placeholder is the value, whole. Raises NotFillable."""
    if found := PLACEHOLDER.fullmatch(text):
        return _value(found, values)
    return _fill(text, values, _checked(_LABEL_VALUE, 253, "no value of a label"))


def fill_query(text: str, values: Values) -> str:
    """PromQL: within double quotes only, escaped; where a regular expression stands there, literally.

    Raises NotFillable.
    """

    def literal(found: re.Match[str]) -> str:
        is_pattern = found[1] is not None
        return (found[1] or "") + _between(found) + _fill(found[2], values, _escaped(is_pattern))

    def _between(found: re.Match[str]) -> str:
        return found[0][len(found[1] or "") : len(found[0]) - len(found[2])]

    for stretch in misplaced_in_query(text):
        raise NotFillable(
            stretch, "may only stand within double quotes of a query", 'Write {pod="$(inputs.pod)"}.'
        )
    return _QUOTED.sub(lambda found: literal(found) if found[2] else found[0], text)


def misplaced_in_query(text: str) -> list[str]:
    """Placeholders that do not stand within double quotes."""
    outside = _QUOTED.sub(lambda found: "" if found[2] else found[0], text)
    return [found[0] for found in PLACEHOLDER.finditer(outside)]


def fill_url(text: str, values: Values) -> str:
    """An address: in the host one label each, elsewhere percent-encoded. Raises NotFillable."""
    scheme, mark, rest = text.partition("://")
    end = next((at for at, sign in enumerate(rest) if sign in "/?#"), len(rest))
    host = _fill(rest[:end], values, _checked(_HOST_LABEL, 63, "no single label of a host's name"))
    return scheme + mark + host + _fill(rest[end:], values, lambda name, value: quote(value, safe=""))


def _checked(pattern: re.Pattern[str], most: int, complaint: str) -> Callable[[str, str], str]:
    def check(name: str, value: str) -> str:
        if len(value) > most or not pattern.fullmatch(value):
            raise NotFillable(name, f"its value is {complaint}")
        return value

    return check


def _escaped(is_pattern: bool) -> Callable[[str, str], str]:
    def escape(_: str, value: str) -> str:
        if is_pattern:
            value = _SPECIAL.sub(r"\\\1", value)
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")

    return escape


def _fill(text: str, values: Values, put: Callable[[str, str], str]) -> str:
    # A value that itself reads like a placeholder is not filled again: `sub` does not look at what it put in.
    return PLACEHOLDER.sub(lambda found: put(f"{found[1]}.{found[2]}", _value(found, values)), text)


def _value(found: re.Match[str], values: Values) -> str:
    source, key = found[1], found[2]
    known = values.get(source)
    if known is None:
        raise NotFillable(
            f"{source}.{key}",
            f"there are no {source} yet",
            "They are there once the action has run: name it with --execution, or give --result NAME=VALUE."
            if source == "outputs"
            else "",
        )
    value: Any = known
    for part in key.split("."):
        value = cast("Mapping[str, Any]", value).get(part) if isinstance(value, Mapping) else None
    if value is None:
        option = "--input" if source == "inputs" else "--result"
        raise NotFillable(f"{source}.{key}", f"there is no {key} in {source}", f"Give it: {option} {key}=...")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, str | int | float):
        return str(value)
    kind = type(cast("object", value)).__name__
    raise NotFillable(f"{source}.{key}", f"is a {kind}, which is no text")
