"""Namespaces: refuses objects where there is none, fills new ones, empties those that are deleted."""

from __future__ import annotations

from kubernaut.devcluster.deleting import FOREGROUND
from kubernaut.devcluster.errors import AlreadyExists, ApiError, Forbidden, NotFound
from kubernaut.devcluster.ledger import Change
from kubernaut.devcluster.objects import Object, is_deleting, list_at, name_of, namespace_of
from kubernaut.devcluster.resources import CONFIG_MAPS, EVENTS, NAMESPACES, PODS, SERVICE_ACCOUNTS
from kubernaut.devcluster.store import Attributes, Store, Write

ROOT_CA = "kube-root-ca.crt"
_EMPTYING = Write(manager="namespace-controller")
_FILLING = Write(manager="kube-controller-manager")
_KEPT = ("kube-system", "default", "kube-public")


def namespace_lifecycle(attributes: Attributes) -> None:
    """Admission: objects live in namespaces that exist. Raises NotFound, Forbidden."""
    resource = attributes.resource
    if attributes.operation == "DELETE" and resource.key == NAMESPACES and attributes.name in _KEPT:
        raise Forbidden(
            f'namespaces "{attributes.name}" is forbidden: this namespace may not be deleted',
            {"name": attributes.name, "kind": NAMESPACES},
        )
    if attributes.operation != "CREATE" or not resource.namespaced:
        return
    namespace = attributes.namespace
    record = attributes.store.ledger.get(NAMESPACES, ("", namespace))
    if record is None:
        raise NotFound.of(NAMESPACES, namespace)
    if is_deleting(record.object):
        message = (
            f'{resource.key} "{attributes.name}" is forbidden: unable to create new content in '
            f"namespace {namespace} because it is being terminated"
        )
        cause = {
            "reason": "NamespaceTerminating",
            "message": f"namespace {namespace} is being terminated",
            "field": "metadata.namespace",
        }
        raise Forbidden(message, {"name": attributes.name, "kind": resource.plural, "causes": [cause]})


class Namespaces:
    """Notes which namespaces must be looked at; `work` looks."""

    def __init__(self, store: Store, root_ca: str) -> None:
        self._store = store
        self._root_ca = root_ca
        self._waiting: dict[str, None] = {
            name_of(record.object): None for record in store.ledger.records(NAMESPACES)
        }
        self._stop = store.subscribe(self._note)

    def close(self) -> None:
        self._stop()

    @property
    def has_work(self) -> bool:
        return bool(self._waiting)

    def _note(self, change: Change) -> None:
        if change.resource == NAMESPACES:
            if change.type != "DELETED":
                self._waiting[name_of(change.object)] = None
            return
        if change.resource in (EVENTS, PODS) and change.type != "DELETED":
            return
        namespace = namespace_of(change.object)
        if not namespace:
            return
        record = self._store.ledger.get(NAMESPACES, ("", namespace))
        if record is None:
            return
        refill = change.type == "DELETED" and change.resource in (SERVICE_ACCOUNTS, CONFIG_MAPS)
        if is_deleting(record.object) or refill:
            self._waiting[namespace] = None

    def work(self) -> None:
        while self._waiting:
            name = next(iter(self._waiting))
            del self._waiting[name]
            namespace = self._store.find(NAMESPACES, name)
            if namespace is None:
                continue
            if is_deleting(namespace):
                self._empty(name, namespace)
            else:
                self._fill(name)

    def _fill(self, name: str) -> None:
        wanted: tuple[tuple[str, Object], ...] = (
            (SERVICE_ACCOUNTS, {"metadata": {"name": "default"}}),
            (CONFIG_MAPS, {"metadata": {"name": ROOT_CA}, "data": {"ca.crt": self._root_ca}}),
        )
        for kind, body in wanted:
            record = self._store.ledger.get(kind, (name, body["metadata"]["name"]))
            if record is not None and kind == CONFIG_MAPS and record.object.get("data") != body["data"]:
                # The authority is made anew with every start, also of a cluster that was kept.
                self._store.patch(kind, ROOT_CA, name, {"data": body["data"]}, write=_FILLING)
            if record is None:
                try:
                    self._store.create(kind, body, name, _FILLING)
                except (AlreadyExists, NotFound, Forbidden):
                    continue

    def _empty(self, name: str, namespace: Object) -> None:
        """Delete everything inside, then let the namespace go."""
        left = False
        for resource in self._store.catalogue.stored():
            if not resource.namespaced or resource.storage != resource.key:
                continue
            for record in tuple(self._store.ledger.records(resource.storage, name)):
                obj = record.object
                if not is_deleting(obj) or FOREGROUND in list_at(obj, "metadata", "finalizers"):
                    try:
                        self._store.delete(resource, name_of(obj), name, propagation="Background", write=_EMPTYING)
                    except NotFound:
                        continue
                if self._store.ledger.get(resource.storage, (name, name_of(obj))) is not None:
                    left = True
        if left:
            return

        def finalized(obj: Object) -> None:
            obj["spec"]["finalizers"] = [
                finalizer for finalizer in list_at(obj, "spec", "finalizers") if finalizer != "kubernetes"
            ]

        try:
            self._store.edit(NAMESPACES, name, None, finalized, subresource="finalize", write=_EMPTYING)
        except ApiError:
            return
