"""Reading YAML and JSON files so that every value remembers its line and column.

Values are read as Kubernetes reads them: JSON types only, so a date stays text and `1:30` is no number.
Duplicate keys are refused: the API server would take the last one in silence.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, cast

import yaml
from yaml.events import CollectionEndEvent, CollectionStartEvent
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from kubernaut.api.values import MOST_READ_LEVELS

_MOST_VALUES = 100_000
_SUFFIXES = (".yaml", ".yml", ".json")


class Mark(NamedTuple):
    """A place in a file, both counted from 1."""

    line: int
    column: int


@dataclass(frozen=True)
class Manifest:
    """One object of a file, and where each part of it stands there."""

    document: dict[str, Any]
    source: str
    """The file's name, or `<stdin>`."""
    marks: Mapping[str, Mark] = field(default_factory=dict[str, Mark])
    """By JSON path: `spec.steps[2].inputs.replicas`; the whole object is the empty path."""

    @property
    def kind(self) -> str:
        return str(self.document.get("kind", ""))

    @property
    def name(self) -> str:
        return str(mapping(self.document.get("metadata")).get("name", ""))

    def locate(self, path: str) -> Mark:
        """Where this path stands, or the nearest thing around it that is there."""
        while path and path not in self.marks:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self.marks.get(path, Mark(1, 1))


def mapping(value: object) -> dict[str, Any]:
    """The value if it is an object, else an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


class UnreadableManifest(Exception):
    """The file is no valid YAML, or holds what no Kubernetes object can."""

    def __init__(self, source: str, mark: Mark, message: str) -> None:
        super().__init__(f"{source}:{mark.line}:{mark.column}: {message}")
        self.source = source
        self.mark = mark
        self.message = message


def read_manifests(names: tuple[str, ...]) -> list[Manifest]:
    """Every object of these files, folders and `-` for standard input, in order.

    Raises UnreadableManifest, OSError.
    """
    return [manifest for name in names for manifest in _read(name)]


def _read(name: str) -> Iterator[Manifest]:
    if name == "-":
        yield from parse_manifests(sys.stdin.buffer.read(), "<stdin>")
        return
    path = Path(name)
    if path.is_dir():
        for file in sorted(path.iterdir()):
            if file.suffix in _SUFFIXES and file.is_file():
                yield from parse_manifests(file.read_bytes(), str(file))
    else:
        yield from parse_manifests(path.read_bytes(), name)


def parse_manifests(text: bytes, source: str) -> list[Manifest]:
    """Every object of a stream of YAML documents; the items of a `List` are objects of their own.

    Raises UnreadableManifest.
    """
    try:
        nodes = list(yaml.compose_all(text, Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        raise UnreadableManifest(source, _mark(error.problem_mark), _problem(error)) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UnreadableManifest(source, Mark(1, 1), f"not valid YAML: {error}") from None
    except RecursionError:
        raise _too_deep(text, source) from None
    manifests: list[Manifest] = []
    for node in nodes:
        reader = _Reader(source)
        value = reader.read(node, "")
        if value is None:  # an empty document between two ---
            continue
        if not isinstance(value, dict):
            raise UnreadableManifest(source, _mark(node.start_mark), "an object was expected here")
        manifests.extend(_unfolded(Manifest(mapping(cast("object", value)), source, reader.marks)))
    return manifests


def _too_deep(text: bytes, source: str) -> UnreadableManifest:
    """Says where the depth begins; events come one by one, and need no stack."""
    level, mark = 0, Mark(1, 1)
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, CollectionStartEvent):
            level += 1
        elif isinstance(event, CollectionEndEvent):
            level -= 1
        if level > MOST_READ_LEVELS:
            mark = _mark(cast("yaml.Mark | None", event.start_mark))
            break
    return UnreadableManifest(source, mark, f"nested more than {MOST_READ_LEVELS} levels deep")


def _unfolded(manifest: Manifest) -> Iterator[Manifest]:
    items = manifest.document.get("items")
    if manifest.kind != "List" or not isinstance(items, list):
        yield manifest
        return
    for number, item in enumerate(cast("list[object]", items)):
        prefix = f"items[{number}]"
        if not isinstance(item, dict):
            raise UnreadableManifest(manifest.source, manifest.locate(prefix), "an object was expected here")
        marks = {
            path[len(prefix) :].removeprefix("."): mark
            for path, mark in manifest.marks.items()
            if path == prefix or path.startswith((f"{prefix}.", f"{prefix}["))
        }
        yield Manifest(cast("dict[str, Any]", item), manifest.source, marks)


class _Loader(yaml.CSafeLoader):
    """Only JSON's scalars are recognised; everything else is text."""


