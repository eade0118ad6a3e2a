"""Printing objects: json, yaml, names, and tables with the columns that `kubectl get` shows."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from kubernaut.cli.terminal import Terminal

Json = dict[str, Any]

FORMATS = ("table", "wide", "json", "yaml", "name")

_COLOURS = {
    "green": {"Completed", "Succeeded", "True"},
    "red": {"Failed", "TimedOut", "Aborted", "Indeterminate", "RolledBack"},
    "yellow": {"PartiallyCompleted", "Cancelled", "Skipped", "WaitingApproval", "Blocked", "RollingBack"},
    "cyan": {"Running", "Verifying", "Validating", "Queued"},
}


def colour_of(word: str) -> str:
    """The colour of a phase; empty for any other word."""
    return next((colour for colour, words in _COLOURS.items() if word in words), "")


def print_objects(
    terminal: Terminal, objects: Sequence[Json], output: str, now: datetime, *, single: bool
) -> None:
    """`single` prints one object as itself rather than as a list of one."""
    if output in ("json", "yaml"):
        plain = [without_noise(item) for item in objects]
        print_data(terminal, plain[0] if single else {"apiVersion": "v1", "kind": "List", "items": plain}, output)
    elif output == "name":
        for item in objects:
            group = str(item["apiVersion"]).rpartition("/")[0]
            kind = f"{str(item['kind']).lower()}.{group}" if group else str(item["kind"]).lower()
            terminal.say(f"{kind}/{item['metadata']['name']}")
    elif objects:
        terminal.say(table_of(terminal, objects, now, wide=output == "wide"))


def print_data(terminal: Terminal, value: object, output: str) -> None:
    """Any JSON value, as json or yaml."""
    if output == "json":
        import json

        terminal.say(json.dumps(value, indent=2, ensure_ascii=False))
    else:
        import yaml

        text = yaml.dump(value, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=120)
        terminal.say(text.rstrip())


def without_noise(item: Json) -> Json:
    """Without what no reader looks for: the record of who wrote which field."""
    metadata = {key: value for key, value in item["metadata"].items() if key != "managedFields"}
    return {**item, "metadata": metadata}


def table_of(terminal: Terminal, objects: Sequence[Json], now: datetime, *, wide: bool) -> str:
    """A table of objects of one kind; columns and their order come from the kind's definition."""
    columns = _columns(str(objects[0]["kind"]), wide)
    several = len({item["metadata"].get("namespace") for item in objects}) > 1
    titles = [*(["Namespace"] if several else []), "Name", *(title for title, _ in columns)]
    rows: list[list[str]] = []
    for item in objects:
        metadata = item["metadata"]
        row = [str(metadata.get("namespace", ""))] if several else []
        row.append(str(metadata["name"]))
        for title, path in columns:
            value = value_at(item, path)
            row.append(age(value, now) if title == "Age" else "" if value is None else str(value))
        rows.append(row)
    return format_table(terminal, titles, rows)


def format_table(terminal: Terminal, titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns three spaces apart, as kubectl sets them; phases in their colours."""
    lines = [[title.upper() for title in titles], *([_one_line(cell) for cell in row] for row in rows)]
    widths = [max(len(line[number]) for line in lines) for number in range(len(titles))]
    printed: list[str] = []
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        cells[-1] = cells[-1].rstrip()
        printed.append("   ".join(terminal.paint(cell, colour_of(cell.strip())) for cell in cells).rstrip())
    return "\n".join(printed)


def value_at(item: object, path: str) -> Any:
    """What stands at a path such as `.status.phase`; None where nothing does."""
    for part in path.strip(".").split("."):
        if not isinstance(item, Mapping):
            return None
        item = cast("Mapping[str, object]", item).get(part)
    return item


def part(item: object, path: str) -> Json:
    """The object at a path; an empty one where nothing, or something else, stands."""
    found = value_at(item, path)
    return cast("Json", found) if isinstance(found, dict) else {}


def parts(item: object, path: str) -> list[Json]:
    """The list of objects at a path; empty where none stands."""
    found = value_at(item, path)
    return cast("list[Json]", found) if isinstance(found, list) else []


def moment(text: object) -> datetime | None:
    """A Kubernetes timestamp; None where there is none."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC) if isinstance(text, str) else None


def age(since: object, now: datetime) -> str:
    """How long ago a timestamp is, as kubectl says it: 45s, 3m10s, 5h2m, 3d4h."""
    then = moment(since)
    return span((now - then).total_seconds()) if then is not None else ""


def span(seconds: float) -> str:
    """A time span in at most two units; tenths below ten seconds are worth showing."""
    if 0 < seconds < 10:
        return f"{seconds:.1f}s"
    whole = max(0, int(seconds))
    for unit, size, next_unit, next_size in (("d", 86400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // next_size
            return f"{whole // size}{unit}{rest}{next_unit}" if rest else f"{whole // size}{unit}"
    return f"{whole}s"


def took(start: object, end: object) -> str:
    """How long something took; empty while it has not begun or not ended."""
    first, last = moment(start), moment(end)
    return span((last - first).total_seconds()) or "0s" if first and last else ""


def _columns(kind: str, wide: bool) -> list[tuple[str, str]]:
    from kubernaut.api.crd import custom_resource_definitions

    for definition in custom_resource_definitions():
        if definition["spec"]["names"]["kind"] == kind:
            columns = definition["spec"]["versions"][0]["additionalPrinterColumns"]
            return [
                (column["name"], column["jsonPath"]) for column in columns if wide or not column.get("priority")
            ]
    return [("Age", ".metadata.creationTimestamp")]


def _one_line(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 100 else text[:99] + "…"
