"""The figures of `ahead_of_time` as tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from ferjax.cli import tables

_ORIGIN = "estimates of the compiler"


def report(figures: Mapping[str, Any]) -> list[Table]:
    """Tables of one compiled step: figures, the largest arrays, the most expensive fusions."""
    made = [tables.figure_table(rows(figures), _title(figures))]
    if "largest" in figures["memory"]:
        buffers = tables.plain_table("Largest arrays in memory", ("layer", "array", "MiB"))
        for buffer in figures["memory"]["largest"]:
            layer = "argument" if buffer["opcode"] == "parameter" else ""
            name = f"{buffer['layer']} {layer}".strip()
            tables.add_row(buffers, name, buffer["value"], f"{buffer['bytes'] / 2**20:,.1f}")
        made.append(buffers)
    if "most_expensive" in figures:
        title = "Most expensive instructions"
        if "kernels" in figures:
            title += ", by the bytes that they move alone"
        expensive = tables.plain_table(title, ("layer", "instruction", "µs", "share"))
        for cost in figures["most_expensive"]:
            tables.add_row(
                expensive,
                cost["layer"],
                cost["opcode"] + (" (roofline)" if cost["basis"] == "roofline" else ""),
                f"{1e6 * cost['seconds']:,.1f}",
                f"{100 * cost['share']:.1f} %",
            )
        made.append(expensive)
    return made


def comparison(one: Mapping[str, Any], other: Mapping[str, Any]) -> Table:
    """Both steps side by side, and the second's figures as multiples of the first's.

    Their own tables have the models' names (see `report`).
    """
    table = tables.plain_table(
        f"Two configs on {one['target']['name']}, {_ORIGIN}", ("", "first", "second", "ratio")
    )
    for name, (first, unit) in _numbers(one).items():
        second = _numbers(other).get(name, (None, unit))[0]
        ratio = f"{second / first:.2f}" if first and second is not None else "-"
        tables.add_row(table, name, _shown(first, unit), _shown(second, unit), ratio)
    return table


def rows(figures: Mapping[str, Any]) -> dict[str, str]:
    """The figures with their units."""
    target, memory, time = figures["target"], figures["memory"], figures["time"]
    needed = f"{memory['total'] / 2**30:.2f} of {memory['available'] / 2**30:.2f} GiB"
    shown = {
        "these are": _ORIGIN,
        "hardware": f"{target['devices']} x {target['chip']}",
        "batch": f"{figures['per_device_batch']} per device, {figures['global_batch']} in all",
        "memory": f"{'fits' if memory['fits'] else 'DOES NOT FIT'}: {needed} per device",
    }
    for part in ("arguments", "outputs", "temporaries", "code"):
        if part in memory:
            shown[f"  {part}"] = f"{memory[part] / 2**30:.3f} GiB"
    for name, (number, unit) in _numbers(figures).items():
        if name != "memory":
            shown[name] = _shown(number, unit)
    if time is not None:
        shown["nearest peak"] = f"{time['bound']}: {_shares(time)}"
    if figures.get("unknown_loops"):
        shown["no time"] = "loops of unknown length: " + ", ".join(figures["unknown_loops"])
    if figures.get("unestimated"):
        kinds = ", ".join(f"{number} {kind}" for kind, number in figures["unestimated"].items())
        shown["without an estimate, not in the time"] = kinds
        shown["  which take at least"] = f"{1e3 * figures['unestimated_seconds']:.2f} ms"
    for kind, each in figures.get("collectives", {}).items():
        shown[kind] = f"{each['number']} of {each['bytes'] / 1e6:,.2f} MB in all"
    if not figures.get("collectives") and target["devices"] > 1:
        shown["collectives"] = "none"
    if "kernels" in figures:
        kinds = ", ".join(f"{number} {kind}" for kind, number in figures["kernels"].items())
        shown["launched in a step"] = f"{sum(figures['kernels'].values())}: {kinds}"
    shown["compile time here"] = f"{figures['compile_seconds']:.0f} s"
    return shown


def _numbers(figures: Mapping[str, Any]) -> dict[str, tuple[float | int, str]]:
    """What can be compared: name -> (number, unit)."""
    found = {
        "memory": (figures["memory"]["total"] / 2**30, "GiB"),
        "parameters": (figures["parameters"] / 1e6, "million"),
    }
    if "per_image" in figures:
        found["operations per image"] = (figures["per_image"]["flops"] / 1e9, "GFLOP")
        for name in ("bytes_accessed", "main_memory_bytes"):
            if name in figures["per_image"]:
                shown = f"{name.replace('_', ' ')} per image"
                found[shown] = (figures["per_image"][name] / 1e6, "MB")
    time = figures["time"]
    if time is not None:
        basis = f" ({time['basis']})"
        found["step" + basis] = (1e3 * time["seconds"], "ms")
        if "cycles_per_image" in time:
            found["cycles per image"] = (time["cycles_per_image"], "")
            found["custom calls charged at roofline"] = (time["charged_at_roofline"], "")
        found["throughput" + basis] = (time["images_per_second_per_chip"], "images/s per chip")
    if "kernels" in figures:
        found["kernels"] = (sum(figures["kernels"].values()), "")
    return found


def _shown(number: float | int | None, unit: str) -> str:
    if number is None:
        return "-"
    digits = 0 if number >= 1000 or number == int(number) else 2
    return f"{number:,.{digits}f} {unit}".strip()


def _shares(time: Mapping[str, Any]) -> str:
    return (
        f"{100 * time['share_of_peak_flops']:.0f} % of peak FLOP/s, "
        f"{100 * time['share_of_peak_bandwidth']:.0f} % of peak bandwidth"
    )


def _title(figures: Mapping[str, Any]) -> str:
    model, step = figures["model"], "training" if figures["step"] == "train" else "evaluation"
    trunks: Sequence[str] = model.get("trunks", ())
    name = model["name"] + (f" of {' and '.join(trunks)}" if trunks else "")
    attention = model.get("attention")
    if attention not in (None, "none") and attention not in name:
        name += f" with {attention}"
    size = model["image_size"]
    return f"{name}, {size} px, {model['dtype']}, {step} step on {figures['target']['name']}"
