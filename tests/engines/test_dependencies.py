"""Secrets and ConfigMaps that a contract names are mounted, read-only, where the pages say."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kubernaut.admission import check_contract
from kubernaut.api.action import ActionExecution, ActionSpec
from kubernaut.api.contract import ContractSpec, Dependencies
from kubernaut.api.meta import ObjectMeta
from kubernaut.engines.job import compile_job

NAMES = st.lists(st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,10}[a-z0-9])?", fullmatch=True), max_size=4)


def pod_of(dependencies: Dependencies) -> dict[str, Any]:
    spec = ActionSpec(
        action_type="team/act",
        image="r.example/act@sha256:" + "a" * 64,
        contract=ContractSpec(fenced=True, dependencies=dependencies),
    )
    meta = ObjectMeta(name="act", namespace="kubernaut-workflows", uid="e-1")
    execution = ActionExecution(metadata=meta, spec=spec)
    job = compile_job(execution, 1, suspended=False, grace_seconds=30)
    pod: dict[str, Any] = job["spec"]["template"]["spec"]
    return pod


def test_each_has_a_folder_of_its_own_and_a_variable_that_names_it() -> None:
    pod = pod_of(Dependencies(secrets=("git-credentials",), config_maps=("team.settings",)))
    (container,) = pod["containers"]
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    variables = {one["name"]: one.get("value") for one in container["env"]}
    for path, variable, kind, key, name in (
        (
            "/run/kubernaut/secrets/git-credentials",
            "KUBERNAUT_SECRET_DIR_GIT_CREDENTIALS",
            "secret",
            "secretName",
            "git-credentials",
        ),
        (
            "/run/kubernaut/configmaps/team.settings",
            "KUBERNAUT_CONFIGMAP_DIR_TEAM_SETTINGS",
            "configMap",
            "name",
            "team.settings",
        ),
    ):
        assert mounts[path]["readOnly"] is True
        assert volumes[mounts[path]["name"]][kind][key] == name
        assert variables[variable] == path


@given(NAMES, NAMES)
def test_dependencies_that_the_door_lets_in_never_meet(secrets: list[str], config_maps: list[str]) -> None:
    asked = Dependencies(secrets=tuple(secrets), config_maps=tuple(config_maps))
    if check_contract(ContractSpec(dependencies=asked), "contract"):
        return
    pod = pod_of(asked)
    (container,) = pod["containers"]
    for found in (
        [volume["name"] for volume in pod["volumes"]],
        [mount["mountPath"] for mount in container["volumeMounts"]],
        [one["name"] for one in container["env"]],
    ):
        assert len(found) == len(set(found))


def test_names_that_one_variable_would_stand_for_are_refused() -> None:
    broken = check_contract(ContractSpec(dependencies=Dependencies(secrets=("a-b", "a.b"))), "contract")
    assert [fault.path for fault in broken] == ["contract.dependencies.secrets[1]"]
