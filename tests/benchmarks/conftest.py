"""Images for the benchmarks; one table of ratios at the end, and in ``notebooks/results/``."""

import csv
import os
import platform
import zipfile
from pathlib import Path

import pytest

ROWS = []
TIMINGS = Path(__file__).parents[2] / "notebooks" / "results" / "timings.csv"


def pytest_addoption(parser):
    parser.addoption("--images", help="a folder or zip of JPEGs; default: 300 phantoms of 640×640")


@pytest.fixture(scope="session")
def files(request, tmp_path_factory):
    """At most 300 JPEG files (`Path`), the page cache warm."""
    place, given = tmp_path_factory.mktemp("images"), request.config.getoption("--images")
    if given and Path(given).is_dir():
        place = Path(given)
    elif given:
        with zipfile.ZipFile(given) as archive:
            for number, name in enumerate(
                name for name in archive.namelist() if name.lower().endswith((".jpg", ".jpeg"))
            ):
                (place / f"{number:04}.jpg").write_bytes(archive.read(name))
    else:
        from xraylib.phantoms import jpeg_files

        for name, _, content in jpeg_files((patient, 0) for patient in range(300)):
            (place / name).write_bytes(content)
    found = sorted(path for path in place.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))[
        :300
    ]
    assert found, f"{given}: no JPEG files there"
    for path in found:
        path.read_bytes()
    return found


@pytest.fixture
def note():
    """A function that adds a row (what, the plain way, ours, ratio) to the table."""
    return lambda *row: ROWS.append(row)


def pytest_terminal_summary(terminalreporter, exitstatus, config):
    groups = {}
    for bench in getattr(config, "_benchmarksession").benchmarks:  # noqa: B009 (pytest-benchmark has no other way)
        groups.setdefault(bench.group, {})[bench.param] = bench.stats.median
    groups = {what: times for what, times in groups.items() if len(times) == 2}
    rows = [
        (
            group,
            f"{1000 * times['plain']:,.1f} ms",
            f"{1000 * times['ours']:,.1f} ms",
            times["plain"] / times["ours"],
        )
        for group, times in groups.items()
    ]
    if rows or ROWS:
        source = config.getoption("--images") or "phantoms of 640×640"
        terminalreporter.write_line(
            f"\n{Path(source).name}, {os.cpu_count()} cores, {platform.machine()}; medians"
        )
        terminalreporter.write_line(
            "| what | the plain way | ours | ratio |\n| --- | --- | --- | --- |"
        )
        for what, plain, ours, ratio in [*rows, *ROWS]:
            terminalreporter.write_line(f"| {what} | {plain} | {ours} | {ratio:.2f} |")
        with TIMINGS.open(newline="") as file:
            missing = {row["what"] for row in csv.DictReader(file)} - set(groups)
        if not config.getoption("--images") or missing or exitstatus:
            why = f"it needs --images, no failure, and was not measured: {sorted(missing)}"
            terminalreporter.write_line(f"{TIMINGS.name} is left as it is: {why}")
            return
        with TIMINGS.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["what", "plain_ms", "ours_ms", "ratio"])
            for what, times in groups.items():
                plain, ours = 1000 * times["plain"], 1000 * times["ours"]
                writer.writerow([what, f"{plain:.1f}", f"{ours:.1f}", f"{plain / ours:.2f}"])
