"""What an action reads of the Secrets and ConfigMaps that are mounted into it."""

from pathlib import Path

from action_worlds import ActionWorld
from kubernaut.sdk import Inputs, Outputs, Run, action


class LookInputs(Inputs, frozen=True, kw_only=True):
    key: str = "token"


class LookOutputs(Outputs, frozen=True, kw_only=True):
    level: str
    token: str


@action(
    "test/look",
    version="1.0.0",
    description="Looks at them.",
    secrets=["git-login"],
    config_maps=["team.settings"],
)
async def look(inputs: LookInputs, run: Run) -> LookOutputs:
    return LookOutputs(level=run.config("team.settings", "level"), token=run.secret("git-login", inputs.key))


def mounted(folder: Path) -> dict[str, str]:
    for name, key, value in (("secret", "token", "hunter2-hunter2\n"), ("config", "level", "high")):
        (folder / name).mkdir()
        (folder / name / key).write_text(value)
    return {
        "KUBERNAUT_SECRET_DIR_GIT_LOGIN": str(folder / "secret"),
        "KUBERNAUT_CONFIGMAP_DIR_TEAM_SETTINGS": str(folder / "config"),
    }


async def test_an_action_reads_them_by_name_and_the_runner_keeps_secrets_to_itself(
    world: ActionWorld, tmp_path: Path
) -> None:
    ran = await world.run(look, {}, fenced=False, **mounted(tmp_path))
    assert ran.code == 0, ran.err
    assert ran.outputs["level"] == "high"
    assert "hunter2" not in ran.out + ran.err + str(ran.message)


async def test_a_key_that_is_missing_is_a_refusal_that_names_it(world: ActionWorld, tmp_path: Path) -> None:
    ran = await world.run(look, {"key": "pin"}, fenced=False, **mounted(tmp_path))
    assert (ran.code, ran.message["reason"], ran.message["executed"]) == (66, "DependencyMissing", "no")
    assert "git-login gives no text for the key pin" in ran.message["message"]


async def test_by_hand_it_says_which_variable_to_set(world: ActionWorld) -> None:
    ran = await world.run(look, {}, fenced=False)
    assert ran.message["reason"] == "DependencyMissing"
    assert "KUBERNAUT_CONFIGMAP_DIR_TEAM_SETTINGS" in ran.message["message"]


def test_the_contract_names_them() -> None:
    asked = look.contract.spec.dependencies
    assert (asked.secrets, asked.config_maps) == (("git-login",), ("team.settings",))
