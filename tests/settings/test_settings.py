"""What somebody who sets a knob may rely on."""

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from kubernaut.settings import Settings, SettingsError, load_settings


def faults(**given: Any) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load_settings(**{"variables": {}, **given})
    return caught.value.faults


def written(folder: Path, text: str) -> Path:
    file = folder / "settings.yaml"
    file.write_text(text)
    return file


def test_without_anything_the_defaults_hold() -> None:
    loaded = load_settings(variables={})
    assert loaded.settings == Settings()
    assert {knob.source for knob in loaded.describe()} == {"default"}
    assert (loaded.settings.cluster.qps, loaded.settings.cluster.burst) == (20, 30)
    assert loaded.settings.execution.max_parallel_steps == 5


def test_flags_win_over_environment_over_file_over_preset(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "controller: {preset: large, workers: 3, healthPort: 81}\n"
        "cluster: {qps: 50}\nexecution: {gracePeriod: 1m}\n",
    )
    loaded = load_settings(
        file,
        {"KUBERNAUT_CONTROLLER_WORKERS": "4", "KUBERNAUT_CONTROLLER_HEALTH_PORT": "82"},
        {"controller.healthPort": 83, "controller.metricsPort": None},
    )
    settings = loaded.settings
    assert settings.execution.max_parallel_steps == 20
    assert (settings.cluster.qps, settings.cluster.burst) == (50, 400)
    assert (settings.controller.workers, settings.controller.health_port) == (4, 83)
    assert settings.controller.metrics_port == 9090
    assert settings.execution.grace_period == 60
    sources = {knob.path: knob.source for knob in loaded.describe()}
    assert sources["cluster.burst"] == "preset large"
    assert sources["cluster.qps"] == str(file)
    assert sources["controller.workers"] == "KUBERNAUT_CONTROLLER_WORKERS"
    assert sources["controller.healthPort"] == "flag controller.healthPort"


@pytest.mark.parametrize(
    ("preset", "numbers"),
    [("small", (5, 10, 15, 8)), ("medium", (10, 20, 30, 8)), ("large", (20, 200, 400, 32))],
)
def test_presets_have_their_numbers(preset: str, numbers: tuple[int, int, int, int]) -> None:
    settings = load_settings(variables={}, flags={"controller.preset": preset}).settings
    cluster, workers = settings.cluster, settings.controller.workers
    assert (settings.execution.max_parallel_steps, cluster.qps, cluster.burst, workers) == numbers


def test_the_older_names_still_work_in_environment_and_file(tmp_path: Path) -> None:
    variables = {
        "MAX_PARALLEL_STEPS": "7",
        "COMPLEXITY_APPROVAL_THRESHOLD": "12",
        "KUBERNETES_QPS": "33",
        "KUBERNETES_BURST": "44",
    }
    file = written(tmp_path, 'max-parallel-steps: "6"\nkubernetes-qps: "5"\nlogging: {level: debug}\n')
    from_file = load_settings(file, {}).settings
    assert (from_file.execution.max_parallel_steps, from_file.cluster.qps) == (6, 5)
    both = load_settings(file, variables).settings
    assert both.execution.max_parallel_steps == 7
    assert both.execution.complexity_approval_threshold == 12
    assert (both.cluster.qps, both.cluster.burst) == (33, 44)
    ours = load_settings(file, {**variables, "KUBERNAUT_CLUSTER_QPS": "55"}).settings
    assert ours.cluster.qps == 55


def test_the_file_may_be_named_by_the_environment_and_may_be_empty(tmp_path: Path) -> None:
    file = written(tmp_path, "# nothing\ncluster:\n")
    assert load_settings(variables={"KUBERNAUT_CONFIG": str(file)}).settings == Settings()


@pytest.mark.parametrize("style", ["maxParallelSteps", "max-parallel-steps", "max_parallel_steps"])
def test_names_may_be_written_in_any_usual_style(tmp_path: Path, style: str) -> None:
    file = written(tmp_path, f"execution: {{{style}: 9}}")
    assert load_settings(file, {}).settings.execution.max_parallel_steps == 9


