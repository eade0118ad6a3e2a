"""The cluster as an action sees it: reading, and changes that are safe to make.

Every change names the object as it was read. It carries that object's uid and resourceVersion as a precondition,
so that it is made to what the author looked at or not at all; it is dry-run before it is made; and what it
changed is kept for the report and for the rollback.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import msgspec

from kubernaut.cluster import (
    Cluster,
    ClusterError,
    Conflict,
    Invalid,
    NotFound,
    OutcomeUnknown,
    PatchType,
    ResourceKind,
    TooManyRequests,
    kinds,
)
from kubernaut.cluster.discovery import served_kind
from kubernaut.sdk.errors import DryRunRefused
from kubernaut.sdk.journal import Journal, Made, Target, Verb
from kubernaut.sdk.undo import Object, Operations, differences

Body = Mapping[str, Any] | Sequence[Mapping[str, Any]]

# Of changes by `patch`; `apply` has the author name one.
_MANAGER = "kubernaut"

# Controllers write to busy objects several times a second; more conflicts than this in a row are a fight.
_TRIES = 6


class _Change(NamedTuple):
    """A patch as it is asked for, without the object's identity."""

    body: Body
    patch_type: PatchType
    field_manager: str = _MANAGER
    force: bool = False


class ClusterHandle:
    """Reads and changes objects, which are plain JSON dicts.

    In the dry-run pass (`is_dry_run`) a change is sent with `dryRun=All`: the API server authorises, validates and
    admits it, answers with what the object would become, and keeps nothing.

    All methods raise ClusterError and its kin (NotFound, Forbidden, Conflict, Invalid, Unreachable...); an author
    lets them rise unless there is something better to say: the runner tells them by name. A change that the
    dry run refuses ends the action before anything is done.
    """

    def __init__(
        self,
        cluster: Cluster,
        journal: Journal,
        *,
        rehearsed: Journal | None,
        before_change: Callable[[Made], Awaitable[None]] | None = None,
    ) -> None:
        # `rehearsed` is what the dry-run pass did; None makes this the dry-run pass.
        self._cluster = cluster
        self._journal = journal
        self._rehearsed = rehearsed
        self._before_change = before_change
        self._kinds: dict[tuple[str, str], ResourceKind] = {}

    @property
    def is_dry_run(self) -> bool:
        """Is this the pass that keeps nothing?"""
        return self._rehearsed is None

    async def get(self, kind: ResourceKind, name: str, namespace: str = "") -> Object:
        """One object. Raises NotFound, and ClusterError as every method."""
        self._know(kind)
        return await self._cluster.get(kind, name, namespace or None)

    async def find(self, kind: ResourceKind, name: str, namespace: str = "") -> Object | None:
        """One object, or None when it is not there. Raises ClusterError."""
        try:
            return await self.get(kind, name, namespace)
        except NotFound:
            return None

    async def list(
        self,
        kind: ResourceKind,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> list[Object]:
        """Objects of a kind, of all namespaces when none is given. Raises NotFound for an unserved kind."""
        self._know(kind)
        found = await self._cluster.list(
            kind, namespace or None, label_selector=label_selector, field_selector=field_selector
        )
        return found.items

    async def logs(self, pod: Object, container: str = "", *, tail_lines: int | None = None) -> str:
        """What a container has written; of the pod's only container when none is named.

        At most 1 MB of it. Raises NotFound, ClusterError (status 400) when the container has not started.
        """
        meta = pod["metadata"]
        return await self._cluster.logs(
            meta["namespace"], meta["name"], container or None, tail_lines=tail_lines, limit_bytes=1 << 20
        )

    async def patch(
        self, obj: Object, body: Body, patch_type: PatchType = "merge", *, field_manager: str = _MANAGER
    ) -> Object:
        """Change an object that was read; answers with what it is now (or would be, in the dry run).

        body: a JSON object for `merge` and `strategic`, a list of operations for `json`.
        field_manager: who is to own the fields (metadata.managedFields).

        Raises Conflict when somebody else changed the object's desired state since it was read (a controller's
        status updates in between do no harm), Invalid and Forbidden as the API server says.
        """
        return await self._change(obj, _Change(body, patch_type, field_manager))

    async def apply(
        self, manifest: Mapping[str, Any], namespace: str = "", *, field_manager: str, force: bool = False
    ) -> Object:
        """Server-side apply: create the object, or have it hold what the manifest says and nothing more of ours.

        manifest: with `apiVersion`, `kind` and `metadata.name`; any kind that the cluster serves.
        namespace: where it belongs; without a meaning for kinds that have none.
        field_manager: the owner of what is applied; fields that it applied before and leaves out now go.
        force: take fields that other managers own.

        Raises Conflict, whose `causes` name fields and managers, where others own a field and want it otherwise;
        and whenever somebody changed the object since this read it. NotFound for a kind that is not served.
        """
        kind = await self.kind_of(manifest)
        change = _Change(manifest, "apply", field_manager, force)
        before = await self.find(kind, str(manifest["metadata"]["name"]), namespace if kind.namespaced else "")
        if before is not None:
            return await self._change(before, change)
        place = {"metadata": {**manifest["metadata"], "namespace": namespace if kind.namespaced else ""}}
        target = _target("create", kind, place, manifest)
        made = self._rehearsed.find(target) if self._rehearsed is not None else None
        if made is None:
            try:
                after = await self._apply_new(target, kind, change, dry_run=True)
            except (Conflict, NotFound):
                raise
            except ClusterError as error:
                raise _refusal(error) from error
            # The uid of an object that was never made would name nothing.
            metadata = {key: value for key, value in after["metadata"].items() if key != "uid"}
            made = Made(target, None, {**after, "metadata": metadata})
        if not self.is_dry_run:
            async with self._changing(made):
                made = Made(target, None, await self._apply_new(target, kind, change, dry_run=False))
        self._journal.made.append(made)
        return made.after or {}

    async def kind_of(self, document: Mapping[str, Any]) -> ResourceKind:
        """The kind that a document says it is, also of custom resources. Raises NotFound if it is not served."""
        names = (str(document.get("apiVersion")), str(document.get("kind")))
        if names not in self._kinds:
            try:
                found = kinds.kind_of(dict(document))
            except KeyError:
                found = await served_kind(self._cluster, *names)
            self._know(found)
        return self._kinds[names]

    async def delete(self, obj: Object, *, grace_period_seconds: int | None = None) -> None:
        """Delete exactly the object that was read (by uid); that it is gone already is a success.

        grace_period_seconds: how long its processes may take to end; None leaves it to the object.

        Another object in its place is left alone. Raises Forbidden, and ClusterError as every method.
        """
        kind = self._kind(obj)
        target = _target("delete", kind, obj, {"grace": grace_period_seconds})
        made = Made(target, obj, None)
        if self._rehearsed is None or self._rehearsed.find(target) is None:
            try:
                await self._delete(kind, obj, grace_period_seconds, dry_run=True)
            except ClusterError as error:
                raise _refusal(error) from error
        if not self.is_dry_run:
            async with self._changing(made):
                await self._delete(kind, obj, grace_period_seconds, dry_run=False)
        self._journal.made.append(made)

    async def evict(self, pod: Object, *, grace_period_seconds: int | None = None) -> None:
        """Have exactly this pod (by uid) evicted: deleted, if its PodDisruptionBudgets allow it.

        That it is gone already is a success. grace_period_seconds as in `delete`.

        Raises TooManyRequests, whose `causes` name the budget, when it may not go now; try again later. Then
        nothing was done, and it is no refusal of the dry run either: budgets change with what the real pass does.
        """
        kind = self._kind(pod)
        target = _target("evict", kind, pod, {"grace": grace_period_seconds})
        made = Made(target, pod, None)
        if self._rehearsed is None or self._rehearsed.find(target) is None:
            try:
                await self._evict(kind, pod, grace_period_seconds, dry_run=True)
            except TooManyRequests:
                raise
            except ClusterError as error:
                raise _refusal(error) from error
        if not self.is_dry_run:
            async with self._changing(made):
                await self._evict(kind, pod, grace_period_seconds, dry_run=False)
        self._journal.made.append(made)

    async def create(self, kind: ResourceKind, body: Mapping[str, Any], namespace: str = "") -> Object:
        """Create an object; answers with what was made.

        body: with `metadata.name`; `namespace` is where it belongs, empty for kinds that have none.

        Raises AlreadyExists where somebody was faster than the real pass; what the dry run refuses, also since it
        is there already, ends the action before anything is done.
        """
        self._know(kind)
        target = _target("create", kind, {"metadata": {**body["metadata"], "namespace": namespace}}, body)
        made = self._rehearsed.find(target) if self._rehearsed is not None else None
        if made is None:
            try:
                after = await self._cluster.create(kind, body, namespace or None, dry_run=True)
            except ClusterError as error:
                raise _refusal(error) from error
            made = Made(target, None, after)
        if not self.is_dry_run:
            async with self._changing(made):
                made = Made(target, None, await self._cluster.create(kind, body, namespace or None))
        self._journal.made.append(made)
        return made.after or {}

    def undo_of(self, after: Object) -> Operations:
        """The JSON patch that takes back what `patch` answered with; empty when it changed nothing.

        It restores exactly the fields that this change changed, each after a test that nobody else has since.
        Raises nothing.
        """
        return self._journal.undo_of(after)

    async def read_again(self, obj: Object) -> Object:
        """The object as it is now. Raises NotFound, also when another of the same name stands in its place."""
        meta = obj["metadata"]
        now = await self._cluster.get(self._kind(obj), meta["name"], meta.get("namespace"))
        if now["metadata"].get("uid") != meta.get("uid"):
            raise NotFound(f"{obj.get('kind')} {meta['name']}: it was deleted and another one made", status=404)
        return now

    @asynccontextmanager
    async def _changing(self, made: Made) -> AsyncGenerator[None]:
        """Told before it is sent: a process killed in between leaves behind what it was about to do."""
        earlier = self._journal.attempted
        if made.is_effective:
            self._journal.attempted = True
            if self._before_change is not None:
                await self._before_change(made)
        try:
            yield
        except OutcomeUnknown:
            raise
        except ClusterError:
            self._journal.attempted = earlier
            raise

    async def _change(self, obj: Object, change: _Change) -> Object:
        kind = self._kind(obj)
        target = _target("patch", kind, obj, change.body)
        rehearsed = self._rehearsed.find(target) if self._rehearsed is not None else None
        if rehearsed is None:
            rehearsed = await self._rehearse_patch(kind, target, obj, change)
        if not self.is_dry_run:
            async with self._changing(rehearsed):
                rehearsed = await self._patch(kind, target, obj, change, rehearsed)
        self._journal.made.append(rehearsed)
        if rehearsed.after is None:
            raise AssertionError("a patch leaves an object")
        return rehearsed.after

    async def _apply_new(self, target: Target, kind: ResourceKind, change: _Change, *, dry_run: bool) -> Object:
        try:
            return await self._cluster.patch(
                kind,
                target.name,
                target.namespace or None,
                change.body,
                "apply",
                dry_run=dry_run,
                field_manager=change.field_manager,
                force=change.force,
            )
        except OutcomeUnknown:
            now = await self.find(kind, target.name, target.namespace)
            if now is None or change.field_manager not in managers_of(now):
                raise
            return now

    async def _rehearse_patch(self, kind: ResourceKind, target: Target, obj: Object, change: _Change) -> Made:
        try:
            before, after = await self._patch_as_read(kind, obj, change, dry_run=True)
        except NotFound:
            raise
        except ClusterError as error:
            if change.patch_type == "apply" and isinstance(error, Conflict):
                raise
            is_json = change.patch_type == "json" and not error.causes
            raise _refusal(error, _HINT_JSON if is_json else "") from error
        return Made(target, before, after)

    async def _patch(
        self, kind: ResourceKind, target: Target, obj: Object, change: _Change, rehearsed: Made
    ) -> Made:
        try:
            before, after = await self._patch_as_read(kind, obj, change, dry_run=False)
        except OutcomeUnknown:
            now = await self.read_again(obj)
            if not _shows(now, rehearsed):
                raise
            before, after = obj, now
        return Made(target, before, after)

    async def _patch_as_read(
        self, kind: ResourceKind, obj: Object, change: _Change, *, dry_run: bool
    ) -> tuple[Object, Object]:
        """Send until the object stood still; before and after.

        Sending again is safe, also after an unknown outcome: the resourceVersion admits one of them at most.
        """
        meta = obj["metadata"]
        before = obj
        unsure = False
        for attempt in range(1, _TRIES + 1):
            guarded = _guarded(change.body, before, change.patch_type)
            try:
                after = await self._cluster.patch(
                    kind,
                    meta["name"],
                    meta.get("namespace"),
                    guarded,
                    change.patch_type,
                    dry_run=dry_run,
                    field_manager=change.field_manager,
                    force=change.force,
                )
            except (Conflict, OutcomeUnknown) as error:
                now = await self.read_again(obj)
                unchanged = _version(now) == _version(before)
                if unsure and not unchanged:
                    # What stands in our way may be our own earlier sending.
                    raise OutcomeUnknown(str(error)) from error
                unsure = unsure or isinstance(error, OutcomeUnknown)
                if attempt == _TRIES or (unsure and not unchanged):
                    raise
                if isinstance(error, Conflict) and (unchanged or not _same_intent(before, now)):
                    raise
                before = now
            else:
                return before, after
        raise AssertionError("the last try raises or answers")

    async def _delete(self, kind: ResourceKind, obj: Object, grace: int | None, *, dry_run: bool) -> None:
        meta = obj["metadata"]
        for attempt in range(1, _TRIES + 1):
            try:
                await self._cluster.delete(
                    kind,
                    meta["name"],
                    meta.get("namespace"),
                    uid=meta["uid"],
                    grace_period_seconds=grace,
                    dry_run=dry_run,
                )
            except (NotFound, Conflict):
                # The uid precondition fails only when another object has taken the place: ours is gone.
                if await self._is_gone(obj):
                    return
                raise
            except OutcomeUnknown:
                if attempt == _TRIES:
                    raise
            else:
                return

    async def _evict(self, kind: ResourceKind, pod: Object, grace: int | None, *, dry_run: bool) -> None:
        meta = pod["metadata"]
        options: Object = {"preconditions": {"uid": meta["uid"]}}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": meta["name"], "namespace": meta["namespace"]},
            "deleteOptions": options,
        }
        for attempt in range(1, _TRIES + 1):
            try:
                await self._cluster.create(
                    kind, body, meta["namespace"], name=meta["name"], subresource="eviction", dry_run=dry_run
                )
            except (NotFound, Conflict):
                if await self._is_gone(pod):
                    return
                raise
            except OutcomeUnknown:
                # By uid, an eviction may be asked for again.
                if attempt == _TRIES:
                    raise
            else:
                return

    async def _is_gone(self, obj: Object) -> bool:
        try:
            await self.read_again(obj)
        except NotFound:
            return True
        return False

    def _know(self, kind: ResourceKind) -> None:
        self._kinds[(kind.api_version, kind.kind)] = kind

    def _kind(self, obj: Object) -> ResourceKind:
        known = self._kinds.get((str(obj.get("apiVersion")), str(obj.get("kind"))))
        return known or kinds.kind_of(obj)


