"""Which files make up a set of policies: from folders, from ConfigMaps, and those that are shipped.

Every module of a set is compiled together with all others. Its digest depends on names and contents only, not on
the order in which they were found.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from kubernaut.api.policy import LABEL_POLICY
from kubernaut.safety.rego.faults import Fault
from kubernaut.safety.rego.reading import Place

LIBRARY = Path(__file__).parent / "library"
SHIPPED = "shipped:"
"""Begins the path of every file of the library, so that nobody takes it for one of theirs."""
MOST_BYTES = 4 * 2**20
"""Of a whole set: four ConfigMaps as large as Kubernetes lets them be."""

_DATA_SUFFIXES = (".json", ".yaml", ".yml")

Json = dict[str, Any]


class UnreadableSet(Exception):
    """Files that make no set; `faults` says which."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(map(str, self.faults)))


@dataclass(frozen=True)
class PolicySet:
    """Modules and data, not yet compiled."""

    sources: tuple[tuple[str, str], ...] = ()
    """Path and text of each module, by path."""
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def digest(self) -> str:
        """`sha256:...` of everything that could change a verdict."""
        canonical = json.dumps([self.sources, self.data], sort_keys=True, separators=(",", ":"))
        return f"sha256:{hashlib.sha256(canonical.encode(errors='surrogatepass')).hexdigest()}"

    def text_of(self, path: str) -> str:
        """A module's text; empty if there is none of that path."""
        return dict(self.sources).get(path, "")


def shipped(*, with_tests: bool = False) -> PolicySet:
    """The library, with the parameters that hold where nobody sets others."""
    files = sorted(LIBRARY.iterdir())
    sources = tuple(
        (f"{SHIPPED}{file.name}", file.read_text())
        for file in files
        if file.suffix == ".rego" and (with_tests or not file.name.endswith("_test.rego"))
    )
    data: Json = {}
    for file in files:
        if file.suffix == ".yaml":
            data = _merged(data, _data_of(f"{SHIPPED}{file.name}", file.read_bytes()), file.name)
    return PolicySet(sources, data)


def from_paths(paths: Iterable[Path], *, with_tests: bool = False) -> PolicySet:
    """Every `.rego` file below these paths, tests if they are wanted, and YAML and JSON as data.

    As OPA has it, data stand where their folder says: DIR/kubernaut/limits.yaml is merged into data.kubernaut.
    Raises UnreadableSet, OSError.
    """
    sources: dict[str, str] = {}
    data: Json = {}
    for path in paths:
        for file in sorted(_files(path)):
            if file.name.endswith("_test.rego") and not with_tests and path.is_dir():
                continue
            if file.suffix == ".rego":
                sources[str(file)] = _text_of(str(file), file.read_bytes())
            else:
                value = _data_of(str(file), file.read_bytes())
                folder = file.parent.relative_to(path).parts if path.is_dir() else ()
                for name in reversed(folder):
                    value = {name: value}
                data = _merged(data, value, str(file))
    return _bounded(PolicySet(tuple(sorted(sources.items())), data))


def from_config_maps(objects: Iterable[Mapping[str, Any]]) -> PolicySet:
    """Every key of ConfigMaps that bear the label: `*.rego` is a module, `*.yaml` and `*.json` are data.

    Objects without the label are passed over. Raises UnreadableSet.
    """
    sources: dict[str, str] = {}
    data: Json = {}
    for item in sorted(objects, key=_name_of):
        labels: Mapping[str, str] = item.get("metadata", {}).get("labels") or {}
        texts: Mapping[str, str] = item.get("data") or {}
        if labels.get(LABEL_POLICY) != "true":
            continue
        for key, text in sorted(texts.items()):
            path = f"{_name_of(item)}/{key}"
            if key.endswith(".rego"):
                sources[path] = _text_of(path, text.encode(errors="surrogatepass"))
            elif key.endswith(_DATA_SUFFIXES):
                data = _merged(data, _data_of(path, text.encode(errors="surrogatepass")), path)
    return _bounded(PolicySet(tuple(sorted(sources.items())), data))


def with_library(own: PolicySet, *, with_tests: bool = False) -> PolicySet:
    """One's own policies beside the shipped ones; own data win over shipped parameters."""
    library = shipped(with_tests=with_tests)
    return PolicySet(
        tuple(sorted({**dict(library.sources), **dict(own.sources)}.items())), _over(library.data, own.data)
    )


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for file in path.rglob("*"):
        hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
        if file.is_file() and not hidden and file.suffix in (".rego", *_DATA_SUFFIXES):
            yield file


def _name_of(item: Mapping[str, Any]) -> str:
    metadata = item.get("metadata", {})
    return f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"


def _text_of(path: str, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UnreadableSet([Fault(Place(path, line, 1), "this is no UTF-8", "Save it as UTF-8.")]) from None


def _data_of(path: str, content: bytes) -> Json:
    import yaml

    try:
        value: object = yaml.load(_text_of(path, content), Loader=yaml.CSafeLoader)
        json.dumps(value, allow_nan=False)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = Place(path, mark.line + 1, mark.column + 1) if mark else Place(path, 1, 1)
        raise UnreadableSet([Fault(place, error.problem or "this is no YAML")]) from None
    except (yaml.YAMLError, TypeError, ValueError, RecursionError) as error:
        raise UnreadableSet([Fault(Place(path, 1, 1), f"data must be JSON values: {error}")]) from None
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in cast("dict[object, Any]", value)):
        raise UnreadableSet([Fault(Place(path, 1, 1), "data must be an object with text keys")])
    return cast("Json", value)


def _merged(first: Mapping[str, Any], second: Mapping[str, Any], path: str, at: str = "data") -> Json:
    """Both together; the same value given twice by two files is refused, for nobody could say which holds."""
    result = dict(first)
    for key, value in second.items():
        known = result.get(key)
        if isinstance(known, dict) and isinstance(value, dict):
            result[key] = _merged(cast("Json", known), cast("Json", value), path, f"{at}.{key}")
        elif key in result and known != value:
            raise UnreadableSet(
                [Fault(Place(path, 1, 1), f"{at}.{key} has another value in another file", "Keep one of them.")]
            )
        else:
            result[key] = value
    return result


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> Json:
    result = dict(below)
    for key, value in above.items():
        known = result.get(key)
        both = isinstance(known, dict) and isinstance(value, dict)
        result[key] = _over(cast("Json", known), cast("Json", value)) if both else value
    return result


def _bounded(policies: PolicySet) -> PolicySet:
    size = sum(len(text) for _, text in policies.sources)
    if size > MOST_BYTES:
        place = Place(max(policies.sources, key=lambda source: len(source[1]))[0], 1, 1)
        raise UnreadableSet([Fault(place, f"the set has {size} characters: at most {MOST_BYTES} are read")])
    return policies
