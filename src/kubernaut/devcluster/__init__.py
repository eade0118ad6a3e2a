"""A Kubernetes API server, its controllers and one node, in one process on loopback.

Belongs here: what a cluster is made of for laptops and tests. Not here: anything the engine needs in
production, and any knowledge of kubernaut's own kinds, which arrive as CustomResourceDefinitions.
"""

from kubernaut.devcluster.cluster import DevCluster, Hook
from kubernaut.devcluster.request_log import Call, RequestLog
from kubernaut.devcluster.store import Store, Write

__all__ = ["Call", "DevCluster", "Hook", "RequestLog", "Store", "Write"]
