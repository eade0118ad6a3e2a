"""CEL over what an action gave."""

from kubernaut.api.probes import Probe
from kubernaut.safety.probes.asking import Finding, Matter, finding_of
from kubernaut.safety.probes.evidence import hash_of, seen_in
from kubernaut.safety.probes.expressions import ask
from kubernaut.telemetry.redaction import Redactor


class OutputEvaluator:
    """Asks `output` probes."""

    async def look(self, probe: Probe, matter: Matter, redactor: Redactor) -> Finding:
        """Raises NotFillable while there are no outputs."""
        assert probe.output is not None
        variables = matter.variables("outputs")
        said = ask(probe.output.expression, "output", variables)
        seen = seen_in(probe.output.expression, variables)
        told = ", ".join(f"{path} is {'not there' if value is None else value}" for path, value in seen.items())
        return finding_of(said.holds, said.error, told, {"seen": seen}, hash_of(variables))
