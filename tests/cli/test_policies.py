"""The admission policies, evaluated as the API server's CEL would."""

from typing import Any

import pytest
from cel_expr_python import cel

from kubernaut.cli.installing.policies import FENCE_RULES, REQUESTER_RULES

POD = "0f0f"
FREE: dict[str, Any] = {"spec": {"leaseTransitions": 2}}


def holds(rules: dict[str, str], *, request: Any, new: Any, old: Any = None) -> bool:
    """Whether every rule holds; a rule that fails to evaluate counts as broken (failurePolicy Fail)."""
    names = ("request", "object", "oldObject")
    environment = cel.NewEnv(variables=dict.fromkeys(names, cel.Type.DYN))
    for rule in rules:
        try:
            answer = environment.compile(rule).eval(data={"request": request, "object": new, "oldObject": old})
        except Exception:  # noqa: BLE001  the library has no narrower one
            return False
        if answer.value() is not True:
            return False
    return True


def pod(uid: str | None) -> dict[str, Any]:
    extra = {"authentication.kubernetes.io/pod-uid": [uid]} if uid is not None else {}
    return {"userInfo": {"extra": extra}}


def held(holder: str, transitions: int = 2) -> dict[str, Any]:
    return {"spec": {"leaseTransitions": transitions, "holderIdentity": holder}}


@pytest.mark.parametrize(
    ("request_", "new", "old", "allowed"),
    [
        (pod(POD), held(f"{POD}/a"), FREE, True),
        (pod(POD), held(f"{POD}/a"), held(""), True),
        (pod(POD), held("other/a"), FREE, False),
        (pod(POD), held(f"{POD}/a"), held("other/b"), False),
        (pod(POD), held(f"{POD}/b"), held(f"{POD}/a"), False),
        (pod(POD), held(f"{POD}/a"), held("void"), False),
        (pod(POD), FREE, FREE, False),
        (pod(POD), held(f"{POD}/a", transitions=3), FREE, False),
        (pod(None), held(f"{POD}/a"), FREE, False),
    ],
)
def test_a_pod_takes_a_free_fence_in_its_own_name_and_nothing_else(
    request_: Any, new: Any, old: Any, allowed: bool
) -> None:
    assert holds(FENCE_RULES, request=request_, new=new, old=old) is allowed


def asked(requester: str | None = None, *authors: str | None) -> dict[str, Any]:
    spec: dict[str, Any] = {} if requester is None else {"requester": {"username": requester}}
    if authors:
        spec["requests"] = [
            {"type": "cancel", **({"requester": {"username": author}} if author else {})} for author in authors
        ]
    return {"spec": spec}


@pytest.mark.parametrize(
    ("new", "old", "allowed"),
    [
        (asked(), None, True),
        (asked("ann"), None, True),
        (asked("bob"), None, False),
        (asked("bob"), asked("bob"), True),
        (asked("bob", "ann"), asked("bob"), True),
        (asked("bob", "bob"), asked("bob"), False),
        (asked("bob", "bob", "ann"), asked("bob", "bob"), True),
        (asked("bob", None), asked("bob"), True),
        (asked(None, "bob"), None, False),
    ],
)
def test_nobody_asks_in_anothers_name(new: Any, old: Any, allowed: bool) -> None:
    assert holds(REQUESTER_RULES, request={"userInfo": {"username": "ann"}}, new=new, old=old) is allowed
