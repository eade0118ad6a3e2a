"""ResourceQuotas on numbers of objects and on what pods ask for: refused at the door, told in status.

Known names: `pods`, `count/<plural>[.<group>]`, `requests.cpu`, `requests.memory`, `limits.cpu`,
`limits.memory`, and the short `cpu` and `memory`. Scopes are not looked at; other names only show.
Source of the wording: k8s.io/apiserver pkg/admission/plugin/resourcequota.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from kubernaut.devcluster.errors import Forbidden
from kubernaut.devcluster.objects import Object
from kubernaut.devcluster.quantities import parse_quantity
from kubernaut.devcluster.resources import PODS
from kubernaut.devcluster.store import Attributes, Store
from kubernaut.devcluster.workloads.changes import SetStatus, Turn
from kubernaut.devcluster.workloads.pods import is_finished
from kubernaut.devcluster.workloads.reading import part, parts

RESOURCE_QUOTAS = "resourcequotas"
_COUNT = "count/"
_LARGE = 2**20


def refuse_over_quota(attributes: Attributes) -> None:
    """An admission step. Raises Forbidden when a quota of the namespace would be exceeded."""
    obj = attributes.object
    if attributes.operation != "CREATE" or obj is None or attributes.subresource:
        return
    store, namespace, key = attributes.store, attributes.namespace, attributes.resource.key
    if not attributes.resource.namespaced:
        return
    for quota in store.list(RESOURCE_QUOTAS, namespace).items:
        hard: Mapping[str, str] = part(quota, "spec", "hard")
        if lacking := _unsaid(obj, key, hard):
            name = quota["metadata"]["name"]
            told = f"failed quota: {name}: must specify {lacking}"
            raise Forbidden(f'{key} "{attributes.name}" is forbidden: {told}')
        asked = {name: amount for name in hard if (amount := _share_of(obj, key, name))}
        used = _used(store, namespace, asked) if asked else {}
        over = [name for name in asked if used[name] + asked[name] > parse_quantity(hard[name])]
        if over:
            told = (
                f"exceeded quota: {quota['metadata']['name']}, "
                f"requested: {_list(over, asked)}, used: {_list(over, used)}, "
                f"limited: {','.join(f'{name}={hard[name]}' for name in sorted(over))}"
            )
            raise Forbidden(f'{key} "{attributes.name}" is forbidden: {told}')


def _unsaid(obj: Object, key: str, hard: Iterable[str]) -> str:
    """What a pod's containers must say, because a quota counts it, and do not."""
    if key != PODS:
        return ""
    lacking: list[str] = []
    for name in sorted(hard):
        where, _, resource = name.rpartition(".")
        if where not in ("", "requests", "limits") or resource not in ("cpu", "memory"):
            continue
        containers = [*parts(obj, "spec", "initContainers"), *parts(obj, "spec", "containers")]
        silent = [c["name"] for c in containers if resource not in part(c, "resources", where or "requests")]
        if silent:
            lacking.append(f"{name} for: {','.join(sorted(silent))}")
    return "; ".join(lacking)


def decide_quota(store: Store, quota: Object) -> Turn:
    """The quota's status: what is allowed and what is taken."""
    hard: Mapping[str, str] = part(quota, "spec", "hard")
    meta = quota["metadata"]
    used = _used(store, meta["namespace"], hard)
    status = {"hard": dict(hard), "used": {name: _text(used[name], name) for name in hard}}
    if status == part(quota, "status"):
        return Turn()
    return Turn((SetStatus(RESOURCE_QUOTAS, meta["namespace"], meta["name"], status),))


def _used(store: Store, namespace: str, names: Iterable[str]) -> dict[str, Decimal]:
    used: dict[str, Decimal] = {}
    for name in names:
        key = name.removeprefix(_COUNT) if name.startswith(_COUNT) else PODS
        if key not in store.catalogue:
            used[name] = Decimal(0)
            continue
        objects = store.list(key, namespace).items
        used[name] = sum((_share_of(obj, key, name) for obj in objects), Decimal(0))
    return used


def _share_of(obj: Object, key: str, name: str) -> Decimal:
    """How much of a quota's resource one object of a kind takes."""
    if name.startswith(_COUNT):
        return Decimal(1 if name == f"{_COUNT}{key}" else 0)
    if key != PODS or is_finished(obj):
        return Decimal(0)
    if name == "pods":
        return Decimal(1)
    where, _, resource = name.rpartition(".")
    containers = parts(obj, "spec", "containers")
    amounts = (part(c, "resources", where or "requests").get(resource, "0") for c in containers)
    return sum((parse_quantity(amount) for amount in amounts), Decimal(0))


def _list(names: Iterable[str], amounts: Mapping[str, Decimal]) -> str:
    return ",".join(f"{name}={_text(amounts[name], name)}" for name in sorted(names))


def _text(amount: Decimal, name: str) -> str:
    if amount == amount.to_integral_value():
        whole = int(amount)
        if name.endswith("memory") and whole and whole % _LARGE == 0:
            return f"{whole // _LARGE}Mi"
        return str(whole)
    return f"{int(amount * 1000)}m"
