"""How much a run costs and how fast runs go; `python -m benchmarks --help` from the repository root."""
