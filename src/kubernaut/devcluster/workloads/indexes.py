"""The numbers of an indexed Job's pods: `completedIndexes` as text, and which number comes next. PURE.

Source of the format: batch/v1 JobStatus.completedIndexes ("1,3-5,7").
"""

from collections.abc import Collection, Iterable
from itertools import count, islice

from kubernaut.devcluster.objects import Object
from kubernaut.devcluster.workloads.reading import annotations_of, parts

INDEX = "batch.kubernetes.io/job-completion-index"
_VARIABLE = "JOB_COMPLETION_INDEX"


def is_indexed(job: Object) -> bool:
    return bool(job["spec"].get("completionMode") == "Indexed")


def index_of(pod: Object) -> int | None:
    """The number on a pod; None when it has none."""
    text = annotations_of(pod).get(INDEX, "")
    return int(text) if text.isdigit() else None


def parse(text: str) -> set[int]:
    """`1,3-5` -> {1, 3, 4, 5}."""
    found: set[int] = set()
    for piece in filter(None, text.split(",")):
        first, _, last = piece.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def dump(numbers: Iterable[int]) -> str:
    """{1, 3, 4, 5} -> `1,3-5`."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def next_indexes(wanted: int, taken: Collection[int]) -> list[int]:
    """The lowest numbers that nobody has."""
    return list(islice((number for number in count() if number not in taken), wanted))


def give_number(body: Object, job: Object, index: int) -> None:
    """Give a new pod its number: in its name, labels, annotations and environment."""
    meta, spec, text = body["metadata"], body["spec"], str(index)
    name = f"{job['metadata']['name']}-{index}"
    meta["generateName"] = f"{name}-"
    meta["labels"] = {**meta["labels"], INDEX: text}
    meta["annotations"] = {**meta.get("annotations", {}), INDEX: text}
    spec["hostname"] = name
    field = {"fieldRef": {"fieldPath": f"metadata.labels['{INDEX}']"}}
    for container in (*parts(spec, "initContainers"), *parts(spec, "containers")):
        others = parts(container, "env")
        if all(variable["name"] != _VARIABLE for variable in others):
            container["env"] = [*others, {"name": _VARIABLE, "valueFrom": field}]
