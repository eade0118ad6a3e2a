"""A Job's podFailurePolicy: what a failed pod means. PURE.

Source of the rules and of the wording: k8s.io/kubernetes pkg/controller/job/pod_failure_policy.go.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, cast

from kubernaut.devcluster.objects import Object
from kubernaut.devcluster.workloads.reading import items, part, parts

PolicyAction = Literal["FailJob", "Ignore", "Count", "FailIndex"]


@dataclass(frozen=True, slots=True)
class PolicyVerdict:
    """What the first rule that matches says; `Count` when none does."""

    action: PolicyAction
    message: str = ""


def judge_failure(job: Object, pod: Object) -> PolicyVerdict:
    """Look a failed pod up in its Job's rules, first match wins."""
    rules: list[Object] = parts(job, "spec", "podFailurePolicy", "rules")
    for index, rule in enumerate(rules):
        told = _match_exit_codes(rule.get("onExitCodes"), pod) or _match_conditions(
            rule.get("onPodConditions"), pod
        )
        if told:
            action = cast(PolicyAction, rule["action"])
            return PolicyVerdict(action, f"{told} matching {action} rule at index {index}")
    return PolicyVerdict("Count")


def _match_exit_codes(rule: Object | None, pod: Object) -> str:
    if not rule:
        return ""
    values, wanted = set(items(rule, "values")), rule.get("containerName")
    meta = pod["metadata"]
    for status in _ended(pod):
        code = int(status["state"]["terminated"]["exitCode"])
        # Exit code 0 never matches: with NotIn it would make a success a failure.
        if code == 0 or (wanted and status["name"] != wanted):
            continue
        if (code in values) == (rule["operator"] == "In"):
            where = f"{meta['namespace']}/{meta['name']}"
            return f"Container {status['name']} for pod {where} failed with exit code {code}"
    return ""


def _ended(pod: Object) -> Iterable[Object]:
    status = part(pod, "status")
    every = [*(parts(status, "initContainerStatuses")), *(parts(status, "containerStatuses"))]
    return [s for s in every if part(s, "state").get("terminated")]


def _match_conditions(patterns: list[Object] | None, pod: Object) -> str:
    conditions: list[Object] = parts(pod, "status", "conditions")
    meta = pod["metadata"]
    for pattern in patterns or ():
        for found in conditions:
            if found["type"] == pattern["type"] and found["status"] == pattern.get("status", "True"):
                return f"Pod {meta['namespace']}/{meta['name']} has condition {found['type']}"
    return ""
