"""From what was written, wherever, to one frozen tree that knows where each value came from."""

import ast
import difflib
import inspect
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, cast, get_type_hints

import yaml

from kubernaut.settings.reading import SettingsError, read_value, show_value
from kubernaut.settings.tree import ALIASES, PRESETS, Settings, contradictions

FILE_VARIABLE = "KUBERNAUT_CONFIG"
"""Names the settings file where no flag does."""

# What Kubernetes itself puts into a pod's environment for a Service called kubernaut-controller.
_SERVICE_LINK = re.compile(r"_(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT(?:_\d+_\w+)?)\Z")


class _Place(NamedTuple):
    """A knob's place in the tree: `controller.health_port`."""

    path: str
    kind: Any
    default: object

    @property
    def shown(self) -> str:
        """As in the file: `controller.healthPort`."""
        return ".".join(_camel(part) for part in self.path.split("."))

    @property
    def variable(self) -> str:
        """As in the environment: `KUBERNAUT_CONTROLLER_HEALTH_PORT`."""
        return "KUBERNAUT_" + self.path.replace(".", "_").upper()


@dataclass(frozen=True)
class Knob:
    """One line of `kubernaut settings`."""

    path: str
    value: str
    source: str
    """default, preset NAME, the file, the variable or the flag that set it."""
    default: str
    variable: str
    meaning: str


@dataclass(frozen=True)
class Loaded:
    """The settings, and where they came from."""

    settings: Settings
    sources: Mapping[str, str]

    def describe(self) -> list[Knob]:
        """Every knob, in the order of the tree."""
        meanings = _meanings(Settings, "")
        return [
            Knob(
                place.shown,
                show_value(_at(self.settings, place.path), place.kind),
                self.sources.get(place.path, "default"),
                show_value(place.default, place.kind),
                place.variable,
                meanings.get(place.path, ""),
            )
            for place in _places()
        ]


def environment() -> dict[str, str]:
    """The process's environment, for those who need it whole: exec plugins, cluster discovery."""
    return dict(os.environ)


def load_settings(
    file: str | Path | None = None,
    variables: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
) -> Loaded:
    """Defaults < preset < file < environment < flags.

    `variables` is the environment (the process's own if None); `flags` is by path as in the file
    (`controller.healthPort`), where None means that the flag was not given. Raises SettingsError
    with every fault at once.
    """
    variables = environment() if variables is None else variables
    values: dict[str, object] = {}
    sources: dict[str, str] = {}
    faults: list[str] = []
    named = file or variables.get(FILE_VARIABLE)
    layers = [
        *(_from_file(Path(named), faults) if named else ()),
        *_from_environment(variables, faults),
        *_from_flags(flags or {}, faults),
    ]
    for place, written, source in layers:
        try:
            values[place.path] = read_value(written, place.kind)
            sources[place.path] = source
        except ValueError as error:
            faults.append(f"{place.shown} ({source}): {error}, not {_shortened(written)}")
    preset = values.get("controller.preset")
    for path, value in PRESETS.get(str(preset), {}).items():
        if path not in values:
            values[path] = value
            sources[path] = f"preset {preset}"
    settings = _build(Settings, values)
    faults += [f"{path} {what}" for path, what in contradictions(settings)]
    if faults:
        raise SettingsError(faults)
    return Loaded(settings, sources)


def _from_file(path: Path, faults: list[str]) -> Iterator[tuple[_Place, object, str]]:
    try:
        content: object = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError) as error:
        faults.append(f"the settings file {path} cannot be read: {error}")
        return
    except yaml.YAMLError as error:
        faults.append(f"the settings file {path} is not valid YAML: {error}")
        return
    except RecursionError:
        faults.append(f"the settings file {path} is nested too deeply")
        return
    if content is None:
        return
    if not isinstance(content, dict):
        faults.append(f"the settings file {path} must be a mapping")
        return
    seen: set[str] = set()
    aliases = {_plain(name): place for name, place in ALIASES.items()}
    by_path = {place.path: place for place in _places()}
    for written_path, value in _leaves(cast(dict[object, object], content), ""):
        place = _found(written_path) or by_path.get(aliases.get(_plain(written_path), ""))
        if place is None:
            faults.append(f"{written_path} ({path}): {_no_such(written_path)}")
        elif place.path in seen:
            faults.append(f"{written_path} ({path}): is set twice")
        else:
            seen.add(place.path)
            yield place, value, str(path)


