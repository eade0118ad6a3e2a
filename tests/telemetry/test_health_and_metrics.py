"""What probes and dashboards are told."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from kubernaut.concurrency import VirtualClock
from kubernaut.telemetry import Health, Heartbeat
from kubernaut.telemetry.metrics import Metrics


async def test_a_loop_that_stands_still_is_reported_and_recovers() -> None:
    clock = VirtualClock()
    health = Health()
    heart = Heartbeat(clock, limit_seconds=60)
    health.must_live("workflow loop", heart.check)
    assert health.alive().ok
    await clock.sleep(61)
    report = health.alive()
    assert not report.ok
    assert report.text == "[-]workflow loop failed: no progress for 61 s\ncheck failed\n"
    heart.beat()
    assert health.alive().text == "[+]workflow loop ok\ncheck passed\n"


def test_readiness_is_apart_from_liveness_and_a_broken_check_is_no_crash() -> None:
    health = Health()
    health.must_be_ready("jobs cache", lambda: "not synced")
    health.must_be_ready("broken", lambda: str(1 / 0))
    assert health.alive().ok
    report = health.ready()
    assert report.complaints["jobs cache"] == "not synced"
    assert "division" in str(report.complaints["broken"])


def test_the_exposition_has_the_names_dashboards_use_and_no_workflow_names() -> None:
    metrics = Metrics()
    metrics.workflows.labels(status="Completed").inc()
    metrics.steps.labels(status="Succeeded", action="kubernetes/scale_deployment").inc()
    metrics.action_seconds.labels(action="kubernetes/scale_deployment").observe(3)
    counts = {("controller", "create", "jobs.batch"): 4}
    metrics.count_requests(lambda: counts)
    families = {family.name: family for family in text_string_to_metric_families(metrics.text().decode())}
    assert families["workflowexecution"].samples[0].value == 1
    (sample,) = families["kubernetes_api_requests"].samples
    assert sample.labels == {"user": "controller", "verb": "create", "resource": "jobs.batch"}
    assert sample.value == 4
    labels = {key for family in families.values() for sample in family.samples for key in sample.labels}
    assert labels <= {"status", "action", "loop", "outcome", "le", "user", "verb", "resource"}


def test_two_controllers_in_one_process_do_not_share_metrics() -> None:
    one, other = Metrics(), Metrics()
    one.parallel_max.set(5)
    assert other.registry.get_sample_value("workflow_parallel_workers_max") == 0
    with pytest.raises(ValueError, match=r"[Dd]uplicated"):
        one.registry.register(one.parallel_max)
