"""CEL over objects of the cluster, read anew at each look."""

from typing import Any

from kubernaut.api.placeholders import fill_name, fill_selector, fill_type
from kubernaut.api.probes import CelProbe, ObjectPick, ObjectSelection, Probe
from kubernaut.cluster import (
    BadRequest,
    Cluster,
    ClusterError,
    Forbidden,
    Invalid,
    NotFound,
    ResourceKind,
    Unreachable,
    kinds,
)
from kubernaut.cluster.discovery import served_kind
from kubernaut.safety.cost import measure
from kubernaut.safety.probes.asking import CannotAsk, Finding, Matter, finding_of
from kubernaut.safety.probes.evidence import hash_of, identity_of, seen_in, without_noise
from kubernaut.safety.probes.expressions import ask
from kubernaut.telemetry.redaction import Redactor

Json = dict[str, Any]
MOST_OBJECTS = 500
MOST_VALUES = 200_000
MOST_CHARACTERS = 4_000_000
_MOST_TOLD = 5


class ObjectEvaluator:
    """Asks `cel` probes."""

    def __init__(self, cluster: Cluster, most_objects: int = MOST_OBJECTS) -> None:
        self._cluster = cluster
        self._most = most_objects

    async def look(self, probe: Probe, matter: Matter, redactor: Redactor) -> Finding:
        """Raises NotFillable, CannotAsk."""
        cel = probe.cel
        assert cel is not None
        variables = matter.variables(cel.expression)
        try:
            if cel.object is not None:
                return await self._one(cel, cel.object, matter, variables)
            assert cel.objects is not None
            found = await self._several(cel.objects, matter)
        except Forbidden as error:
            mend = "Ask for the permission to read it, or probe with an account that has it."
            raise CannotAsk("Forbidden", f"may not be read: {error.message}", mend) from error
        except (BadRequest, Invalid) as error:
            raise CannotAsk("BadQuestion", error.message, "Look at the selectors.") from error
        except Unreachable as error:
            raise CannotAsk("Unreachable", error.message) from error
        except ClusterError as error:
            raise CannotAsk("ClusterError", error.message) from error
        return _each(cel, found, variables) if cel.each else _together(cel, found, variables)

    async def _one(self, cel: CelProbe, picked: ObjectPick, matter: Matter, variables: Json) -> Finding:
        values = matter.values
        kind = await self._kind(fill_type(picked.api_version, values), fill_name(picked.kind, values))
        name = fill_name(picked.name, values)
        try:
            found = without_noise(await self._cluster.get(kind, name, _place(kind, picked.namespace, matter)))
        except NotFound as error:
            if error.reason == "NotFound" or error.status == 404:
                found = None
            else:
                raise
        _refuse_large([found])
        variables["object"] = found
        said = ask(cel.expression, "object", variables)
        place = _place(kind, picked.namespace, matter)
        where = f"{kind.kind} {f'{place}/' if place else ''}{name}"
        evidence = {
            "object": identity_of(found) if found else None,
            "seen": seen_in(cel.expression, variables) if found else {},
        }
        if found is None and (said.error or not said.holds):
            # Whatever is asked of it: it is not there, which is an answer.
            return Finding("failed", "NotThere", f"there is no {where}", "", evidence, hash_of(variables))
        return finding_of(
            said.holds, said.error, f"{where}: {_told(evidence['seen'])}", evidence, hash_of(variables)
        )

    async def _several(self, chosen: ObjectSelection, matter: Matter) -> list[Json]:
        kind = await self._kind(
            fill_type(chosen.api_version, matter.values), fill_name(chosen.kind, matter.values)
        )
        listed = await self._cluster.list(
            kind,
            _place(kind, chosen.namespace, matter),
            label_selector=fill_selector(chosen.label_selector, matter.values),
            field_selector=fill_selector(chosen.field_selector, matter.values),
        )
        if len(listed.items) > self._most:
            told = f"{len(listed.items)} objects fit: at most {self._most} are looked at"
            raise CannotAsk("TooMany", told, "Choose fewer with `labelSelector` or `fieldSelector`.")
        found = [without_noise(item) for item in listed.items]
        _refuse_large(found)
        return sorted(found, key=lambda one: (one["metadata"].get("namespace", ""), one["metadata"]["name"]))

    async def _kind(self, api_version: str, kind: str) -> ResourceKind:
        try:
            return kinds.kind_of({"apiVersion": api_version, "kind": kind})
        except KeyError:
            pass
        try:
            return await served_kind(self._cluster, api_version, kind)
        except NotFound as error:
            mend = "Look at apiVersion and kind: kubectl api-resources"
            raise CannotAsk("NoSuchKind", f"the cluster has no {kind} in {api_version}", mend) from error