def _from_environment(variables: Mapping[str, str], faults: list[str]) -> Iterator[tuple[_Place, object, str]]:
    by_path = {place.path: place for place in _places()}
    for name, path in ALIASES.items():
        if variables.get(name):
            yield by_path[path], variables[name], name
    known = {place.variable: place for place in by_path.values()}
    groups = tuple(f"KUBERNAUT_{group.name.upper()}_" for group in fields(Settings))
    for name, value in sorted(variables.items()):
        if name in known:
            yield known[name], value, name
        elif name.startswith(groups) and not _SERVICE_LINK.search(name):
            nearest = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {nearest[0]}?" if nearest else ""
            faults.append(f"{name}: no such setting{hint}")


def _from_flags(flags: Mapping[str, object], faults: list[str]) -> Iterator[tuple[_Place, object, str]]:
    for name, value in flags.items():
        place = _found(name)
        if place is None:
            faults.append(f"{name} (flag): {_no_such(name)}")
        elif value is not None:
            yield place, str(value) if isinstance(value, Path) else value, f"flag {place.shown}"


def _leaves(mapping: dict[object, object], above: str) -> Iterator[tuple[str, object]]:
    for key, value in mapping.items():
        path = f"{above}.{key}" if above else str(key)
        if isinstance(value, dict):
            yield from _leaves(cast(dict[object, object], value), path)
        elif value is not None or _found(path) is not None or "." in path:
            yield path, value
        elif _plain(path) not in {_plain(group.name) for group in fields(Settings)}:
            yield path, value  # an empty group is nothing, an unknown word is a fault


def _found(written: str) -> _Place | None:
    plain = _plain(written)
    return next((place for place in _places() if _plain(place.path) == plain), None)


def _no_such(written: str) -> str:
    shown = [place.shown for place in _places()]
    nearest = difflib.get_close_matches(written, shown, n=1, cutoff=0.5)
    return f"no such setting; did you mean {nearest[0]}?" if nearest else "no such setting"


def _plain(name: str) -> str:
    # camelCase, kebab-case and snake_case are all common in such files.
    return re.sub(r"[-_]", "", name).lower()


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join("TTL" if part == "ttl" else part.title() for part in rest)


def _shortened(written: object) -> str:
    text = repr(written)
    return text if len(text) <= 60 else text[:59] + "…"


@cache
def _places() -> tuple[_Place, ...]:
    return tuple(_places_of(Settings, ""))


def _places_of(kind: type[Any], above: str) -> Iterator[_Place]:
    hints = get_type_hints(kind, include_extras=True)
    for field in fields(kind):
        path = f"{above}{field.name}"
        if is_dataclass(field.default):
            yield from _places_of(type(field.default), f"{path}.")
        else:
            yield _Place(path, hints[field.name], field.default)


def _meanings(kind: type[Any], above: str) -> dict[str, str]:
    """The texts under the fields by path: Python keeps them in the source only."""
    (body,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(body, ast.ClassDef)
    meanings: dict[str, str] = {}
    for line, text in zip(body.body, body.body[1:], strict=False):
        match line, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(said))):
                meanings[above + name] = " ".join(said.split())
            case _:
                pass
    for field in fields(kind):
        if is_dataclass(field.default):
            meanings |= _meanings(type(field.default), f"{above}{field.name}.")
    return meanings


def _build(kind: type[Any], values: Mapping[str, object], above: str = "") -> Any:
    given: dict[str, object] = {}
    for field in fields(kind):
        path = f"{above}{field.name}"
        if is_dataclass(field.default):
            given[field.name] = _build(type(field.default), values, f"{path}.")
        elif path in values:
            given[field.name] = values[path]
    return kind(**given)


def _at(settings: Settings, path: str) -> object:
    value: object = settings
    for part in path.split("."):
        value = getattr(value, part)
    return value
