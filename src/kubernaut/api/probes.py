"""Probes: what must be so before an action, come about after it, or stay so throughout it.

A file of probes is a mapping of `preconditions` and `postconditions` (or `probes`, for trying some), each a list.
Texts may hold `$(inputs.name)` and `$(outputs.name)` (`api.placeholders`).
"""

from typing import Annotated, Literal

from msgspec import Meta

from kubernaut.api.meta import DurationText, Frozen, Name, SecretKeyRef, ShortText, Text

Outcome = Literal["passed", "failed", "inconclusive"]
Mode = Literal["before", "after", "throughout"]
Severity = Literal["info", "warning", "critical"]
Operator = Literal["<", "<=", "==", "!=", ">=", ">"]
KINDS = ("cel", "promql", "http", "output", "rego")
MOST_PROBES = 32
Expression = Annotated[str, Meta(min_length=1, max_length=1024, description="CEL that says true or false.")]


class _Strict(Frozen, frozen=True, forbid_unknown_fields=True):
    """Files of users: a misspelt field is told, not dropped."""


class ObjectPick(_Strict, frozen=True, kw_only=True):
    """One object; a namespace that is not said is that of input `namespace`, for kinds that have one."""

    api_version: ShortText
    kind: ShortText
    name: ShortText
    namespace: ShortText = ""


class ObjectSelection(_Strict, frozen=True, kw_only=True):
    """All objects of a kind that fit; namespace `*` means all."""

    api_version: ShortText
    kind: ShortText
    namespace: ShortText = ""
    label_selector: Annotated[str, Meta(max_length=1024)] = ""
    field_selector: Annotated[str, Meta(max_length=1024)] = ""


class CelProbe(_Strict, frozen=True, kw_only=True):
    """CEL over `object` (null where there is none) or `objects`, with `inputs`, `outputs` and `now`."""

    expression: Expression
    object: ObjectPick | None = None
    objects: ObjectSelection | None = None
    each: Literal["", "all", "any", "none"] = ""
    """Ask of each of `objects`, as `object`, instead of once of the list. `all` of none at all holds."""


class Compare(_Strict, frozen=True, kw_only=True):
    operator: Operator
    value: float


class PromqlProbe(_Strict, frozen=True, kw_only=True):
    """An instant query at the Prometheus that the settings name."""

    query: Annotated[str, Meta(min_length=1, max_length=4096)]
    compare: Compare | None = None
    expression: Annotated[str, Meta(max_length=1024)] = ""
    """CEL over `result`, a list of {labels, value}, instead of `compare`."""
    series: Literal["all", "any", "one"] = "all"
    """With `compare`: of how many series it must hold. `one`: there is exactly one."""
    empty: Outcome = "inconclusive"
    """What no series at all means."""
    max_age: Annotated[str, Meta(max_length=32)] = ""
    """A series whose newest sample is older than this (a duration) gives no answer. For plain selectors only."""


class Header(_Strict, frozen=True, kw_only=True):
    """A request header whose value stays in a Secret."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]+$", max_length=64)]
    secret_key_ref: SecretKeyRef


class ConfigMapKeyRef(_Strict, frozen=True, kw_only=True):
    name: ShortText
    key: ShortText


class HttpProbe(_Strict, frozen=True, kw_only=True):
    """One request, from where the probe is asked."""

    url: Annotated[str, Meta(min_length=1, max_length=2048)]
    method: Literal["GET", "HEAD"] = "GET"
    status: Annotated[tuple[Annotated[int, Meta(ge=100, le=599)], ...], Meta(max_length=16)] = ()
    """One of these; without any, 200 to 299."""
    contains: Text = ""
    """What the body holds, letter by letter."""
    expression: Annotated[str, Meta(max_length=1024)] = ""
    """CEL over `status`, `body` and `json` (null if the body is none)."""
    headers: Annotated[tuple[Header, ...], Meta(max_length=8)] = ()
    ca: ConfigMapKeyRef | None = None
    """PEM certificates that are trusted instead of this machine's. In the namespace of the executions."""


class OutputProbe(_Strict, frozen=True, kw_only=True):
    """CEL over `outputs` and `inputs` of the action."""

    expression: Expression


class RegoProbe(_Strict, frozen=True, kw_only=True):
    """Kept for DD-002's conditions; refused where nothing evaluates it."""

    policy: ShortText
    """`<configmap>:<file>.rego:<rule>`."""


class Probe(_Strict, frozen=True, kw_only=True):
    """One question, when it is asked, and what follows from the answer."""

    name: Name
    cel: CelProbe | None = None
    promql: PromqlProbe | None = None
    http: HttpProbe | None = None
    output: OutputProbe | None = None
    rego: RegoProbe | None = None
    mode: Literal["", "before", "after", "throughout"] = ""
    """Without it: preconditions before, postconditions after, `probes` before."""
    required: bool = True
    """Otherwise it only warns."""
    when: Annotated[str, Meta(max_length=1024)] = ""
    """CEL over `inputs` (and `outputs`, once there are some): only then it is asked."""
    timeout: DurationText | None = None
    """How long it may take to pass (after: 2m), or stay without an answer (before, throughout: 30s)."""
    interval: DurationText = "5s"
    """Between two looks."""
    stabilization: DurationText = "0s"
    """How long it must hold without a break before it has passed."""
    severity: Severity = "warning"
    message: Text = ""
    """For people: what it means when it does not pass, and what to do."""


Probes = Annotated[tuple[Probe, ...], Meta(max_length=MOST_PROBES)]


class ProbeSet(_Strict, frozen=True, kw_only=True):
    """What stands in a file."""

    action: ShortText = ""
    """The action type that they belong to; gives them its inputs and outputs."""
    preconditions: Probes = ()
    postconditions: Probes = ()
    probes: Probes = ()


def kind_of_probe(probe: Probe) -> str:
    """`cel`, `promql`, `http`, `output` or `rego`; empty unless it is exactly one of them."""
    given = [kind for kind in KINDS if getattr(probe, kind) is not None]
    return given[0] if len(given) == 1 else ""


def mode_of(probe: Probe, part: str) -> Mode:
    """When a probe of this part of a set is asked."""
    if probe.mode:
        return probe.mode
    return "after" if part == "postconditions" else "before"
