"""The cluster's own image registry: the OCI distribution protocol over a folder, on loopback.

Belongs here: storing and serving what is pushed. Does not belong here: pulling (`node.pulling`), trust, logins:
whoever reaches this machine's loopback may push, as with any registry for development.
"""

from kubernaut.devcluster.registry.hosting import OwnRegistry
from kubernaut.devcluster.registry.server import Registry
from kubernaut.devcluster.registry.store import FolderStore

__all__ = ["FolderStore", "OwnRegistry", "Registry"]
