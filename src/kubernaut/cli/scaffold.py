"""The folder that `kubernaut action init` writes: a function, a test, a scenario, a page, a project file."""

import keyword
import re
import sys
from pathlib import Path
from string import Template

from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed

_NAME = re.compile(r"(?:(?P<domain>[a-z0-9][a-z0-9-]*)/)?(?P<short>[a-z][a-z0-9_-]*)")
# A module of one of these names would stand in the way of the real one, in tests and in the image.
_RESERVED = sys.stdlib_module_names | {"aiohttp", "kubernaut", "msgspec", "pytest", "src", "tests", "yaml"}

_PROJECT = Template("""\
[project]
name = "$folder"
version = "1.0.0"
requires-python = ">=3.11"
dependencies = ["kubernaut"]

[project.optional-dependencies]
test = ["pytest"]

[tool.kubernaut]
# The module that declares the action.
module = "$module"

[tool.pytest.ini_options]
pythonpath = ["src"]
testpaths = ["tests"]
""")

_ACTION = Template('''\
"""The action $type."""

from typing import Annotated

from msgspec import Meta

from kubernaut.sdk import DnsLabel, DnsName, Inputs, Outputs, Permission, Run, action, kinds


class ${title}Inputs(Inputs, frozen=True, kw_only=True):
    """What it takes; `labelKey` in YAML is `label_key` here."""

    namespace: Annotated[DnsLabel, Meta(description="Namespace of the pod.")]
    pod: Annotated[DnsName, Meta(description="The pod.")]
    label_key: Annotated[str, Meta(pattern="^[a-z0-9.-]+$$", max_length=63, description="Label to set.")]
    value: Annotated[str, Meta(max_length=63, description="What to set it to.")] = ""


class ${title}Outputs(Outputs, frozen=True, kw_only=True):
    """What it gives to later steps."""

    previous: Annotated[str, Meta(description="The value before; empty where there was none.")]


@action(
    "$type",
    version="1.0.0",
    description="Sets a label of a pod.",
    permissions=[Permission(api_groups=("",), resources=("pods",), verbs=("get", "patch"))],
    reversible=True,
    idempotent=True,
    timeout="30s",
)
async def $module(inputs: ${title}Inputs, run: Run) -> ${title}Outputs:
    """Runs twice: a dry run that keeps nothing, then for real."""
    pod = await run.cluster.get(kinds.PODS, inputs.pod, inputs.namespace)
    before = pod["metadata"].get("labels", {}).get(inputs.label_key, "")
    await run.cluster.patch(pod, {"metadata": {"labels": {inputs.label_key: inputs.value}}})
    return ${title}Outputs(previous=before)
''')

_TEST = Template('''\
"""$type, on a cluster of its own."""

import asyncio

from $module import $module
from kubernaut.sdk import kinds
from kubernaut.testing import trial_of

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "namespace": "shop", "labels": {"team": "old"}},
    "spec": {"containers": [{"name": "app", "image": "app:1"}]},
}


def test_the_label_is_set_and_nothing_else() -> None:
    async def story() -> None:
        async with trial_of($module) as trial:
            await trial.add(POD)
            inputs = {"namespace": "shop", "pod": "web", "labelKey": "team", "value": "new"}
            report = await trial.run(inputs)
            assert report.succeeded, report.message
            assert report.outputs == {"previous": "old"}
            pod = await trial.get(kinds.PODS, "web", "shop")
            assert pod["metadata"]["labels"] == {"team": "new"}
            assert trial.unused_permissions() == []

    asyncio.run(story())
''')

_WORKLOAD = Template("""\
# What the action is tried on; docs/simulator.md of kubernaut tells how pods can be ill.
apiVersion: v1
kind: Pod
metadata:
  name: web
  namespace: shop
  labels: {team: old}
spec:
  containers:
    - name: app
      image: registry.example/web:1
""")

_WORKFLOW = Template("""\
apiVersion: workflowexecution.kubernaut.ai/v1alpha1
kind: WorkflowExecution
metadata:
  name: $folder
spec:
  steps:
    - name: $folder
      actionType: $type
      inputs: {namespace: shop, pod: web, labelKey: team, value: new}
""")

_EXPECTATION = Template("""\
story: A pod of another team gets the label of ours.
well:
  - {object: pod/web, namespace: shop, is: {status.phase: Running}}
workflows:
  $folder: {phase: Completed}
mended:
  - {object: pod/web, namespace: shop, is: {metadata.labels.team: new}}
quiet: 5s
""")

_README = Template("""\
# $type

Sets a label of a pod. The function is in `src/$module/__init__.py`; its contract follows from its types.

Test it, on a cluster inside the test:

    pip install kubernaut pytest
    pytest

Run it in its scenarios, which are in `scenarios/`, and see whether it declares just the permissions that it uses:

    kubernaut action prove .

See what is wrong with it, and its contract:

    kubernaut action lint .
    kubernaut action contract .

Try it on a cluster, as you, without anything installed:

    kubernaut dev up
    export KUBECONFIG=~/.local/state/kubernaut/dev/kubeconfig
    kubectl run web --image=nginx
    kubernaut action run --local . -i namespace=default -i pod=web -i labelKey=team -i value=shop

Install it there, and run it as kubernaut does, with its own account:

    kubernaut action install .
    kubernaut action run $type -i namespace=default -i pod=web -i labelKey=team -i value=shop --wait

For other clusters make a complete image, put it where they can pull it, and let it touch a namespace:

    kubernaut action build .
    kubernaut action install . --registry registry.example/team --target-namespace shop

Before a release: `kubernaut action contract diff OLD .` says whether users have to change anything, and which
version tells them so.
""")


def write_package(name: str, parent: Path) -> list[Path]:
    """Writes the folder of a new action, `[domain/]short_name`; answers with its files, the folder first.

    Raises CommandFailed for a name that cannot be one, and where the folder is there already.
    """
    found = _NAME.fullmatch(name)
    if found is None or not _is_free(_module(found["short"])):
        raise CommandFailed(
            f"{name[:100]!r} can be no name of an action",
            mend="Write for example label-pod or team/label_pod.",
            code=Exit.USAGE,
        )
    module = _module(found["short"])
    words = {
        "type": f"{found['domain'] or 'example'}/{module}",
        "module": module,
        "folder": module.replace("_", "-"),
        "title": "".join(part.title() for part in module.split("_")),
    }
    folder = parent / words["folder"]
    if folder.exists():
        raise CommandFailed(
            f"{folder} is there already", mend="Choose another name, or another --in.", code=Exit.REFUSED
        )
    files = {
        "README.md": _README,
        "pyproject.toml": _PROJECT,
        f"src/{module}/__init__.py": _ACTION,
        f"tests/test_{module}.py": _TEST,
        f"scenarios/{words['folder']}/workload.yaml": _WORKLOAD,
        f"scenarios/{words['folder']}/workflow.yaml": _WORKFLOW,
        f"scenarios/{words['folder']}/expectation.yaml": _EXPECTATION,
    }
    written = [folder]
    for path, template in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        # "x": whatever came between is nobody's to overwrite.
        with (folder / path).open("x", encoding="utf-8") as file:
            file.write(template.substitute(words))
        written.append(folder / path)
    return written


def _is_free(module: str) -> bool:
    return module.isidentifier() and not keyword.iskeyword(module) and module not in _RESERVED


def _module(short: str) -> str:
    return short.replace("-", "_").strip("_")
