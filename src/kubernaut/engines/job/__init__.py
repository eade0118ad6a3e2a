"""The engine that runs an action as a native Kubernetes Job (batch/v1)."""

from kubernaut.engines.job.compile import compile_fence, compile_inputs, compile_job, compile_workspace
from kubernaut.engines.job.read import needs_log, read_fence, read_job

__all__ = [
    "compile_fence",
    "compile_inputs",
    "compile_job",
    "compile_workspace",
    "needs_log",
    "read_fence",
    "read_job",
]
