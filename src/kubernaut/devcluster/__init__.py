"""A Kubernetes API server, its controllers and one node, in one process on loopback.

Belongs here: what a cluster is made of for laptops and tests. Not here: anything the engine needs in
production, and any knowledge of kubernaut's own kinds, which arrive as CustomResourceDefinitions.
"""
