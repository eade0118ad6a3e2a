"""Which sets of policies are taken, and that a bad one is refused as a whole with file and line of each fault."""

from pathlib import Path

import pytest

from kubernaut.safety.rego import (
    PolicySet,
    UnreadableSet,
    from_config_maps,
    from_paths,
    judge,
    shipped,
    with_library,
)

from .policies import HEAD, faults_of, loaded

# Each goes through a process of its own, whose start a busy machine makes slow.
pytestmark = pytest.mark.journey


async def test_a_set_that_does_not_compile_names_file_and_line_of_each_faulty_file() -> None:
    good, broken = f"{HEAD}allow if true\n", "package kubernaut.b\n\nallow if {\n\tinput.x ==\n}\n"
    faults = await faults_of(good, broken, "package kubernaut.c\nallow if {\n")
    assert [fault.split(" ")[0] for fault in faults] == ["b.rego:5:1:", "c.rego:3:1:"]
    unsafe = "package kubernaut.c\n\nallow if {\n\ty\n}\n"
    faults = await faults_of(good, unsafe, unsafe.replace("kubernaut.c", "kubernaut.d"))
    assert [fault.split(" ")[0] for fault in faults] == ["b.rego:4:2:", "c.rego:4:2:"]


async def test_files_of_one_package_see_one_another_s_rules() -> None:
    texts = (f'{HEAD}allow if ready\n\ndeny contains "a" if input.a == "1"\n', f"{HEAD}ready if input.b\n")
    async with loaded(*texts, f'{HEAD}deny contains "b" if input.a == "1"\n') as engine:
        assert (await judge(engine, {"b": 1})).allowed
        verdict = await judge(engine, {"a": "1"})
        assert [(one.message, one.file) for one in verdict.denials] == [("a", "a.rego"), ("b", "c.rego")]


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        ("deny[msg] { msg := 1 }\n", "Write `deny contains msg if {`."),
        ("allow { input.x }\n", "Write `if` before the `{`."),
    ],
)
async def test_rego_of_before_opa_1_is_refused_with_the_mend(text: str, mend: str) -> None:
    (fault,) = await faults_of(HEAD + text)
    assert "a.rego:2:" in fault
    assert "v0" in fault
    assert mend in fault


async def test_a_decision_that_nobody_would_ask_for_is_refused() -> None:
    (fault,) = await faults_of("package production\n\ndeny contains 1\n")
    assert fault.startswith("a.rego:3:1: nobody would ask for data.production.deny")
    assert "Name the package kubernaut.production." in fault


async def test_decisions_of_another_shape_are_refused() -> None:
    (fault,) = await faults_of(f"{HEAD}deny if input.x\n")
    assert fault.startswith("a.rego:2:1: deny must be a set of messages")
    (fault,) = await faults_of(f"{HEAD}allow contains 1\n")
    assert "allow must be true or false" in fault
    (fault,) = await faults_of("package kubernaut.settings.x\n\na := 1\n")
    assert "holds parameters" in fault


async def test_what_always_fails_is_found_when_it_is_loaded() -> None:
    (fault,) = await faults_of(f'{HEAD}allow if true\n\ndeny contains to_number("x")\n')
    assert fault.startswith("a.rego:4:")


async def test_denies_of_every_sub_package_fire_and_name_their_line() -> None:
    deep = (
        'package kubernaut.x.y.z\n\n# ü\ndeny contains "first" if input.a\n\ndeny contains "second" if input.b\n'
    )
    async with loaded("package kubernaut\n\nallow if true\n", deep) as engine:
        assert (await judge(engine, {})).allowed
        verdict = await judge(engine, {"a": 1, "b": 1})
        assert [(one.message, one.file, one.line, one.rule) for one in verdict.denials] == [
            ("first", "b.rego", 4, "data.kubernaut.x.y.z.deny"),
            ("second", "b.rego", 6, "data.kubernaut.x.y.z.deny"),
        ]


