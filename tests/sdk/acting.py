"""Small actions for tests of the runner."""

from typing import Annotated

from msgspec import Meta

from kubernaut.sdk import Failed, Inputs, Outputs, Permission, Run, Secret, action, kinds

ON_CONFIG_MAPS = [Permission(api_groups=("",), resources=("configmaps",), verbs=("get", "patch", "create"))]


class SetInputs(Inputs, frozen=True, kw_only=True):
    name: str
    value: Annotated[str, Meta(max_length=100)]
    times: Annotated[int, Meta(ge=0, le=5)] = 1
    then: str = ""
    password: Secret | None = None


class SetOutputs(Outputs, frozen=True, kw_only=True):
    was: str
    told: str = ""


@action(
    "test/set_value",
    version="1.2.3",
    description="Sets `value` in ConfigMaps.",
    permissions=ON_CONFIG_MAPS,
    reversible=True,
)
async def set_value(inputs: SetInputs, run: Run) -> SetOutputs:
    was = ""
    for number in range(inputs.times):
        name = inputs.name if number == 0 else f"{inputs.name}-{number}"
        found = await run.cluster.get(kinds.CONFIG_MAPS, name, "shop")
        was = found["data"]["value"]
        await run.cluster.patch(found, {"data": {"value": inputs.value}})
    match inputs.then if not run.is_dry_run else "":
        case "fail":
            raise Failed("Sad", f"it is sad, {inputs.password}")
        case "break":
            raise RuntimeError(f"broken by {inputs.password}")
        case "print":
            print("chatter", inputs.password)  # noqa: T201
        case "wait":
            run.say("waiting now")

            async def for_ever() -> str:
                return "nothing comes"

            await run.wait_until(for_ever)
        case _:
            pass
    told = "x" * int(inputs.then[4:]) if inputs.then.startswith("big ") else (inputs.password or "")
    return SetOutputs(was=was, told=told)


class NameInputs(Inputs, frozen=True, kw_only=True):
    name: str


class Nothing(Outputs, frozen=True, kw_only=True):
    pass


@action(
    "test/delete_it",
    version="1.0.0",
    description="Deletes a ConfigMap.",
    permissions=[Permission(api_groups=("",), resources=("configmaps",), verbs=("get", "delete"))],
)
async def delete_it(inputs: NameInputs, run: Run) -> Nothing:
    found = await run.cluster.get(kinds.CONFIG_MAPS, inputs.name, "shop")
    await run.cluster.delete(found)
    await run.wait_until_gone(found)
    return Nothing()
