"""`ActionDefinition` (kubernaut.ai/v1alpha1, short name `ad`): an entry of the action catalogue."""

from typing import Annotated, Literal

from msgspec import Meta

from kubernaut.api.contract import ContractSpec, Semver
from kubernaut.api.meta import Frozen, ObjectMeta, ShortText
from kubernaut.api.names import CORE_API
from kubernaut.api.workflow import ActionType, ImageReference


class Verification(Frozen, frozen=True, kw_only=True):
    """How strictly the image's signatures are judged."""

    policy: Literal["strict", "warn"] = "strict"


class DefinitionSpec(Frozen, frozen=True, kw_only=True):
    """Which image serves an action type, what it promises and as whom it runs."""

    action_type: ActionType
    image: ImageReference
    version: Semver
    service_account_name: ShortText
    allow_other_service_accounts: Annotated[
        bool, Meta(description="Steps may name another ServiceAccount of the same namespace.")
    ] = False
    verification: Verification = Verification()
    contract: ContractSpec


class ActionDefinition(Frozen, frozen=True, kw_only=True):
    """A catalogue entry. Cluster-scoped: one catalogue for all execution namespaces."""

    api_version: str = CORE_API
    kind: str = "ActionDefinition"
    metadata: ObjectMeta
    spec: DefinitionSpec