async def test_a_rule_that_fails_on_an_input_denies_and_the_others_are_still_told() -> None:
    text = (
        f'{HEAD}allow if true\nwarn contains sprintf("%d", [1 / input.n])\ndeny contains "seen" if input.n == 0\n'
    )
    async with loaded(text) as engine:
        assert (await judge(engine, {"n": 1})).allowed
        verdict = await judge(engine, {"n": 0})
        assert [one.message for one in verdict.denials] == ["seen", "it could not be evaluated: divide by zero"]


async def test_the_order_of_modules_changes_neither_digest_nor_verdict(tmp_path: Path) -> None:
    texts = [f'package kubernaut.{name}\ndeny contains "{name}" if input.{name}\n' for name in "xyz"]
    texts.append("package kubernaut.q\nallow if true\n")
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.rego").write_text(text)
    paths = [tmp_path / f"{number}.rego" for number in range(4)]
    sets = [from_paths(paths), from_paths(reversed(paths)), from_paths([tmp_path])]
    assert len({one.digest for one in sets}) == 1
    async with loaded(*texts) as one, loaded(*reversed(texts)) as other:
        for document in ({}, {"x": 1}, {"x": 1, "z": 1}):
            first, second = await judge(one, document), await judge(other, document)
            assert first.allowed == second.allowed
            assert [f.message for f in first.denials] == [f.message for f in second.denials]


def test_the_digest_changes_with_everything_that_could_change_a_verdict() -> None:
    base = PolicySet((("a.rego", "package a"),), {"k": 1})
    others = [
        PolicySet((("a.rego", "package b"),), {"k": 1}),
        PolicySet((("b.rego", "package a"),), {"k": 1}),
        PolicySet((("a.rego", "package a"),), {"k": 2}),
        PolicySet((), {"k": 1}),
    ]
    assert len({one.digest for one in [base, *others]}) == 5
    assert base.digest.startswith("sha256:")


def test_config_maps_are_read_by_their_label(tmp_path: Path) -> None:
    def config_map(name: str, label: str, **data: str) -> dict[str, object]:
        metadata = {"namespace": "kubernaut-system", "name": name, "labels": {"kubernaut.ai/policy": label}}
        return {"kind": "ConfigMap", "metadata": metadata, "data": data}

    objects = [
        config_map("mine", "true", **{"a.rego": "package kubernaut.a", "s.yaml": "kubernaut: {settings: {x: 1}}"}),
        config_map("not", "false", **{"b.rego": "package kubernaut.b"}),
        {"metadata": {"name": "bare"}},
    ]
    found = from_config_maps(objects)
    assert found.sources == (("kubernaut-system/mine/a.rego", "package kubernaut.a"),)
    assert found.data == {"kubernaut": {"settings": {"x": 1}}}
    assert from_config_maps(reversed(objects)).digest == found.digest
    with pytest.raises(UnreadableSet, match=r"kubernaut-system/mine/s.yaml:2:1: "):
        from_config_maps([config_map("mine", "true", **{"s.yaml": "a: ["})])
    with pytest.raises(UnreadableSet, match="has another value in another file"):
        from_config_maps([config_map("x", "true", **{"a.yaml": "k: 1", "b.yaml": "k: 2"})])


def test_data_stand_where_their_folder_says(tmp_path: Path) -> None:
    (tmp_path / "kubernaut" / "settings").mkdir(parents=True)
    (tmp_path / "kubernaut" / "settings" / "mine.yaml").write_text("limit: 3\n")
    (tmp_path / ".hidden.yaml").write_text("[")
    assert from_paths([tmp_path]).data == {"kubernaut": {"settings": {"limit": 3}}}


def test_own_parameters_win_over_shipped_ones() -> None:
    own = PolicySet((), {"kubernaut": {"settings": {"limits": {"max_replicas": 7}}}})
    settings = with_library(own).data["kubernaut"]["settings"]
    assert settings["limits"]["max_replicas"] == 7
    assert (
        settings["limits"]["min_nodes_for_drain"]
        == shipped().data["kubernaut"]["settings"]["limits"]["min_nodes_for_drain"]
    )
