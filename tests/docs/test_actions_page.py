"""The page of actions says what the contracts say."""

import importlib.util
from pathlib import Path

import pytest

from kubernaut.cli.installing import shipped_contracts

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(20)
def test_the_page_of_actions_is_written_from_their_contracts() -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "scripts/generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    page = (ROOT / "docs/actions.md").read_text()
    assert generate.action_reference(shipped_contracts()) == page, "run make generate"


def test_every_input_and_output_says_what_it_is() -> None:
    for contract in shipped_contracts():
        silent = [p.name for p in (*contract.spec.inputs, *contract.spec.outputs) if not p.description]
        assert silent == [], contract.metadata.name
