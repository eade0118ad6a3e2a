"""What is served: one `Resource` per kind, with the `Rules` that its objects must keep.

In-process callers name a resource as kubectl does: the plural, then the group when there is one
(`pods`, `jobs.batch`, `workflowexecutions.workflowexecution.kubernaut.ai`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from .errors import Fault, NotFound
from .objects import Object
from .schema.nodes import ANY, Node
from .schema.walk import apply_defaults, prune

PODS = "pods"
NODES = "nodes"
EVENTS = "events"
SECRETS = "secrets"
SERVICES = "services"
NAMESPACES = "namespaces"
CONFIG_MAPS = "configmaps"
SERVICE_ACCOUNTS = "serviceaccounts"
PERSISTENT_VOLUMES = "persistentvolumes"
PERSISTENT_VOLUME_CLAIMS = "persistentvolumeclaims"
DEPLOYMENTS = "deployments.apps"
REPLICA_SETS = "replicasets.apps"
STATEFUL_SETS = "statefulsets.apps"
DAEMON_SETS = "daemonsets.apps"
JOBS = "jobs.batch"
CRON_JOBS = "cronjobs.batch"
LEASES = "leases.coordination.k8s.io"
POD_DISRUPTION_BUDGETS = "poddisruptionbudgets.policy"
STORAGE_CLASSES = "storageclasses.storage.k8s.io"
CUSTOM_RESOURCE_DEFINITIONS = "customresourcedefinitions.apiextensions.k8s.io"
ROLES = "roles.rbac.authorization.k8s.io"
ROLE_BINDINGS = "rolebindings.rbac.authorization.k8s.io"
CLUSTER_ROLES = "clusterroles.rbac.authorization.k8s.io"
CLUSTER_ROLE_BINDINGS = "clusterrolebindings.rbac.authorization.k8s.io"

Propagation = Literal["Background", "Foreground", "Orphan"]


class Rules:
    """The law of one kind. Each method has a lawful default; kinds override what they need.

    `old` and objects in store are never changed; `new`/`obj` may be edited in place by `default`
    and the `prepare_*` methods, and only read by the `validate*` methods.
    """

    def __init__(self, node: Node = ANY, *, has_status: bool = False) -> None:
        self.node = node
        self.has_status = has_status

    def decode(self, obj: Object) -> list[str]:
        """Drop unknown fields and fill defaults. Returns the unknown paths.

        Raises BadRequest when a value has a type that cannot be read.
        """
        unknown = prune(obj, self.node)
        self.default(obj)
        return unknown

    def default(self, obj: Object) -> None:
        apply_defaults(obj, self.node)

    def prepare_create(self, obj: Object) -> None:
        if self.has_status:
            obj.pop("status", None)

    def prepare_update(self, new: Object, old: Object) -> None:
        if self.has_status:
            _keep(new, old, "status")

    def prepare_status(self, new: Object, old: Object) -> None:
        _keep(new, old, "spec")

    def validate(self, obj: Object) -> Iterable[Fault]:
        return ()

    def validate_update(self, new: Object, old: Object) -> Iterable[Fault]:
        """Called after `validate` of the new object, for what may not change."""
        return ()

    def validate_status(self, new: Object, old: Object) -> Iterable[Fault]:
        return ()

    def bumps_generation(self, new: Object, old: Object) -> bool:
        return bool(new.get("spec") != old.get("spec"))

    def grace_period(self, obj: Object, asked: int | None) -> int:
        """Seconds between the wish to delete and the deletion; 0 deletes at once."""
        return 0

    def mark_deleting(self, obj: Object) -> None:
        """Edit an object that stays for a while after its deletion was asked for."""

    def holds_on(self, obj: Object) -> bool:
        """Whether a deleting object must stay for reasons other than finalizers and grace."""
        return False

    def warnings(self, obj: Object) -> Iterator[str]:
        """What `kubectl` prints as `Warning:`."""
        return iter(())


def _keep(new: Object, old: Object, part: str) -> None:
    if part in old:
        new[part] = old[part]
    else:
        new.pop(part, None)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`; `priority` above 0 shows with `-o wide` only."""

    name: str
    type: str = "string"
    description: str = ""
    priority: int = 0
    format: str = ""
    json_path: str = ""
    """Of custom resources; builtin kinds compute their cells."""


