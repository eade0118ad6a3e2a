"""One line a measurement."""

from collections.abc import Iterable

from .suites import Result

_HEAD = ("what", "measured", "goal", "more")


def table(results: Iterable[Result]) -> str:
    """A Markdown table, aligned so that it reads well as text too."""
    lines = [_HEAD, *(line for result in results for line in _lines(result))]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEAD))]
    shown = ["| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in lines]
    return "\n".join([shown[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *shown[1:]])


def _lines(result: Result) -> Iterable[tuple[str, str, str, str]]:
    match result["suite"]:
        case "writes":
            fence = "" if result["fences_taken_per_run"] else "; no container runs there, so no fence is taken"
            more = (
                f"{_said(result)}, {result['reads_per_run']:g} reads, {result['events_per_run']:g} Events{fence}"
            )
            yield (
                f"API writes, {result['shape']}",
                f"{result['writes_per_run']:g}",
                f"{result['budget']}",
                more,
            )
        case "overhead":
            more = f"{result.get('gaps')} gaps, one run at a time; {_said(result)}"
            yield "child finished to next Job, p50", _ms(result, "gap_p50_ms"), "< 50 ms", more
            yield "child finished to next Job, p99", _ms(result, "gap_p99_ms"), "< 250 ms", more
        case "rate":
            goal = {"default": "> 0.8 /s", "large": ">= 4.2 /s"}.get(result["preset"], "")
            gaps = f", gaps p50 {_ms(result, 'gap_p50_ms')}" if result["gaps"] else ""
            others = "".join(
                f", {name} {used * 1000:.0f} ms" for name, used in result["other_cpu_seconds_per_run"].items()
            )
            per_run = f"{result['controller_cpu_seconds_per_run'] * 1000:.0f} ms CPU a run"
            yield (
                f"runs a second, {result['shape']}, {result['preset']}",
                f"{result['runs_per_second']:g} /s",
                goal if result["shape"] == "chain of 3" else "",
                f"{_said(result)}; controller {per_run}, {result['controller_cpu_share']:.0%} of a core{others}, "
                f"peak {result['controller_peak_mb']:.0f} MB{gaps}",
            )
        case "pods":
            more = (
                f"{result['cpu_ms_per_pod']:g} ms of CPU and {result['kb_per_pod']:g} kB each, "
                f"{result['full_mb']:g} MB in all; at rest {result['cpu_share_at_rest']:.1%} of a core"
            )
            yield f"{result['pods']} simulated pods, all available", f"{result['seconds']:g} s", "", more
        case "live":
            more = (
                f"idle {result['idle_mb']:g} MB, peak {result['peak_mb']:g} MB, {result['kb_per_run']:g} kB a run"
            )
            yield f"controller memory, {result['live']} live", f"{result['live_mb']:g} MB", "< 150 MB", more
        case "embedded":
            yield "embedded cluster, start", f"{result['start_seconds']:g} s", "< 1 s", ""
            yield "embedded cluster, idle memory", f"{result['idle_mb']:g} MB", "", ""
            yield "embedded cluster, writes over HTTP", f"{result['writes_per_second']:g} /s", "", ""
        case "commands":
            steps = result["lint_steps"]
            yield "kubernaut --help", f"{result['help_ms']:g} ms", "< 150 ms", "median of 9 processes"
            yield "completion of a command", f"{result['completion_ms']:g} ms", "< 150 ms", "the same"
            yield f"lint of {steps} steps", f"{result['lint_ms']:g} ms", "< 1000 ms", "the same"
        case "action":
            more = f"{result['fastest_ms']} to {result['slowest_ms']} ms, {result['runs']} runs"
            yield "one action, end to end", f"{result['median_ms']} ms", "< 500 ms", more
        case "watch":
            more = f"{result['changing']} chains of 3 run meanwhile; on a terminal"
            yield f"watch of {result['live']} executions", f"{result['cpu_share']:.1%} of a core", "< 5%", more
        case _:
            yield result["suite"], "", "", str(result)


def _said(result: Result) -> str:
    return ", ".join(f"{count} {phase}" for phase, count in result["outcome"].items())


def _ms(result: Result, key: str) -> str:
    return f"{result[key]:g} ms" if key in result else "none"
