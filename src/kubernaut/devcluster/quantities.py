"""Kubernetes quantities, as the API server reads them."""

from kubernaut.api.quantity import COMPLAINT
from kubernaut.api.quantity import from_quantity as parse_quantity

__all__ = ["COMPLAINT", "parse_quantity"]
