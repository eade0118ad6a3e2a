"""The process in which policies are evaluated: without an environment, and killed when it is late.

Frames on standard input and output: four bytes of length, big-endian, then JSON. Requests are answered in order.
Standard library and regorus only: `process` starts it without the rest of kubernaut, so it is quick to replace.
"""

import json
import os
import resource
import signal
import struct
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from kubernaut.safety.rego.compiling import Compiled, Refused
from kubernaut.safety.rego.faults import located

Answer = dict[str, Any]


class Worker:
    """Holds one set of policies."""

    def __init__(self) -> None:
        self._set: Compiled | None = None

    def answer(self, request: dict[str, Any]) -> Answer:
        """Raises what no policy should be able to cause: then the process ends."""
        verbs: dict[str, Callable[[dict[str, Any]], Answer]] = {
            "load": self._load,
            "judge": lambda asked: {"results": self._compiled.judge(asked["input"])},
            "query": self._query,
            "test": lambda asked: self._compiled.test(asked["name"]),
            "coverage": lambda _: {"files": self._compiled.coverage()},
        }
        return verbs[request["do"]](request)

    @property
    def _compiled(self) -> Compiled:
        if self._set is None:
            raise RuntimeError("nothing is loaded")
        return self._set

    def _load(self, request: dict[str, Any]) -> Answer:
        try:
            self._set = Compiled([(path, text) for path, text in request["sources"]], request["data"])
        except Refused as refused:
            return {"faults": [asdict(fault) for fault in refused.faults]}
        return {"modules": [asdict(module) for module in self._set.modules]}

    def _query(self, request: dict[str, Any]) -> Answer:
        try:
            return self._compiled.query(request["query"], request["input"])
        except RuntimeError as error:
            place, message = located(str(error), "the query")
            return {"error": message, "place": asdict(place)}


def limit(memory: int) -> None:
    """What this process may use, whatever a policy asks for."""
    os.unsetenv("MIMALLOC_ARENA_RESERVE")
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (8, 8))


def main() -> None:
    """Answers until standard input ends."""
    memory, last_resort = int(sys.argv[1]), int(sys.argv[4])
    limit(memory)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    worker = Worker()
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while len(head := source.read(4)) == 4:
        request = json.loads(source.read(struct.unpack(">I", head)[0]))
        # If the parent dies in the middle of an endless evaluation, nobody else would end it.
        signal.alarm(last_resort)
        try:
            answer = worker.answer(request)
        except RecursionError:
            answer = {"error": "it is nested too deeply"}
        except MemoryError:
            os._exit(70)  # nothing that is left of this process can be trusted
        except RuntimeError as error:
            answer = {"error": located(str(error), "")[1]}
        signal.alarm(0)
        body = json.dumps(answer).encode()
        sink.write(struct.pack(">I", len(body)) + body)
        sink.flush()
