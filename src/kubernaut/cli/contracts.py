"""Contracts of actions: read from folders, files and images; judged, each fault with its place."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from kubernaut.admission import check_contract, read_document
from kubernaut.api.contract import ActionContract, ContractMeta
from kubernaut.api.definition import ActionDefinition
from kubernaut.api.faults import Fault
from kubernaut.api.names import CORE_API
from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.linting import Found
from kubernaut.cli.manifests import Manifest, read_manifests
from kubernaut.cli.packages import AuthorsFault, Package, PlainPackage, SdkPackage, open_package
from kubernaut.cli.terminal import Terminal

# Calls of the cluster handle, with the verbs that the API server asks permission for.
_VERBS = {
    "get": ("get",),
    "find": ("get",),
    "list": ("list",),
    "patch": ("patch",),
    "apply": ("get", "patch", "create"),
    "create": ("create",),
    "delete": ("delete",),
    "evict": ("create",),
    "logs": ("get",),
    "wait_for": ("get",),
    "wait_until_gone": ("get",),
}
_CHANGING = frozenset({"patch", "create", "delete"})


class Judged(NamedTuple):
    """A package's contract, what is wrong with it, and what is doubtful."""

    contract: ActionContract | None
    faults: tuple[Found, ...]
    warnings: tuple[Found, ...]


def judge(package: Package) -> Judged:
    """Never raises for what is wrong with the package, but UnreadableManifest."""
    if isinstance(package, PlainPackage):
        return _judge_plain(package)
    try:
        contract = package.contract()
    except AuthorsFault as error:
        file = error.file or package.file
        fault = Fault(package.module, error.message)
        named = re.match(r"TypeError: ([A-Za-z_]\w*)\.([A-Za-z_]\w*): ", error.message)
        line = (_line_of(package, named[1], named[2]) if named else 0) or error.line
        return Judged(None, (Found(_shown(file), line, 1, fault),), ())
    found = [Found(*_place(package, contract, fault.path), fault) for fault in _faults_of(contract)]
    doubts = [*_doubts(contract), *_unused(package, contract)]
    warnings = [Found(*_place(package, contract, doubt.path), doubt) for doubt in doubts]
    return Judged(contract, tuple(found), tuple(warnings))


def _faults_of(contract: ActionContract) -> tuple[Fault, ...]:
    faults = check_contract(contract.spec, "spec")
    if "/" not in contract.metadata.name:
        faults = (Fault("metadata.name", "has no domain", "Write domain/action: team/restart_queue."), *faults)
    return faults


def _judge_plain(package: PlainPackage) -> Judged:
    (manifest,) = _one(package.file)
    contract, faults = document_faults(manifest)
    found = [_found(manifest, fault) for fault in faults]
    doubts = [] if contract is None else [_found(manifest, doubt) for doubt in _doubts(contract)]
    recipe = package.recipe()
    if not package.program.is_file() and not recipe.packages:
        told = Fault("", "is missing: it is what the image runs", "Write it, or make it.")
        doubts.append(Found(_shown(package.program), 1, 1, told))
    if contract is not None and contract.spec.fenced:
        risk = "says that the image takes the fence as kubernaut's runner does; if it does not, it may act twice"
        doubts.append(_found(manifest, Fault("spec.fenced", risk, "Leave it out unless the program does.")))
    return Judged(contract, tuple(found), tuple(doubts))


def document_faults(manifest: Manifest) -> tuple[ActionContract | None, tuple[Fault, ...]]:
    """The contract that a document is, or everything that is wrong with it. Never raises."""
    raw = manifest.document
    metadata: Any = raw.get("metadata") if isinstance(raw.get("metadata"), dict) else {}
    version = raw.get("apiVersion")
    if version != CORE_API:
        # Before the rest is looked at: what another version means by it is not known.
        known = isinstance(version, str) and version.partition("/")[0] == CORE_API.partition("/")[0]
        message = (
            f"is of a version that this program does not know; known is {CORE_API}" if known else "is missing"
        )
        return None, (Fault("apiVersion", message, f"Write {CORE_API}, or bring kubernaut up to date."),)
    strange = [str(key) for key in raw if key not in ("apiVersion", "kind", "metadata", "spec")]
    strange += [f"metadata.{key}" for key in metadata if key not in ("name", "version")]
    faults = [Fault(path, "is no part of a contract", "Leave it out.") for path in strange]
    # A definition of the catalogue holds all that a contract does: its judge is the judge of both.
    stand_in = {
        "apiVersion": CORE_API,
        "kind": "ActionDefinition",
        "metadata": {"name": "contract"},
        "spec": {
            "actionType": metadata.get("name", ""),
            "version": metadata.get("version", ""),
            "image": f"contract@sha256:{'0' * 64}",
            "serviceAccountName": "contract",
            "contract": raw.get("spec", {}),
        },
    }
    document, structure = read_document(stand_in)
    faults += [Fault(_real_path(fault.path), fault.message, fault.mend) for fault in structure]
    if faults or not isinstance(document, ActionDefinition):
        return None, tuple(faults)
    spec = document.spec
    meta = ContractMeta(name=spec.action_type, version=spec.version)
    contract = ActionContract(metadata=meta, spec=spec.contract)
    broken = _faults_of(contract)
    return (None, broken) if broken else (contract, ())


