"""The HTTP face of the cluster: paths, verbs, watches, tables, discovery.

Belongs here: what only HTTP needs. What must hold in process as well belongs to the store.
"""
