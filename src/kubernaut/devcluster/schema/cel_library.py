"""Kubernetes' own functions in CEL, for rules of custom resources and for admission policies."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from kubernaut.devcluster.quantities import parse_quantity


def load() -> Any:
    """The CEL library, late: it takes longer to load than a cluster may take to start."""
    from cel_expr_python import cel  # pyright: ignore[reportMissingTypeStubs]

    return cel


def member(name: str, result: Any, parameters: list[Any], impl: Callable[..., Any]) -> Any:
    """A function that is called on its first parameter."""
    cel = load()
    mark = f"k8s_{name}_{len(parameters)}"
    return cel.FunctionDecl(name, [cel.Overload(mark, result, parameters, True, impl)])


def environment(variables: Mapping[str, Any], functions: Sequence[Any] = ()) -> Any:
    """What expressions are compiled in. Dynamically typed: unknown fields show when they are evaluated."""
    from cel_expr_python.ext import (  # pyright: ignore[reportMissingTypeStubs]
        ext_bindings,
        ext_optional,
        ext_strings,
    )

    cel = load()
    kind = cel.Type
    dyn, boolean, text, integer = kind.DYN, kind.BOOL, kind.STRING, kind.INT

    def free(name: str, result: Any, parameters: list[Any], impl: Any) -> Any:
        return cel.FunctionDecl(name, [cel.Overload(f"k8s_{name}", result, parameters, False, impl)])

    known = [
        member("isSorted", boolean, [kind.LIST], _is_sorted),
        member("sum", dyn, [kind.LIST], sum),
        member("min", dyn, [kind.LIST], min),
        member("max", dyn, [kind.LIST], max),
        member("find", text, [text, text], _find),
        free("isURL", boolean, [text], _is_url),
        free("isQuantity", boolean, [text], _is_quantity),
        free("quantityValue", integer, [text], _quantity_value),
    ]
    return cel.NewEnv(
        variables=dict(variables),
        extensions=[ext_strings.ExtStrings(), ext_bindings.ExtBindings(), ext_optional.ExtOptional()],
        functions=[*known, *functions],
    )


def _find(text: str, pattern: str) -> str:
    match = re.search(pattern, text)
    return match[0] if match else ""


def _is_sorted(items: list[Any]) -> bool:
    return sorted(items) == list(items)


def _quantity_value(amount: str) -> int:
    return int(parse_quantity(amount))


def _is_url(text: str) -> bool:
    parts = urlsplit(text)
    return bool(parts.scheme and (parts.netloc or parts.path.startswith("/")))


def _is_quantity(text: str) -> bool:
    try:
        parse_quantity(text)
    except ValueError:
        return False
    return True
