"""ClusterRoles with an aggregation rule hold the rules of all that it selects."""

from __future__ import annotations

from kubernaut.devcluster.errors import NotFound
from kubernaut.devcluster.ledger import Change
from kubernaut.devcluster.objects import Object, labels_of, list_at, name_of
from kubernaut.devcluster.resources import CLUSTER_ROLES
from kubernaut.devcluster.selectors import selects
from kubernaut.devcluster.store import Store, Write

_WRITE = Write(manager="clusterrole-aggregation-controller")


class Aggregation:
    def __init__(self, store: Store) -> None:
        self._store = store
        self.has_work = True
        store.subscribe(self._note, [CLUSTER_ROLES])

    def _note(self, _change: Change) -> None:
        self.has_work = True

    def work(self) -> None:
        """A role that changes here is looked at again, for it may be part of another one."""
        self.has_work = False
        roles = [record.object for record in self._store.ledger.records(CLUSTER_ROLES)]
        for role in roles:
            selectors = list_at(role, "aggregationRule", "clusterRoleSelectors")
            if not selectors:
                continue
            rules = _gathered(role, roles, selectors)
            if rules != list_at(role, "rules"):
                self._write(name_of(role), rules)

    def _write(self, name: str, rules: list[Object]) -> None:
        def change(obj: Object) -> None:
            obj["rules"] = rules

        try:
            self._store.edit(CLUSTER_ROLES, name, None, change, write=_WRITE)
        except NotFound:
            return


def _gathered(role: Object, roles: list[Object], selectors: list[Object]) -> list[Object]:
    found: list[Object] = []
    for other in roles:
        if other is role or not any(selects(selector, labels_of(other)) for selector in selectors):
            continue
        found += [rule for rule in list_at(other, "rules") if rule not in found]
    return found
