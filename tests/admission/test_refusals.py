"""Every refusal of the door, by the name under which users know it."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace as changed

from kubernaut.admission import Door, check
from kubernaut.api.contract import ActionContract, ContractMeta, ContractSpec, Parameter
from kubernaut.api.meta import ObjectMeta
from kubernaut.api.workflow import (
    Backoff,
    Request,
    Retry,
    RetryOf,
    Step,
    StepPhase,
    StepStatus,
    WorkflowExecution,
    WorkflowPhase,
    WorkflowStatus,
)

from .makers import (
    DOOR,
    OTHER_IMAGE,
    SCALE,
    SECRET,
    definition,
    image_of,
    nothing,
    notify,
    refused,
    scale,
    workflow,
)


def test_a_good_workflow_passes() -> None:
    steps = (
        scale("scale-deployment"),
        notify(
            inputs={
                "text": "$(steps.scale-deployment.outputs.replicas) of $(params.name), $(workflow.name) $$(x)",
                "count": "$(steps.scale-deployment.outputs.replicas)",
                "ratio": "$(steps.scale-deployment.outputs.replicas)",
                "extra": {"nested": ["$(steps.scale-deployment.outputs.deployment)"]},
            },
            when=("steps['scale-deployment'].outputs.replicas > 3 && params.name == 'x'",),
            service_account_name="somebody-else",
            timeout="1m",
        ),
    )
    last = (nothing("tidy", "notify", when=("steps.exists(s, steps[s].phase == 'Failed')",)),)
    assert refused(*steps, finally_=last, parameters={"name": "x"}) == []


def test_everything_is_told_at_once() -> None:
    told = refused(
        scale("a", inputs={"replicas": "many", "replcas": 1}, run_after=("b", "lost")),
        Step(name="a", action_type="kubernetes/scale_deploymnt"),
        scale("b", run_after=("a",), timeout="20m", when=("params.",), service_account_name="root"),
        engine="tekton",
        timeout="48h",
    )
    assert [line.partition(":")[0] for line in told] == [
        "spec.engine",
        "spec.timeout",
        "spec.steps[1].name",
        "spec.steps[1].actionType",
        "spec.steps[2].serviceAccountName",
        "spec.steps[0].runAfter[1]",
        "spec.steps[0]",
        "spec.steps[0].inputs.replicas",
        "spec.steps[0].inputs.replcas",
        "spec.steps[2].when[0]",
        "spec.steps[2].timeout",
    ]


def test_an_unknown_action_type_names_the_nearest_and_all_that_there_are() -> None:
    assert refused(Step(name="a", action_type="kubernetes/scale-deployement")) == [
        "spec.steps[0].actionType: the catalogue has no action kubernetes/scale-deployement. "
        "Did you mean kubernetes/scale_deployment? "
        "Known: chat/notify, kubernetes/scale_deployment, test/nothing."
    ]


@pytest.mark.parametrize(
    "image",
    [
        "scale:latest",
        "scale",
        "scale@sha256:abc",
        image_of("scale")[:-1],
        f"{image_of('scale')}0",
        f"{image_of('scale')}\n",
    ],
)
def test_an_image_without_digest(image: str) -> None:
    told = refused(scale(image=image))
    assert told[0] == (
        "spec.steps[0].image: must name the image by digest. "
        "Write name@sha256:<64 hex digits>; a tag could change under the run."
    )


def test_an_image_of_which_nobody_knows_the_contract() -> None:
    image = f"evil.example/x@sha256:{'c' * 64}"
    assert refused(scale(image=image)) == [
        "spec.steps[0].image: is not the catalogue's, and its contract is not known. "
        f"Leave it out to run {image_of('scale_deployment')}."
    ]
    assert refused(scale(image=image), door=replace(DOOR, is_offline=True)) == []


def test_an_image_whose_contract_is_known_is_judged_by_that_contract() -> None:
    assert refused(scale(image=OTHER_IMAGE)) == []
    wants_more = ContractSpec(inputs=(*SCALE.inputs, Parameter(name="why", required=True)))
    door = replace(
        DOOR, contracts={OTHER_IMAGE: ActionContract(metadata=meta("scale_deployment"), spec=wants_more)}
    )
    assert refused(scale(image=OTHER_IMAGE), door=door) == [
        "spec.steps[0].inputs.why: a required input is missing. Give a value of type string."
    ]
    door = replace(DOOR, contracts={OTHER_IMAGE: ActionContract(metadata=meta("aws/stop"), spec=SCALE)})
    assert "the image's contract is that of aws/stop" in refused(scale(image=OTHER_IMAGE), door=door)[0]


def meta(name: str) -> ContractMeta:
    return ContractMeta(name=name, version="1.0.0")


def test_inputs_that_break_the_contract_each_with_its_path() -> None:
    inputs = {"namespace": "Prod", "replicas": 5000, "mode": "slow", "grace": "soon", "labels": [], "x": 1}
    step = Step(name="a", action_type="kubernetes/scale_deployment", inputs=inputs)
    assert refused(step) == [
        "spec.steps[0].inputs.namespace: does not match ^[a-z0-9-]+$",
        "spec.steps[0].inputs.replicas: must be at most 1000, is 5000",
        "spec.steps[0].inputs.mode: is not one of the allowed values. Allowed: fast, careful.",
        "spec.steps[0].inputs.grace: must be of type duration, not string",
        "spec.steps[0].inputs.labels: must be of type object, not array",
        "spec.steps[0].inputs.x: kubernetes/scale_deployment has no such input. "
        "Known: deployment, grace, labels, mode, namespace, replicas.",
        "spec.steps[0].inputs.deployment: a required input is missing. Give a value of type string.",
    ]


def test_a_parameter_of_the_wrong_type_is_told_where_it_is_used_and_where_it_comes_from() -> None:
    assert refused(scale(inputs={"replicas": "$(params.count)"}), parameters={"count": "3"}) == [
        "spec.steps[0].inputs.replicas: must be of type integer, not string. It comes from spec.parameters.count."
    ]
    assert refused(scale(inputs={"replicas": "$(params.count)"}), parameters={"count": 3}) == []
    assert refused(scale(inputs={"namespace": "n-$(params.env)"}), parameters={"env": "PROD"}) == [
        "spec.steps[0].inputs.namespace: does not match ^[a-z0-9-]+$. It comes from spec.parameters.env."
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("$(params.nam)", "no parameter nam is given in spec.parameters. Did you mean name?"),
        ("$(steps.scal.outputs.replicas)", "there is no step scal. Did you mean scale?"),
        (
            "$(steps.scale.outputs.replica)",
            "kubernetes/scale_deployment, the action of scale, has no output replica. Did you mean replicas?",
        ),
        ("$(steps.scale.outputs.token)", "the output token of scale is a secret and cannot be handed on"),
        ("$(steps.notify.outputs.x)", "notify refers to itself"),
        ("$(steps.tidy.outputs.x)", "tidy is a step of spec.finally, which runs after all main steps"),
        (
            "$(date)",
            "$(date) is no reference. Known: $(params.x), $(steps.<name>.outputs.<key>), $(workflow.name). "
            "Write $$( for a literal $(.",
        ),
        ("$(workflow.phase)", "$(workflow.phase) is no reference"),
    ],
)
def test_an_unknown_reference(text: str, said: str) -> None:
    told = refused(
        scale(), notify(inputs={"text": f"a {text}"}), finally_=(nothing("tidy"),), parameters={"name": "x"}
    )
    assert len(told) == 1
    assert told[0].startswith(f"spec.steps[1].inputs.text: {said}")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "text",
            "$(steps.scale.outputs.replicas)",
            "must be of type string, not integer. That is what the output replicas of scale promises.",
        ),
        ("count", "$(steps.scale.outputs.deployment)", "must be of type integer, not string"),
        (
            "count",
            "1$(steps.scale.outputs.replicas)",
            "must be of type integer, not string. A text with a reference in it is always text.",
        ),
        ("ok", "$(workflow.name)", "must be of type boolean, not string. Fields of the workflow are text."),
        ("extra", ["$(workflow.name)"], "must be of type object, not array"),
    ],
)
def test_a_reference_of_the_wrong_type(name: str, text: object, said: str) -> None:
    told = refused(scale(), notify(inputs={name: text}))
    assert len(told) == 1
    assert told[0].startswith(f"spec.steps[1].inputs.{name}: {said}")


def test_references_that_fit_pass_and_refused_producers_cause_no_second_fault() -> None:
    fits = {"text": "$(steps.scale.outputs.took)", "ratio": "$(steps.scale.outputs.replicas)"}
    assert refused(scale(), notify(inputs=fits)) == []
    unknown = Step(name="x", action_type="no/such")
    assert len(refused(unknown, notify(inputs={"count": "$(steps.x.outputs.y)"}))) == 1


def test_a_number_that_need_not_be_whole_is_no_integer() -> None:
    measured = ContractSpec(outputs=(Parameter(name="load", type="number"),), fenced=True)
    door = replace(DOOR, catalogue={**DOOR.catalogue, "test/measure": definition("test/measure", measured)})
    measure = Step(name="measure", action_type="test/measure")
    told = refused(measure, notify(inputs={"count": "$(steps.measure.outputs.load)"}), door=door)
    assert len(told) == 1
    assert told[0].startswith("spec.steps[1].inputs.count: must be of type integer, not number")
    assert refused(measure, notify(inputs={"ratio": "$(steps.measure.outputs.load)"}), door=door) == []


def test_a_cycle_names_its_true_members_in_order() -> None:
    told = refused(
        nothing("start"), nothing("a", "start", "c"), nothing("b", "a"), nothing("c", "b"), nothing("after", "c")
    )
    assert told == [
        "spec.steps[1]: these steps wait for each other: a -> c -> b -> a. "
        "Each waits for the next: take one dependency out."
    ]


def test_a_cycle_through_a_reference_and_a_condition() -> None:
    told = refused(
        scale("a", when=("steps.b.phase == 'Failed'",)),
        notify("b", inputs={"text": "$(steps.a.outputs.deployment)"}),
    )
    assert told[0].startswith("spec.steps[0]: these steps wait for each other: a -> b -> a")
    assert len(told) == 1


def test_a_cycle_among_finally_steps() -> None:
    told = refused(nothing("a"), finally_=(nothing("x", "y", "a"), nothing("y", "x")))
    assert told[0].startswith("spec.finally[0]: these steps wait for each other: x -> y -> x")


def test_unknown_and_self_dependencies() -> None:
    told = refused(nothing("first"), nothing("b", "b", "frist"))
    assert told == [
        "spec.steps[1].runAfter[0]: b refers to itself",
        "spec.steps[1].runAfter[1]: there is no step frist. Did you mean first?",
    ]


def test_a_main_step_that_waits_for_a_finally_step() -> None:
    told = refused(nothing("a", "tidy"), finally_=(nothing("tidy", "a"),))
    assert told == ["spec.steps[0].runAfter[0]: tidy is a step of spec.finally, which runs after all main steps"]


def test_duplicate_names_also_between_steps_and_finally() -> None:
    assert refused(nothing("a"), nothing("a"), finally_=(nothing("a"),)) == [
        "spec.steps[1].name: the name a is already used by spec.steps[0]. Give each step its own.",
        "spec.finally[0].name: the name a is already used by spec.steps[0]. Give each step its own.",
    ]


@pytest.mark.parametrize("name", ["", "A", "a_b", "-a", "a-", "a" * 64, "a\n", "ä"])
def test_malformed_names(name: str) -> None:
    assert refused(nothing(name)) == [
        "spec.steps[0].name: is malformed. Write a-z, 0-9 and hyphens, at most 63 characters."
    ]


@pytest.mark.parametrize(
    "value", ["hunter2", "$(params.p)", {"secretKeyRef": {"name": "$(params.p)", "key": "k"}}]
)
def test_a_secret_in_clear_is_refused_and_never_repeated(value: object) -> None:
    told = refused(notify(inputs={"token": value}), parameters={"p": "hunter2"})
    assert len(told) == 1
    assert "spec.steps[0].inputs.token: is a secret and " in told[0]
    assert "hunter2" not in told[0]


def test_secret_references_only_where_the_contract_says_secret() -> None:
    assert refused(notify(inputs={"extra": SECRET})) == [
        "spec.steps[0].inputs.extra: is no secret input: the contract takes no secret here. "
        "Only inputs that the contract marks secret take secretKeyRef."
    ]
    told = refused(nothing("a"), parameters={"token": SECRET})
    assert told[0].startswith("spec.parameters.token: a secret cannot be a parameter")
    env = {"env": [{"name": "A", "valueFrom": SECRET}]}
    assert refused(notify(inputs={"extra": env})) == []


def test_references_inside_parameters_are_not_filled_in() -> None:
    told = refused(nothing("a"), parameters={"x": ["$(steps.a.outputs.b)"], "y": "$(date)"})
    assert told == [
        "spec.parameters.x[0]: references are not filled in inside parameters. "
        "Write the reference into the input; $$( stands for a literal $(."
    ]


@pytest.mark.parametrize(("number", "is_kept"), [(2**63 - 1, True), (2**63, False), (-(2**63), True)])
def test_a_number_that_kubernetes_cannot_keep_is_refused_wherever_it_stands(number: int, is_kept: bool) -> None:
    bad = nothing("b", inputs={"x": [number]})
    everywhere = {
        "spec.steps[0].inputs.x[0]": refused(bad),
        "spec.finally[0].inputs.x[0]": refused(nothing("a"), finally_=(bad,)),
        "spec.parameters.x[0]": refused(nothing("a"), parameters={"x": [number]}),
    }
    for path, told in everywhere.items():
        assert (f"{path}: is a number beyond 64 bits" in told) is not is_kept


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("params.name = 'x'", "is no condition that can be asked: 1:13"),
        ("1 + 1", "is no condition that can be asked: 1:1: it gives int, not true or false"),
        ("steps.lost.phase == 'Failed'", "there is no step lost"),
        ("steps.b.phase == 'Failed'", "b refers to itself"),
        ("steps.tidy.phase == 'Failed'", "tidy is a step of spec.finally"),
        ("steps.a.phase == 'Completed'", "compares with a phase that there is not. Did you mean Succeeded?"),
        ("steps.a.status == 'x'", "a step has phase and outputs here, not status"),
        ("steps.a.outputs.replica > 1", "kubernetes/scale_deployment, the action of a, has no output replica"),
        ("params.nam == 'x'", "no parameter nam is given in spec.parameters. Did you mean name?"),
        ("steps.exists(s, steps[s].phase == 'Failed')", "it must be seen from the condition which steps"),
        ("['a'].all(s, steps[s].phase == 'Failed')", "it must be seen from the condition which steps"),
    ],
)
def test_a_condition_that_cannot_be_asked(expression: str, said: str) -> None:
    told = refused(
        scale("a"), nothing("b", when=(expression,)), finally_=(nothing("tidy"),), parameters={"name": "x"}
    )
    assert len(told) == 1, told
    assert told[0].startswith(f"spec.steps[1].when[0]: {said}")


@pytest.mark.parametrize(
    "expression",
    [
        "has(params.nam) && params.nam == 'x'",
        "params.?nam.orValue('x') == 'x'",
        "has(steps.a.outputs.replica)",
        "steps.a.outputs.size() > 1",
        "steps['a'].phase in ['Failed', 'TimedOut']",
        "params.name == 'all the steps'",
    ],
)
def test_a_condition_that_can_be_asked(expression: str) -> None:
    assert refused(scale("a"), nothing("b", when=(expression,)), parameters={"name": "x"}) == []


def test_a_timeout_over_the_limit_of_the_contract() -> None:
    assert refused(scale(timeout="15m"), notify(timeout="1m1s")) == [
        "spec.steps[1].timeout: is longer than the action's contract allows (1m)"
    ]
    assert refused(scale(timeout="0s")) == ["spec.steps[0].timeout: must be longer than nothing"]
    assert "is no duration" in refused(scale(timeout="5 min"))[0]


def test_a_timeout_of_the_workflow_out_of_bounds() -> None:
    assert refused(nothing("a"), timeout="25h") == ["spec.timeout: is longer than 24 hours"]
    assert refused(nothing("a"), timeout="0s") == ["spec.timeout: must be longer than nothing"]
    assert "spec.timeout: is no duration" in refused(nothing("a"), timeout="9" * 400 + "h")[0]


def test_waits_between_attempts_the_wrong_way_round() -> None:
    backoff = Backoff(base="6m", cap="5m")
    assert refused(nothing("a", retry=Retry(limit=1, backoff=backoff))) == [
        "spec.steps[0].retry.backoff.base: is above the cap of 5m"
    ]
    for wrong in (-1, 11):
        told = refused(nothing("a", retry=Retry(limit=wrong)))
        assert told == ["spec.steps[0].retry.limit: must be between 0 and 10"]
    assert refused(nothing("a", retry=Retry(limit=10))) == []
    backoff = Backoff(base="x", cap="99999h")
    assert len(refused(nothing("a", retry=Retry(limit=1, backoff=backoff)))) == 2


def test_an_unknown_engine_and_one_that_is_not_available() -> None:
    told = refused(nothing("a"), engine="argo")
    assert told == ["spec.engine: there is no such engine. Available: auto, job."]
    told = refused(nothing("a"), engine="tekton")
    assert told == ["spec.engine: the engine tekton is not available here. Available: auto, job."]
    assert refused(nothing("a"), engine="tekton", door=replace(DOOR, engines=frozenset({"job", "tekton"}))) == []


def test_a_service_account_that_the_step_may_not_choose() -> None:
    assert refused(scale(service_account_name="cluster-admin")) == [
        "spec.steps[0].serviceAccountName: kubernetes/scale_deployment runs as action-scale-deployment, "
        "and as nobody else. Leave it out."
    ]
    assert refused(scale(service_account_name="action-scale-deployment")) == []
    told = refused(notify(service_account_name="No Name"))
    assert told == ["spec.steps[0].serviceAccountName: is no name of a ServiceAccount"]


def test_the_reserved_field_cluster() -> None:
    told = refused(nothing("a", cluster="eu-1"))
    assert told == ["spec.steps[0].cluster: is reserved for runs in several clusters. Leave it out."]


def test_parallelism_out_of_bounds_and_no_steps() -> None:
    for wrong in (0, 51):
        assert refused(nothing("a"), parallelism=wrong) == ["spec.parallelism: must be between 1 and 50"]
    for right in (1, 50):
        assert refused(nothing("a"), parallelism=right) == []
    assert refused() == ["spec.steps: is empty. Give at least one step."]


def test_rollback_is_not_available_yet() -> None:
    assert refused(nothing("a"), rollback_of=RetryOf(name="earlier")) == [
        "spec.rollbackOf: rolling an execution back is not available yet. Leave it out."
    ]


def earlier(*records: StepStatus, is_over: bool = True, **meta: str) -> WorkflowExecution:
    before = workflow(nothing("a"), nothing("b"))
    status = WorkflowStatus(
        phase=WorkflowPhase.FAILED if is_over else WorkflowPhase.RUNNING,
        completed_at=datetime(2026, 1, 1, tzinfo=UTC) if is_over else None,
        steps=records,
    )
    return changed(before, metadata=ObjectMeta(**{"name": "earlier", "uid": "e", **meta}), status=status)


def retried(before: WorkflowExecution | None, *steps: Step, **again: str) -> list[str]:
    return refused(*steps, door=replace(DOOR, earlier=before), retry_of=RetryOf(**{"name": "earlier", **again}))


def test_a_retry_of_something_that_can_be_retried_passes() -> None:
    assert retried(earlier(), nothing("a"), nothing("b", "a"), nothing("c"), from_step="b", uid="e") == []


def test_a_retry_of_what_is_not_there() -> None:
    said = "spec.retryOf: there is no WorkflowExecution earlier in this namespace"
    assert retried(None, nothing("a")) == [said]
    assert retried(earlier(), nothing("a"), uid="other") == [f"{said} with this UID"]
    offline = replace(DOOR, is_offline=True)
    assert refused(nothing("a"), door=offline, retry_of=RetryOf(name="earlier")) == []


def test_a_retry_of_what_has_not_ended_or_of_itself() -> None:
    assert "earlier has not ended yet" in retried(earlier(is_over=False), nothing("a"))[0]
    assert "cannot retry itself" in retried(earlier(name="w", uid="uid"), nothing("a"), name="w")[0]


def test_a_retry_over_a_step_of_unknown_outcome() -> None:
    before = earlier(StepStatus(name="b", phase=StepPhase.INDETERMINATE))
    assert retried(before, nothing("a")) == [
        "spec.retryOf: nobody knows what became of b of earlier. Find out, then say so: kubernaut resolve."
    ]


def test_a_retry_over_a_step_of_which_a_person_has_spoken_since() -> None:
    ended = datetime(2026, 1, 1, tzinfo=UTC)
    before = earlier(StepStatus(name="b", phase=StepPhase.INDETERMINATE, completed_at=ended))
    said = Request(type="resolve", step="b", outcome="failed", at=ended)
    assert retried(changed(before, spec=changed(before.spec, requests=(said,))), nothing("a")) == []


def test_a_retry_that_runs_another_action_under_the_same_name() -> None:
    assert retried(earlier(), scale("b")) == [
        "spec.steps[0].actionType: earlier ran test/nothing in the step of this name. "
        "Keep the action type, or give the step a new name."
    ]


def test_a_retry_from_a_step_that_is_not_there() -> None:
    told = retried(earlier(), nothing("first"), from_step="frist")
    assert told == ["spec.retryOf.fromStep: there is no main step frist. Did you mean first?"]


def test_a_broken_entry_of_the_catalogue_is_told_as_such() -> None:
    broken = ContractSpec(inputs=(Parameter(name="x", pattern="("),))
    door = Door(catalogue={"test/broken": definition("test/broken", broken)})
    told = refused(Step(name="a", action_type="test/broken", inputs={"x": "y"}), door=door)
    assert told == [
        "spec.steps[0].actionType: the catalogue's entry is broken: contract.inputs[0].pattern "
        "is no regular expression. Whoever keeps the catalogue has to mend it."
    ]


def test_a_document_of_garbage_is_told_in_at_most_a_thousand_faults() -> None:
    inputs = {f"x{n}": n for n in range(5_000)}
    assert len(check(workflow(scale(inputs=inputs)), DOOR)) == 1_000
