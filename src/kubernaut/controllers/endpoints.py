"""The two HTTP ports of the controller: health on one, metrics on the other. No API here."""

import asyncio

from aiohttp import web

from kubernaut.telemetry.health import Health, HealthReport
from kubernaut.telemetry.metrics import CONTENT_TYPE, Metrics


class Endpoints:
    """`/healthz` and `/readyz` on the health port, `/metrics` on the metrics port. Port 0 = any free one."""

    def __init__(
        self, health: Health, metrics: Metrics, address: str, health_port: int, metrics_port: int
    ) -> None:
        self._health = health
        self._metrics = metrics
        self._address = address
        self._ports = (health_port, metrics_port)
        self._runners: list[web.AppRunner] = []
        self.bound: tuple[int, int] = self._ports
        """The ports that are really in use, once started."""

    async def start(self) -> None:
        """Raises OSError when a port is taken."""
        health = web.Application()
        health.router.add_get("/healthz", self._healthz)
        health.router.add_get("/readyz", self._readyz)
        metrics = web.Application()
        metrics.router.add_get("/metrics", self._exposition)
        ports: list[int] = []
        for app, port in zip((health, metrics), self._ports, strict=True):
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            self._runners.append(runner)
            await web.TCPSite(runner, self._address, port).start()
            ports.append(runner.addresses[0][1])
        self.bound = (ports[0], ports[1])

    async def stop(self) -> None:
        for runner in self._runners:
            await runner.cleanup()
        self._runners.clear()

    async def _healthz(self, _request: web.Request) -> web.Response:
        return _answer(self._health.alive())

    async def _readyz(self, _request: web.Request) -> web.Response:
        return _answer(self._health.ready())

    async def _exposition(self, _request: web.Request) -> web.Response:
        # In a thread: thousands of lines would hold up the turns for a tenth of a second.
        body = await asyncio.to_thread(self._metrics.text)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})


def _answer(report: HealthReport) -> web.Response:
    return web.Response(status=200 if report.ok else 503, text=report.text)
