"""What the controller's door knows: the catalogue as it is in the caches, the engines, the judge of CEL."""

from collections.abc import Callable, Mapping

from kubernaut.admission import Door
from kubernaut.api.contract import ActionContract
from kubernaut.api.definition import ActionDefinition
from kubernaut.api.workflow import WorkflowExecution
from kubernaut.controllers.caches import Caches, Decoded

CheckCel = Callable[[str], str | None]

ENGINES = frozenset({"job"})


class Doors:
    """Makes a Door of what is known now, for the judgement of one object."""

    def __init__(
        self, caches: Caches, check_cel: CheckCel, contracts: Mapping[str, ActionContract] | None = None
    ) -> None:
        self._caches = caches
        self._definitions = Decoded(caches.definitions, ActionDefinition)
        self._check_cel = check_cel
        self._contracts = contracts or {}

    def door(self, earlier: WorkflowExecution | None = None) -> Door:
        """`earlier` is what `spec.retryOf` names."""
        definitions = map(self._definitions.view, self._caches.definitions.items())
        return Door(
            catalogue={definition.spec.action_type: definition for definition in definitions},
            contracts=self._contracts,
            engines=ENGINES,
            earlier=earlier,
            cel_error=self._check_cel,
        )