def _place(kind: ResourceKind, namespace: str, matter: Matter) -> str | None:
    if not kind.namespaced or namespace == "*":
        return None
    return fill_name(namespace or "$(inputs.namespace)", matter.values)


def _refuse_large(found: object) -> None:
    values, characters, _ = measure(found)
    if values > MOST_VALUES or characters > MOST_CHARACTERS:
        told = f"what it looks at has {values} values and {characters} characters: too much"
        raise CannotAsk("TooLarge", told, "Choose fewer objects.")


def _together(cel: CelProbe, found: list[Json], variables: Json) -> Finding:
    variables["objects"] = found
    said = ask(cel.expression, "objects", variables)
    evidence = {"count": len(found), "objects": [identity_of(one) for one in found[:_MOST_TOLD]]}
    message = f"of {len(found)} objects it does not hold"
    return finding_of(said.holds, said.error, message, evidence, hash_of(variables))


def _each(cel: CelProbe, found: list[Json], variables: Json) -> Finding:
    holding: list[str] = []
    others: list[str] = []
    unanswered: list[str] = []
    seen: dict[str, Any] = {}
    for one in found:
        name = str(one["metadata"]["name"])
        about = {**variables, "object": one}
        said = ask(cel.expression, "object", about)
        (unanswered if said.error else holding if said.holds else others).append(name)
        is_telling = said.error or said.holds == (cel.each == "none")
        if len(seen) < _MOST_TOLD and (is_telling or cel.each == "any"):
            seen[name] = {"error": said.error} if said.error else seen_in(cel.expression, about)
    evidence = {"count": len(found), "holds": len(holding), "seen": seen}
    whole = hash_of({**variables, "objects": found})
    outcome = _outcome(cel.each, len(holding), len(others), len(unanswered))
    if outcome == "inconclusive":
        errors = [one["error"] for one in seen.values() if "error" in one]
        message = f"cannot be answered of {', '.join(unanswered[:_MOST_TOLD])}: {errors[0] if errors else ''}"
        return Finding("inconclusive", "Unanswerable", message, "", evidence, whole)
    if outcome == "passed":
        return Finding("passed", "Holds", "", "", evidence, whole)
    told = {
        "all": f"{len(others)} of {len(found)} do not: {', '.join(others[:_MOST_TOLD])}",
        "any": f"none of {len(found)} does",
        "none": f"{len(holding)} of {len(found)} do: {', '.join(holding[:_MOST_TOLD])}",
    }
    return Finding("failed", "DoesNotHold", told[cel.each], "", evidence, whole)


def _outcome(each: str, holding: int, others: int, unanswered: int) -> Any:
    """An answer that decides needs no others; what is not known never counts as one."""
    match each:
        case "all":
            return "failed" if others else "inconclusive" if unanswered else "passed"
        case "any":
            return "passed" if holding else "inconclusive" if unanswered else "failed"
        case _:
            return "failed" if holding else "inconclusive" if unanswered else "passed"


def _told(seen: object) -> str:
    if not isinstance(seen, dict) or not seen:
        return "it does not hold"
    pairs: dict[str, Any] = seen  # pyright: ignore[reportUnknownVariableType]
    return ", ".join(f"{path} is {'not there' if value is None else value}" for path, value in pairs.items())