@dataclass(slots=True, kw_only=True)
class Resource:
    """One served kind in one version. `key` names its storage, which versions may share."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool
    rules: Rules = field(default_factory=Rules)
    singular: str = ""
    list_kind: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: frozenset[str] = frozenset()
    verbs: tuple[str, ...] = (
        "create",
        "delete",
        "deletecollection",
        "get",
        "list",
        "patch",
        "update",
        "watch",
    )
    columns: tuple[Column, ...] = ()
    has_generation: bool = False
    unconditional_update: bool = True
    creates_on_update: bool = False
    """Whether PUT of what does not exist creates it."""
    answers_deleted_object: bool = False
    default_propagation: Propagation = "Background"
    deletion_warning: str = ""
    """What a deletion without a propagation policy is answered with."""
    field_labels: tuple[str, ...] = ()
    """Field selectors beyond metadata.name and metadata.namespace."""
    storage_version: str = ""
    storage: str = ""
    """Key of the shelf in the ledger; kinds that are one thing under two groups share it."""
    name_rule: Callable[[str], list[str]] | None = None
    """Complaints about a name; None is the DNS subdomain rule."""
    convert_in: Callable[[Object], None] | None = None
    """Edit an object of this version into the stored one; None changes apiVersion only."""
    convert_out: Callable[[Object], Object] | None = None
    is_custom: bool = False
    definition: Object | None = None
    """The CustomResourceDefinition behind it."""

    def __post_init__(self) -> None:
        self.singular = self.singular or self.kind.lower()
        self.list_kind = self.list_kind or f"{self.kind}List"
        self.storage_version = self.storage_version or self.version
        self.storage = self.storage or self.key

    @property
    def key(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def stored_api_version(self) -> str:
        return f"{self.group}/{self.storage_version}" if self.group else self.storage_version


class Catalogue:
    """Every resource that is served now; custom ones come and go."""

    def __init__(self, resources: Iterable[Resource] = ()) -> None:
        self._served: dict[tuple[str, str, str], Resource] = {}
        self._by_key: dict[str, Resource] = {}
        self.edition = 0
        """Rises with every change, so that discovery can be kept until then."""
        for resource in resources:
            self.add(resource)

    def add(self, resource: Resource) -> None:
        self._served[resource.group, resource.version, resource.plural] = resource
        if resource.version == resource.storage_version or resource.key not in self._by_key:
            self._by_key[resource.key] = resource
        self.edition += 1

    def remove(self, key: str) -> None:
        """Stop serving every version of a resource."""
        self._by_key.pop(key, None)
        for place in [p for p, resource in self._served.items() if resource.key == key]:
            del self._served[place]
        self.edition += 1

    def get(self, key: str) -> Resource:
        """The storage version. Raises NotFound when nobody serves it."""
        try:
            return self._by_key[key]
        except KeyError:
            raise NotFound.page() from None

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        return self._served.get((group, version, plural))

    def of_kind(self, api_version: str, kind: str) -> Resource | None:
        """Any version of the group will do, as the garbage collector needs it."""
        group = api_version.rpartition("/")[0]
        for resource in self._served.values():
            if resource.group == group and resource.kind == kind:
                return resource
        return None

    def all(self) -> Sequence[Resource]:
        return tuple(self._served.values())

    def stored(self) -> Sequence[Resource]:
        """One per storage key."""
        return tuple(self._by_key.values())

    def __contains__(self, key: Any) -> bool:
        return key in self._by_key
