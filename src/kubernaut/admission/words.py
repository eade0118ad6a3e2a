"""Schema faults in plain words: what is wrong where, and what to write instead."""

from collections.abc import Mapping
from typing import Any

from kubernaut.admission.nearest import Nearest
from kubernaut.admission.values import joined
from kubernaut.api.faults import Fault

_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "nothing",
}
NO_DIGEST = "must name the image by digest"
MEND_DIGEST = "Write name@sha256:<64 hex digits>; a tag could change under the run."

# By how the pattern begins; all patterns stand in `api/`.
_FORMS = {
    "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$": "a-z, 0-9 and hyphens, at most 63 characters, for example scale-deployment",
    "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.": "a-z, 0-9, hyphens and dots, at most 253 characters",
    "^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$": 'a duration such as "90s", "5m" or "1h30m"',
    "^[a-z0-9][a-z0-9-]*/": "domain/action, for example kubernetes/scale_deployment",
    "^v?[0-9]+\\.[0-9]+\\.": "a version such as 1.2.0",
    "^[A-Za-z_][A-Za-z0-9_]*$": "a letter or _, then letters, digits and _",
    "^(|succeeded|failed)$": "succeeded or failed",
}
_OLDER_FIELDS = {
    "dependsOn": "runAfter",
    "depends_on": "runAfter",
    "dependencies": "runAfter",
    "needs": "runAfter",
    "after": "runAfter",
    "parameters": "inputs",
    "params": "inputs",
    "args": "inputs",
    "with": "inputs",
    "action": "actionType",
    "type": "actionType",
    "criticalStep": "critical",
    "continueOnError": "critical: false",
    "maxRetries": "retry.limit",
    "retries": "retry.limit",
    "targetCluster": "cluster",
    "serviceAccount": "serviceAccountName",
    "condition": "when",
    "if": "when",
    "approvalRequired": "requiresApproval",
    "maxParallel": "parallelism",
    "maxParallelSteps": "parallelism",
}


def faults_of(
    keyword: str, details: Mapping[str, Any], path: str, value: object, schema: Mapping[str, Any]
) -> list[Fault]:
    """One error of the schema library (JSON Schema keyword and its details) as faults of ours."""
    here = path or "(root)"
    match keyword:
        case "required":
            return [_missing(path, str(details["property"]), schema)]
        case "additionalProperties":
            known = Nearest(schema.get("properties", {}))
            return [_unknown(joined(path, name), name, known) for name in details["unexpected"]]
        case "type":
            return [_wrong_type(here, details["types"], value)]
        case "pattern" if "@sha256:" in details["pattern"]:
            return [Fault(here, NO_DIGEST, MEND_DIGEST)]
        case "pattern":
            return [Fault(here, "is malformed", _form(str(details["pattern"])))]
        case "enum":
            options = [str(option) for option in details["options"]]
            near = Nearest(options).find(value) if isinstance(value, str) else ""
            hint = f"Did you mean {near}? " if near else ""
            return [Fault(here, "is not one of the allowed values", f"{hint}Allowed: {', '.join(options)}.")]
        case "anyOf":
            return [Fault(joined(path, "name"), "is missing", "Give metadata.name or metadata.generateName.")]
        case "format":
            return [Fault(here, "is no moment in time", "Write it like 2026-01-31T12:00:00Z.")]
        case _:
            return [Fault(here, _bound(keyword, details, value))]


def _missing(path: str, name: str, schema: Mapping[str, Any]) -> Fault:
    kinds = schema.get("properties", {}).get(name, {}).get("type", "")
    mend = f"Give {_TYPES[kinds]}." if kinds in _TYPES else ""
    return Fault(joined(path, name), "is missing", mend)


def _unknown(path: str, name: str, known: Nearest) -> Fault:
    older = _OLDER_FIELDS.get(name)
    if older is not None and older.partition(".")[0].partition(":")[0] in known.known:
        return Fault(path, "is no field here", f"Did you mean {older}?")
    return Fault(path, "is no field here", known.mend(name))


def _wrong_type(path: str, wanted: list[str], value: object) -> Fault:
    words = " or ".join(_TYPES.get(kind, kind) for kind in wanted if kind != "null")
    if value is None:
        return Fault(path, f"has no value: it must be {words}", "Leave the line out, or give it a value.")
    mend = ""
    if "string" in wanted and isinstance(value, bool | int | float):
        mend = "Put it in quotes."
    elif isinstance(value, str) and ("integer" in wanted or "number" in wanted or "boolean" in wanted):
        mend = "Write it without quotes."
    elif "array" in wanted:
        mend = "Write it as a list, for example [a, b]."
    return Fault(path, f"must be {words}, not {_shown(value)}", mend)


def _shown(value: object) -> str:
    match value:
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list() | tuple():
            return "a list"
        case _:
            return "an object"


def _form(pattern: str) -> str:
    for begin, words in _FORMS.items():
        if pattern.startswith(begin):
            return f"Write {words}."
    return f"It must match {pattern}."


def _bound(keyword: str, details: Mapping[str, Any], value: object) -> str:
    limit = details.get("limit", "")
    size = len(value) if isinstance(value, str | list | dict) else 0  # pyright: ignore[reportUnknownArgumentType]
    match keyword:
        case "maxLength":
            return f"has {size} characters: at most {limit} are allowed"
        case "maxItems":
            return f"has {size} entries: at most {limit} are allowed"
        case "minItems" | "minLength" | "minProperties":
            return "is empty"
        case "maxProperties":
            return f"has {size} members: at most {limit} are allowed"
        case "minimum":
            return f"must be at least {limit}"
        case "maximum":
            return f"must be at most {limit}"
        case _:
            return f"breaks the rule {keyword} of the schema"