def managers_of(obj: Object) -> dict[str, Any]:
    """Field manager -> what it owns (metadata.managedFields), without those that only wrote the status.

    Raises KeyError for what is no object of a cluster.
    """
    entries: list[Object] = obj["metadata"].get("managedFields") or []
    return {
        str(entry.get("manager")): entry.get("fieldsV1")
        for entry in entries
        if entry.get("subresource") != "status"
    }


def _target(verb: Verb, kind: ResourceKind, obj: Mapping[str, Any], body: object) -> Target:
    meta = obj["metadata"]
    asked = msgspec.json.encode(body, order="sorted")
    name = meta.get("name") or meta.get("generateName", "")
    return Target(verb, kind.api_version, kind.kind, meta.get("namespace") or "", name, asked)


def _guarded(body: Body, obj: Object, patch_type: PatchType) -> Body:
    """The patch with the object's identity in it: the API server answers Conflict when it is no longer so."""
    meta = obj["metadata"]
    if not isinstance(body, Mapping):
        version = {"op": "replace", "path": "/metadata/resourceVersion", "value": meta["resourceVersion"]}
        return [{"op": "test", "path": "/metadata/uid", "value": meta["uid"]}, version, *body]
    if patch_type == "json":
        raise TypeError("a json patch is a list of operations")
    identity = {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}
    return {**body, "metadata": {**body.get("metadata", {}), **identity}}