def _real_path(path: str) -> str:
    for judged, real in (
        ("spec.contract", "spec"),
        ("spec.actionType", "metadata.name"),
        ("spec.version", "metadata.version"),
    ):
        if path == judged or path.startswith((f"{judged}.", f"{judged}[")):
            return real + path[len(judged) :]
    return path


def contract_in_file(path: Path) -> ActionContract:
    """Of a file that holds an ActionContract or an ActionDefinition. Raises CommandFailed, UnreadableManifest."""
    (manifest,) = _one(path)
    if manifest.kind == "ActionDefinition":
        document, faults = read_document(manifest.document)
        if isinstance(document, ActionDefinition):
            spec = document.spec
            meta = ContractMeta(name=spec.action_type, version=spec.version)
            return ActionContract(metadata=meta, spec=spec.contract)
        raise _refused([_found(manifest, fault) for fault in faults])
    contract, broken = document_faults(manifest)
    if contract is None:
        raise _refused([_found(manifest, fault) for fault in broken])
    return contract


def _refused(found: list[Found]) -> CommandFailed:
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return CommandFailed(f"{found[0]}{more}", mend="See all: kubernaut action lint PATH", code=Exit.REFUSED)


def contract_from(terminal: Terminal, source: str) -> ActionContract:
    """Of a package's folder, a file, or an image `HOST/PATH:TAG` or `HOST/PATH@sha256:...` in its registry.

    Raises CommandFailed, UnreadableManifest.
    """
    path = Path(source)
    if path.is_dir():
        package = open_package(path)
        try:
            return package.contract()
        except AuthorsFault as error:
            raise CommandFailed(f"{error.file}:{error.line}: {error.message}", code=Exit.REFUSED) from error
    if path.is_file():
        return contract_in_file(path)
    from kubernaut.cli.session import speak

    return speak(image_from(terminal, source))[1]


async def image_from(terminal: Terminal, source: str) -> tuple[str, ActionContract]:
    """An image of a registry by digest, and its contract. Raises CommandFailed."""
    from kubernaut.cli.building import credentials_of
    from kubernaut.oci import (
        ImageError,
        Reference,
        ReferenceInvalid,
        RegistryClient,
        RegistryImages,
        RegistryUnreachable,
        read_contract,
    )

    mend = "Name a folder, a file, or an image such as registry.example/team/act:v1.0.0."
    if "/" not in source:
        # It could only be one of Docker's official images, none of which is an action.
        raise CommandFailed(f"there is no file or folder {source}", mend=mend)
    try:
        reference = Reference.parse(source)
    except ReferenceInvalid as error:
        raise CommandFailed(f"there is no file {source}, and it names no image: {error}", mend=mend) from error
    try:
        async with RegistryClient(credentials_of(terminal)) as client:
            digest = reference.digest or (await client.fetch_manifest(reference)).descriptor.digest
            pinned = reference.with_digest(digest)
            return str(pinned), await read_contract(RegistryImages(client, pinned), digest)
    except ImageError as error:
        code = Exit.UNREACHABLE if isinstance(error, RegistryUnreachable) else Exit.REFUSED
        raise CommandFailed(f"{source}: {error}", code=code) from error


def _one(path: Path) -> list[Manifest]:
    manifests = read_manifests((str(path),))
    if len(manifests) != 1:
        raise CommandFailed(f"{path} holds {len(manifests)} documents, not one contract", code=Exit.REFUSED)
    return manifests


def _found(manifest: Manifest, fault: Fault) -> Found:
    path = "" if fault.path == "(root)" else fault.path
    return Found(manifest.source, *manifest.locate(path), fault)