_Loader.yaml_implicit_resolvers = {}


def _recognise(tag: str, pattern: str, first_letters: str) -> None:
    # PyYAML looks resolvers up by a scalar's first letter; "" stands for the empty scalar.
    for letter in ["", *first_letters] if tag == "null" else first_letters:
        resolvers = _Loader.yaml_implicit_resolvers.setdefault(letter, [])
        resolvers.append((f"tag:yaml.org,2002:{tag}", re.compile(pattern)))


_recognise(
    "bool", r"^(?:true|True|TRUE|false|False|FALSE|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF)$", "tTfFyYnNoO"
)
_recognise("int", r"^[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F_]+|0o?[0-7_]+)$", "-+0123456789")
_recognise(
    "float", r"^[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*|[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?$", "-+.0123456789"
)
_recognise("null", r"^(?:~|null|Null|NULL|)$", "~nN")


class _Reader:
    """Turns nodes into JSON values, noting where each stands."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.marks: dict[str, Mark] = {}
        self._open: list[Node] = []

    def read(self, node: Node, path: str) -> Any:
        self.marks.setdefault(path, _mark(node.start_mark))
        # Aliases make a tree of any size from a few lines, or one without an end.
        if node in self._open:
            raise self._unreadable(node, "an alias refers to what surrounds it")
        if len(self.marks) > _MOST_VALUES:
            raise self._unreadable(node, f"more than {_MOST_VALUES} values")
        if len(self._open) > MOST_READ_LEVELS:
            raise self._unreadable(node, f"nested more than {MOST_READ_LEVELS} levels deep")
        self._open.append(node)
        try:
            if isinstance(node, MappingNode):
                return self._mapping(node, path)
            if isinstance(node, SequenceNode):
                return [self.read(item, f"{path}[{number}]") for number, item in enumerate(node.value)]
            return self._scalar(node)
        finally:
            self._open.pop()

    def _mapping(self, node: MappingNode, path: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                raise self._unreadable(key_node, "a key must be text")
            key: str = key_node.value
            if key in found:
                raise self._unreadable(key_node, f"{key} is given twice")
            inner = f"{path}.{key}" if path else key
            self.marks[inner] = _mark(key_node.start_mark)
            found[key] = self.read(value_node, inner)
        return found

    def _scalar(self, node: Node) -> Any:
        text: str = node.value
        kind = node.tag.rpartition(":")[2]
        try:
            match kind:
                case "null":
                    return None
                case "bool":
                    return text.lower() in ("true", "yes", "on")
                case "int":
                    return _integer(text)
                case "float":
                    return float(text.replace("_", ""))
                case "str":
                    return text
                case _:
                    raise self._unreadable(node, f"the tag {node.tag} has no meaning here")
        except ValueError:
            raise self._unreadable(node, f"{text[:40]!r} is no {kind}") from None

    def _unreadable(self, node: Node, message: str) -> UnreadableManifest:
        return UnreadableManifest(self.source, _mark(node.start_mark), message)


def _integer(text: str) -> int:
    plain = text.replace("_", "").lstrip("+-").lower()
    base = 16 if plain.startswith("0x") else 8 if plain.startswith("0") and plain != "0" else 10
    value = int(plain.removeprefix("0x").removeprefix("0o"), base)
    return -value if text.startswith("-") else value


def _mark(mark: yaml.Mark | None) -> Mark:
    return Mark(mark.line + 1, mark.column + 1) if mark is not None else Mark(1, 1)


def _problem(error: yaml.MarkedYAMLError) -> str:
    context = f" ({error.context})" if error.context else ""
    return f"not valid YAML: {error.problem}{context}"