def _version(obj: Object) -> str:
    return str(obj["metadata"].get("resourceVersion"))


def _same_intent(before: Object, now: Object) -> bool:
    """Did only controllers write in between (status, their annotations), so that the decision still stands?"""
    old, new = before["metadata"], now["metadata"]
    if new.get("deletionTimestamp") and not old.get("deletionTimestamp"):
        return False
    if old.get("generation") and new.get("generation"):
        return bool(old["generation"] == new["generation"] and old.get("labels") == new.get("labels"))
    return not differences(before, now)


def _shows(now: Object, rehearsed: Made) -> bool:
    """Does the object have what the change was to bring?"""
    if rehearsed.before is None or rehearsed.after is None:
        return False
    wanted = {d.parts: d.after for d in differences(rehearsed.before, rehearsed.after)}
    missing = {d.parts for d in differences(now, rehearsed.after)}
    return bool(wanted) and not any(parts in missing for parts in wanted)


# The API server does not say which operation of a JSON patch failed.
_HINT_JSON = " (an operation of the JSON patch does not fit: the object is not, or no longer, as it expects)"


def _refusal(error: ClusterError, hint: str = "") -> DryRunRefused:
    return DryRunRefused(type(error).__name__, f"{error}{hint if isinstance(error, Invalid) else ''}")