# -- what is doubtful ------------------------------------------------------------------------------


def _doubts(contract: ActionContract) -> Iterator[Fault]:
    spec = contract.spec
    if not spec.description.strip():
        yield Fault("spec.description", "is empty", "Say in a sentence what it does: people choose by it.")
    for index, permission in enumerate(spec.rbac.permissions):
        path = f"spec.rbac.permissions[{index}]"
        for name, words in (
            ("apiGroups", permission.api_groups),
            ("resources", permission.resources),
            ("verbs", permission.verbs),
        ):
            if "*" in words:
                yield Fault(f"{path}.{name}", "is a wildcard", "Name what is needed: it may do all of it.")
        if "secrets" in permission.resources and not permission.resource_names:
            yield Fault(path, "gives all Secrets of a namespace", "Name them, or use dependencies.")
    changes = any(_CHANGING & {*permission.verbs} for permission in spec.rbac.permissions)
    if changes and not spec.reversible:
        yield Fault("spec.reversible", "is not promised, though it changes things", "See `reversible` of the sdk.")


def _unused(package: SdkPackage, contract: ActionContract) -> Iterator[Fault]:
    """Permissions that no call in the module uses. Silent where calls cannot be seen, as through other modules."""
    tree = _tree(package)
    functions = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    calls = {function.attr for function in functions if isinstance(function, ast.Attribute)}
    called = {verb for name in calls for verb in _VERBS.get(name, ())}
    kinds = _kinds_named(tree)
    if not called:
        return
    sees_all = not calls & {"apply", "kind_of"} and kinds
    for index, permission in enumerate(contract.spec.rbac.permissions):
        path = f"spec.rbac.permissions[{index}]"
        for verb in permission.verbs:
            if verb not in called and verb != "*":
                yield Fault(
                    f"{path}.verbs", f"{verb} is not used by any call in {package.module}", "Leave it out."
                )
        for resource in permission.resources:
            if sees_all and resource != "*" and resource.partition("/")[0] not in kinds:
                yield Fault(f"{path}.resources", f"{resource} is of no kind that {package.module} names")


def _kinds_named(tree: ast.Module) -> set[str]:
    """Plurals of the `kinds.X` that stand in the code."""
    from kubernaut.cluster import kinds

    names = [
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "kinds"
    ]
    found = [getattr(kinds, name, None) for name in names]
    return {kind.plural for kind in found if isinstance(kind, kinds.ResourceKind)}


# -- where it stands in Python ---------------------------------------------------------------------


def _tree(package: SdkPackage) -> ast.Module:
    return ast.parse(package.file.read_text(encoding="utf-8"))


def _line_of(package: SdkPackage, owner: str, name: str) -> int:
    """The line of a class's field; 0 when it is not in the module."""
    try:
        tree = _tree(package)
    except (OSError, SyntaxError, UnicodeError):
        return 0
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name == owner:
            for field in node.body:
                if (
                    isinstance(field, ast.AnnAssign)
                    and isinstance(field.target, ast.Name)
                    and field.target.id == name
                ):
                    return field.lineno
    return 0


_KEYWORDS = {
    "spec.timeout": "timeout",
    "spec.maxTimeout": "max_timeout",
    "spec.description": "description",
    "spec.reversible": "reversible",
    "spec.rbac": "permissions",
    "spec.resources": "resources",
    "spec.dependencies.secrets": "secrets",
    "spec.dependencies.configMaps": "config_maps",
    "metadata.version": "version",
}


def _place(package: SdkPackage, contract: ActionContract, path: str) -> tuple[str, int, int]:
    """File, line and column of what a path of the contract was made from."""
    source = _shown(package.file)
    tree = _tree(package)
    named = re.match(r"spec\.(inputs|outputs)\[(\d+)\]", path)
    if named is not None:
        parameters = contract.spec.inputs if named[1] == "inputs" else contract.spec.outputs
        wanted = parameters[int(named[2])].name
        for node in ast.walk(tree):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                first, *rest = node.target.id.split("_")
                if first + "".join(word.title() for word in rest) == wanted:
                    return source, node.lineno, node.col_offset + 1
    keyword = next((word for prefix, word in _KEYWORDS.items() if path.startswith(prefix)), "")
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "action":
            given = next((one for one in node.keywords if one.arg == keyword), None)
            return source, (given.value.lineno if given else node.lineno), node.col_offset + 1
    return source, 1, 1


def _shown(path: Path) -> str:
    """As short as it can be said from here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
