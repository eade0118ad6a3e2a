"""A cluster that is kept in a file goes on where it ended."""

import sqlite3
from pathlib import Path

import pytest

from conformance.objects import definition
from kubernaut.devcluster import DevCluster
from kubernaut.devcluster.keeping import SqliteJournal

pytestmark = pytest.mark.timeout(20)
POD = {"containers": [{"name": "main", "image": "busybox:1"}], "nodeName": "devcluster"}
CONTAINER = {"name": "main", "ready": True, "image": "", "imageID": "", "restartCount": 0}
RUNNING = {"phase": "Running", "containerStatuses": [{**CONTAINER, "state": {"running": {}}}]}


async def test_objects_are_there_again_with_their_versions_and_none_is_used_twice(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "state")
    async with DevCluster(journal=journal) as cluster:
        kept = cluster.store.create("configmaps", {"metadata": {"name": "a"}, "data": {"x": "1"}}, "default")
        cluster.store.create("configmaps", {"metadata": {"name": "b"}}, "default")
        gone = cluster.store.delete("configmaps", "b", "default").object
        crd = definition("kept")
        cluster.store.create("customresourcedefinitions.apiextensions.k8s.io", crd)
        thing = {"metadata": {"name": "t"}, "spec": {"mode": "a"}}
        cluster.store.create("things.kept.example.com", thing, "default")
        last = cluster.store.ledger.version
    journal.close()
    journal = SqliteJournal(tmp_path / "state")
    async with DevCluster(journal=journal) as cluster:
        assert cluster.store.get("configmaps", "a", "default") == kept
        assert cluster.store.find("configmaps", "b", "default") is None
        assert cluster.store.get("things.kept.example.com", "t", "default")["spec"]["size"] == 1
        made = cluster.store.create("configmaps", {"metadata": {"name": "c"}}, "default")
        assert int(made["metadata"]["resourceVersion"]) > last >= int(gone["metadata"]["resourceVersion"])
        ca = cluster.store.get("configmaps", "kube-root-ca.crt", "default")
        assert ca["data"]["ca.crt"] == cluster.certificate_authority.decode()
    journal.close()


async def test_pods_that_may_not_be_started_again_have_failed_after_a_restart(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "state")
    async with DevCluster(journal=journal) as cluster:
        for name, policy in (("once", "Never"), ("ever", "Always")):
            body = {"metadata": {"name": name}, "spec": {**POD, "restartPolicy": policy}}
            cluster.store.create("pods", body, "default")
            cluster.store.edit_status("pods", name, "default", lambda pod: pod["status"].update(RUNNING))
    journal.close()
    journal = SqliteJournal(tmp_path / "state")
    async with DevCluster(journal=journal) as cluster:
        once = cluster.store.get("pods", "once", "default")["status"]
        assert once["phase"] == "Failed"
        assert once["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 137
        assert cluster.store.get("pods", "ever", "default")["status"]["phase"] == "Running"
    journal.close()


def test_the_file_is_for_its_owner_only_and_of_a_known_format(tmp_path: Path) -> None:
    path = tmp_path / "state"
    SqliteJournal(path).close()
    assert path.stat().st_mode & 0o077 == 0
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 9")
    database.close()
    with pytest.raises(sqlite3.DatabaseError, match="format 9"):
        SqliteJournal(path)