def test_every_fault_is_found_at_once_with_its_place_and_the_nearest_name(tmp_path: Path) -> None:
    file = written(tmp_path, "controller: {helthPort: 1, workers: lots}\nlogging: {level: loud}\nxyz: 1\n")
    found = faults(
        file=file,
        variables={"KUBERNAUT_CONTROLLER_WORKRS": "4", "KUBERNAUT_CLUSTER_QPS": "-1"},
        flags={"execution.gracePeriod": "soon"},
    )
    assert found == [
        f"controller.helthPort ({file}): no such setting; did you mean controller.healthPort?",
        f"xyz ({file}): no such setting",
        "KUBERNAUT_CONTROLLER_WORKRS: no such setting; did you mean KUBERNAUT_CONTROLLER_WORKERS?",
        f"controller.workers ({file}): must be a whole number, not 'lots'",
        f"logging.level ({file}): must be one of 'debug', 'info', 'warning', 'error', not 'loud'",
        "cluster.qps (KUBERNAUT_CLUSTER_QPS): must be from 0.1 to 10000, not '-1'",
        'execution.gracePeriod (flag execution.gracePeriod): must be a duration such as "90s", "5m" '
        "or \"24h\", not 'soon'",
    ]


def test_values_that_contradict_each_other_are_refused() -> None:
    flags = {
        "controller.leaderElection.lease": "5s",
        "controller.metricsPort": 8080,
    }
    assert [fault.split()[0] for fault in faults(flags=flags)] == [
        "controller.leaderElection",
        "controller.metricsPort",
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: [", "not valid YAML"),
        ("- 1", "must be a mapping"),
        ("cluster: {qps: true}", "must be a number, not True"),
        ("cluster: {burst: 1.5}", "must be a whole number"),
        ("cluster: {context: 5}", "must be text"),
        ("execution: {workspaceSize: big}", "Kubernetes quantity"),
        ("execution: {maxWorkflowTimeout: 0}", "longer than 0 s"),
        ("registry: {plainHttp: 5}", "a list of texts, or one text with commas"),
        ("registry: {plainHttp: [a, 5]}", "a list of texts, or one text with commas"),
        ("execution: {maxParallelSteps: 1, max-parallel-steps: 2}", "set twice"),
        ("controller: {leaderElection: {enabled: perhaps}}", "true or false"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, text: str, complaint: str) -> None:
    (fault,) = faults(file=written(tmp_path, text))
    assert complaint in fault
    assert "settings.yaml" in fault


def test_a_missing_file_is_an_error_and_not_the_defaults(tmp_path: Path) -> None:
    (fault,) = faults(file=tmp_path / "nowhere.yaml")
    assert "nowhere.yaml cannot be read" in fault


def test_what_kubernetes_and_others_put_into_the_environment_is_left_alone() -> None:
    variables = {
        "KUBERNAUT_CONTROLLER_SERVICE_HOST": "10.0.0.1",
        "KUBERNAUT_CONTROLLER_SERVICE_PORT_HEALTH": "8080",
        "KUBERNAUT_CONTROLLER_PORT": "tcp://10.0.0.1:8080",
        "KUBERNAUT_CONTROLLER_PORT_8080_TCP_ADDR": "10.0.0.1",
        "KUBERNAUT_ATTEMPT": "1",
        "HOME": "/root",
    }
    assert load_settings(variables=variables).settings == Settings()


@pytest.mark.parametrize(
    ("written_as", "seconds"), [("90", 90), (90, 90), (1.5, 1.5), ("1h30m", 5400), ("250ms", 0.25)]
)
def test_durations_are_texts_or_seconds(written_as: object, seconds: float) -> None:
    loaded = load_settings(variables={}, flags={"retention.sweepInterval": written_as})
    assert loaded.settings.retention.sweep_interval == seconds


@pytest.mark.parametrize("written_as", ["a:5000, b", ["a:5000", " b "], "a:5000,,b,"])
def test_lists_are_lists_or_texts_with_commas(written_as: object) -> None:
    loaded = load_settings(variables={}, flags={"registry.plainHttp": written_as})
    assert loaded.settings.registry.plain_http == ("a:5000", "b")
    (knob,) = [knob for knob in loaded.describe() if knob.path == "registry.plainHttp"]
    assert knob.value == "a:5000,b"


def test_no_knob_is_without_a_meaning_and_each_can_be_set_by_its_own_description() -> None:
    knobs = load_settings(variables={}).describe()
    assert [knob.path for knob in knobs if len(knob.meaning) < 20] == []
    variables = {knob.variable: knob.default.strip('"') for knob in knobs if knob.default != '""'}
    assert load_settings(variables=variables).settings == Settings()
    leaves = sum(1 for _ in _leaves(Settings()))
    assert len(knobs) == leaves == len({knob.path for knob in knobs})


def _leaves(tree: Any) -> Any:
    for field in fields(tree):
        value = getattr(tree, field.name)
        if is_dataclass(value):
            yield from _leaves(value)
        else:
            yield field.name
