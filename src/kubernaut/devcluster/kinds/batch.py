"""batch/v1: Job and CronJob."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from kubernaut.devcluster.errors import Fault
from kubernaut.devcluster.metadata import (
    immutable,
    invalid,
    required,
    unsupported,
)
from kubernaut.devcluster.objects import Object, copied, is_map, list_at, map_at
from kubernaut.devcluster.selectors import selects

from .pods import default_pod_spec, template_faults
from .rules import BuiltinRules, not_negative

CONTROLLER_UID = "batch.kubernetes.io/controller-uid"
JOB_NAME = "batch.kubernetes.io/job-name"
_BACKOFF_LIMIT = 6
_NO_LIMIT = 2**31 - 1


class JobRules(BuiltinRules):
    def __init__(self) -> None:
        super().__init__("Job", has_status=True)

    def default(self, obj: Object) -> None:
        super().default(obj)
        spec = map_at(obj, "spec")
        default_job_spec(spec)

    def prepare_create(self, obj: Object) -> None:
        obj["status"] = {}
        spec = obj.get("spec")
        if is_map(spec) and not spec.get("manualSelector"):
            _select_own_pods(obj, spec)

    def validate(self, obj: Object) -> Iterable[Fault]:
        yield from super().validate(obj)
        spec = map_at(obj, "spec")
        yield from job_spec_faults(spec, "spec")

    def validate_update(self, new: Object, old: Object) -> Iterable[Fault]:
        now, was = new["spec"], old["spec"]
        if now.get("completions") != was.get("completions") and not (
            now.get("completionMode") == "Indexed" and now.get("completions") == now.get("parallelism")
        ):
            yield immutable("spec.completions", now.get("completions"))
        for part in (
            "selector",
            "completionMode",
            "podFailurePolicy",
            "backoffLimitPerIndex",
            "managedBy",
            "maxFailedIndexes",
            "successPolicy",
        ):
            if now.get(part) != was.get(part):
                yield immutable(f"spec.{part}", now.get(part))
        if _fixed_template(now, old) != _fixed_template(was, old):
            yield immutable("spec.template", now.get("template"))

    def warnings(self, obj: Object) -> Iterator[str]:
        policy = map_at(obj, "spec", "template", "spec").get("restartPolicy")
        if policy == "OnFailure" and obj["spec"].get("backoffLimitPerIndex") is not None:
            yield "spec.backoffLimitPerIndex: use restartPolicy Never to see failed pods"


def default_job_spec(spec: Object) -> None:
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    if spec.get("parallelism") is None:
        spec["parallelism"] = 1
    if spec.get("backoffLimit") is None:
        per_index = spec.get("backoffLimitPerIndex") is not None
        spec["backoffLimit"] = _NO_LIMIT if per_index else _BACKOFF_LIMIT
    if "podReplacementPolicy" not in spec:
        spec["podReplacementPolicy"] = "Failed" if "podFailurePolicy" in spec else "TerminatingOrFailed"
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    pod_spec = map_at(spec, "template", "spec")
    if pod_spec:
        default_pod_spec(pod_spec)


def _select_own_pods(obj: Object, spec: Object) -> None:
    """The selector and labels that tie pods to this very Job."""
    uid, name = obj["metadata"]["uid"], obj["metadata"].get("name", "")
    spec["manualSelector"] = False
    template = spec.setdefault("template", {})
    labels = template.setdefault("metadata", {}).setdefault("labels", {})
    for key, value in (
        (CONTROLLER_UID, uid),
        ("controller-uid", uid),
        (JOB_NAME, name),
        ("job-name", name),
    ):
        labels[key] = value
    # A selector of the user's own is left in, for validation to refuse it.
    spec.setdefault("selector", {}).setdefault("matchLabels", {})[CONTROLLER_UID] = uid
    if not obj["metadata"].get("labels"):
        obj["metadata"]["labels"] = dict(labels)


def job_spec_faults(spec: Object, path: str) -> Iterator[Fault]:
    yield from not_negative(
        spec,
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
        "ttlSecondsAfterFinished",
        path=path,
    )
    if path == "spec":
        yield from _selector_faults(spec)
    policy = map_at(spec, "template", "spec").get("restartPolicy")
    at = f"{path}.template.spec.restartPolicy"
    if policy in (None, "Always"):
        yield required(at, 'valid values: "OnFailure", "Never"')
    elif policy not in ("OnFailure", "Never"):
        yield unsupported(at, policy, ("OnFailure", "Never"))
    if spec.get("completionMode") == "Indexed" and spec.get("completions") is None:
        yield required(f"{path}.completions", "when completion mode is Indexed")
    if map_at(spec, "podFailurePolicy"):
        yield from _failure_policy_faults(spec, policy, path)
    yield from template_faults(map_at(spec, "template"), f"{path}.template")


def _selector_faults(spec: Object) -> Iterator[Fault]:
    selector = spec.get("selector")
    if selector is None:
        yield required("spec.selector")
        return
    wanted = map_at(selector, "matchLabels")
    if not spec.get("manualSelector") and set(wanted) != {CONTROLLER_UID}:
        yield invalid("spec.selector", selector, "`selector` not auto-generated")
    labels = map_at(spec, "template", "metadata", "labels")
    if not selects(selector, labels):
        yield invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")


def _failure_policy_faults(spec: Object, policy: object, path: str) -> Iterator[Fault]:
    if policy != "Never":
        yield invalid(
            f"{path}.template.spec.restartPolicy",
            policy,
            'only "Never" is supported when podFailurePolicy is specified',
        )
    if spec.get("podReplacementPolicy") != "Failed":
        yield unsupported(f"{path}.podReplacementPolicy", spec.get("podReplacementPolicy"), ("Failed",))
    pod = map_at(spec, "template", "spec")
    containers = {c.get("name") for part in ("initContainers", "containers") for c in list_at(pod, part)}
    for index, rule in enumerate(list_at(spec, "podFailurePolicy", "rules")):
        at = f"{path}.podFailurePolicy.rules[{index}]"
        codes = map_at(rule, "onExitCodes")
        conditions = list_at(rule, "onPodConditions")
        if codes and conditions:
            yield invalid(at, None, "specifying both OnExitCodes and OnPodConditions is not supported")
        if not codes and not conditions:
            yield invalid(at, None, "specifying one of OnExitCodes and OnPodConditions is required")
        named = codes.get("containerName")
        if named and named not in containers:
            why = "must be one of the container or initContainer names in the pod template"
            yield invalid(f"{at}.onExitCodes.containerName", named, why)
        if codes and not list_at(codes, "values"):
            yield invalid(f"{at}.onExitCodes.values", [], "at least one value is required")
        if codes.get("operator") == "In" and 0 in list_at(codes, "values"):
            yield invalid(
                f"{at}.onExitCodes.values[{codes['values'].index(0)}]",
                0,
                "must not be 0 for the In operator",
            )
        if rule.get("action") == "FailIndex" and spec.get("backoffLimitPerIndex") is None:
            yield invalid(f"{at}.action", "FailIndex", "requires the backoffLimitPerIndex to be set")


WARNING = (
    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to "
    "remove them or set propagationPolicy=Orphan to suppress this warning"
)
"""What a deletion without a propagation policy is answered with."""


def _fixed_template(spec: Object, old: Object) -> Object:
    """What may not change: all of it, except placement while the Job waits for its first start."""
    template = copied(map_at(spec, "template"))
    waits = map_at(old, "spec").get("suspend") and not map_at(old, "status").get("startTime")
    if waits:
        for part in ("labels", "annotations"):
            map_at(template, "metadata").pop(part, None)
        for part in ("nodeSelector", "tolerations", "affinity", "schedulingGates"):
            map_at(template, "spec").pop(part, None)
    return template


_CRON_FIELD = re.compile(r"[0-9A-Za-z*/,?-]+")
_CRON_WORDS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")


class CronJobRules(BuiltinRules):
    def __init__(self) -> None:
        super().__init__("CronJob", has_status=True)

    def default(self, obj: Object) -> None:
        # The Job gets its own defaults when it is made.
        super().default(obj)
        pod_spec = map_at(obj, "spec", "jobTemplate", "spec", "template", "spec")
        if pod_spec:
            default_pod_spec(pod_spec)

    def prepare_create(self, obj: Object) -> None:
        obj["status"] = {}

    def validate(self, obj: Object) -> Iterable[Fault]:
        yield from super().validate(obj)
        spec = map_at(obj, "spec")
        schedule = str(spec.get("schedule") or "")
        if schedule and not _is_schedule(schedule):
            parts = schedule.split()
            words = f"expected exactly 5 fields, found {len(parts)}: [{' '.join(parts)}]"
            yield invalid("spec.schedule", schedule, words)
        name = str(obj["metadata"].get("name", ""))
        if len(name) > 52:
            yield invalid("metadata.name", name, "must be no more than 52 bytes")
        job_spec = map_at(spec, "jobTemplate", "spec")
        if not job_spec:
            yield required("spec.jobTemplate.spec.template")
        else:
            yield from job_spec_faults(job_spec, "spec.jobTemplate.spec")


def _is_schedule(text: str) -> bool:
    if text in _CRON_WORDS or text.startswith("@every "):
        return True
    parts = text.split()
    return len(parts) == 5 and all(_CRON_FIELD.fullmatch(part) for part in parts)
