"""What the controller's door knows: catalogue, contracts of other images, engines, the judge of CEL."""

from collections.abc import Callable
from dataclasses import replace

from kubernaut.admission import Door, images_to_read
from kubernaut.api.action import ActionExecution
from kubernaut.api.definition import ActionDefinition
from kubernaut.api.workflow import WorkflowExecution
from kubernaut.controllers.caches import Caches, Decoded
from kubernaut.controllers.contracts import ImageContracts
from kubernaut.planning.facts import Obstacle

CheckCel = Callable[[str], str | None]

ENGINES = frozenset({"job"})


class Doors:
    """Makes a Door of what is known now, for the judgement of one object."""

    def __init__(
        self, caches: Caches, check_cel: CheckCel, contracts: ImageContracts, max_workflow_seconds: float
    ) -> None:
        self._caches = caches
        self._definitions = Decoded(caches.definitions, ActionDefinition)
        self._check_cel = check_cel
        self._contracts = contracts
        self._max_workflow_seconds = max_workflow_seconds

    def door(self) -> Door:
        """For what needs no more than the catalogue."""
        definitions = map(self._definitions.view, self._caches.definitions.items())
        return Door(
            catalogue={definition.spec.action_type: definition for definition in definitions},
            engines=ENGINES,
            cel_error=self._check_cel,
            max_workflow_seconds=self._max_workflow_seconds,
        )

    def door_for_action(self, execution: ActionExecution) -> tuple[Door, Obstacle | None]:
        """For an execution without a workflow, with the contract of its image where that is its own."""
        return self._with_contracts(self.door(), execution)

    def door_for(
        self, workflow: WorkflowExecution, earlier: WorkflowExecution | None
    ) -> tuple[Door, Obstacle | None]:
        """With the contracts of images that the workflow names, and what keeps them from being known yet.

        `earlier` is what `spec.retryOf` names.
        """
        return self._with_contracts(replace(self.door(), earlier=earlier), workflow)

    def _with_contracts(
        self, door: Door, asked: WorkflowExecution | ActionExecution
    ) -> tuple[Door, Obstacle | None]:
        images, meta = images_to_read(asked, door.catalogue), asked.metadata
        known = self._contracts.of(images, (meta.namespace, meta.name))
        whole = replace(
            door,
            contracts=known.contracts,
            unreadable=known.unreadable,
            awaited=known.awaited,
        )
        return whole, known.obstacle
