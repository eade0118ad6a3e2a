"""Engines turn a planned action into objects that a cluster runs, and read back what became of them.

Belongs here: compiling (a pure function from our objects to a Job) and reading (a pure function from the
cluster's objects to facts). Does not belong here: talking to the cluster, deciding what comes next. Tekton code
is not imported unless that engine is on.
"""
