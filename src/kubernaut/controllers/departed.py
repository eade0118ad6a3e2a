"""What pods said last that are gone while their Job is still there.

A pod that was evicted, or whose node was lost, is gone before its Job has failed, and the Job does not say which
of them it was. Kept in memory only: after a restart less is known, and less is claimed.
"""

from collections import defaultdict

from kubernaut.cluster import Informer, Json, Key
from kubernaut.controllers.parts import parts


class DepartedPods:
    """The last states of such pods, by the uid of their Job."""

    def __init__(self, pods: Informer, jobs: Informer) -> None:
        self._jobs = jobs
        self._of: dict[str, list[Json]] = defaultdict(list)
        pods.subscribe(self._keep)
        jobs.subscribe(self._forget)

    def of(self, job_uid: str) -> list[Json]:
        """The pods of one Job that are gone."""
        return self._of.get(job_uid, [])

    def _keep(self, key: Key, old: Json | None, new: Json | None) -> None:
        if old is None or (new is not None and new["metadata"]["uid"] == old["metadata"]["uid"]):
            return
        for owner in parts(old, "metadata", "ownerReferences"):
            job = self._jobs.get(owner["name"], key[0]) if owner["kind"] == "Job" else None
            if job is not None and job["metadata"]["uid"] == owner["uid"]:
                self._of[owner["uid"]].append({"metadata": old["metadata"], "status": old.get("status", {})})

    def _forget(self, _key: Key, old: Json | None, new: Json | None) -> None:
        if old is not None and (new is None or new["metadata"]["uid"] != old["metadata"]["uid"]):
            self._of.pop(old["metadata"]["uid"], None)
