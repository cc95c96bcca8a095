"""ratchet backtest: replay of the whole loop over history, in a home of its own."""

from __future__ import annotations

import importlib.metadata
import json
import shlex
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import click

from ratchet.backtest import summary, wording
from ratchet.backtest.arms import assemble
from ratchet.backtest.bar_times import parse_bar_time, parse_option
from ratchet.backtest.compare import Score, scores
from ratchet.backtest.plan import SESSION_INTERVAL, plan
from ratchet.backtest.result import Result, Setting, is_baseline
from ratchet.cli.connect import connect
from ratchet.cli.data import zone_arguments, zone_options
from ratchet.cli.output import HORIZON, home_option, output_option, show, table
from ratchet.errors import DataRefused, InvalidInput, PreconditionFailed
from ratchet.names import DEFAULT_TARGET, MODEL_TYPES, TARGETS, Lineage, Policy, Series, Task, one_of
from services.local.backtest_home import BacktestHome, replay_supervised, running_services

POLICIES: tuple[Policy, ...] = ("balanced", "strict")
DOCUMENT, PAGE, BARS, HOME = "backtest.json", "report.html", "bars.csv", "home"


@click.command()
@click.argument("series")
@click.option(
    "--model",
    "model_type",
    default="random-forest",
    show_default=True,
    metavar="TYPE",
    help=f"One of {', '.join(MODEL_TYPES)}.",
)
@click.option("--target", default=DEFAULT_TARGET, show_default=True, help=f"One of {', '.join(TARGETS)}.")
@click.option("--horizon", type=HORIZON, default=None, help="Bars ahead  [default: the target's own]")
@click.option("--start", default="", metavar="DATE", help="The first session  [default: 1,000 usable bars]")
@click.option(
    "--every", type=click.IntRange(min=1), default=SESSION_INTERVAL, show_default=True, help="Bars between sessions."
)
@click.option("--policy", default="balanced", show_default=True, help=f"One of {', '.join(POLICIES)}.")
@click.option(
    "--data", "file", type=click.Path(path_type=Path), default=None, help="CSV file of bars  [default: those imported]"
)
@zone_options
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Folder for the report, and for the home, which is then kept  [default: ./backtest-SERIES-TASK-TYPE]",
)
@home_option
@output_option
def backtest(
    series: str,
    model_type: str,
    target: str,
    horizon: int | None,
    start: str,
    every: int,
    policy: str,
    file: Path | None,
    timezone: str,
    market_timezone: str,
    out: Path | None,
    home: str | None,
    output: str,
) -> None:
    """Replay the whole loop on SERIES: a session every N bars, then the bars that follow it are scored.

    No session knows a later bar. The champion is compared, on the same bars, with always replacing, never retraining,
    training from scratch, and every baseline.
    """
    task = Task.of(target, horizon or 0)
    lineage = Lineage(Series.parse(series), task, one_of("model", model_type, MODEL_TYPES))
    rule = one_of("policy", policy, POLICIES)
    if file is None and (timezone or market_timezone):
        raise InvalidInput("--timezone and --market-timezone are of a file; give it with --data, or leave them out")
    first = parse_option("--start", start) if start else None
    folder = out or Path(f"backtest-{lineage.series}-{task}-{lineage.model_type}")
    _prepare(folder, keeps=out is not None)
    began = time.monotonic()
    with ExitStack() as stack:
        stack.callback(_remove_if_empty, folder)
        place = folder if out else Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ratchet-backtest-")))
        bars = file or place / BARS
        zones = (timezone, market_timezone) if file else ("", _export(lineage, bars, home))
        within = stack.enter_context(running_services(place / HOME, _print_status))
        times = _import(within, lineage, bars, *zones)
        segments = plan(str(lineage.series), times, task.horizon, first, every)
        _print_status(f"{len(segments)} sessions under {rule}")
        replayed = replay_supervised(within, lineage, rule, segments)
    setting = Setting(
        series=str(lineage.series),
        task=str(task),
        horizon=task.horizon,
        model_type=lineage.model_type,
        policy=rule,
        every=every,
        bars=len(times),
        first_bar=times[0],
        last_bar=times[-1],
        source=file.name if file else "the imported bars",
        command=_command(lineage, rule, start, every, file, zones),
        version=importlib.metadata.version("ratchet-models"),
        seconds=time.monotonic() - began,
    )
    result = Result(
        setting=setting,
        segments=tuple(segments),
        times=tuple(moment for part in replayed.scored for moment in part.times),
        outcomes=tuple(outcome for part in replayed.scored for outcome in part.outcomes),
        arms=assemble(segments, replayed.loop, replayed.scored),
        loop=replayed.loop,
        patterns=replayed.patterns,
    )
    files = write(result, folder)
    kept = str(folder / HOME) if out else None
    show(
        summary.summary(result) | {"files": files, "home": kept},
        output,
        lambda _: _render(result, files, kept),
    )


def _prepare(folder: Path, keeps: bool) -> None:
    """Creates the output folder before the long run; PreconditionFailed if it is unusable."""
    if keeps and (folder / HOME).exists():
        raise PreconditionFailed(f"{folder / HOME} is there already; choose another --out, or remove it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise PreconditionFailed(f"{folder} can't be written to ({error.strerror}); choose another --out") from error


def _remove_if_empty(folder: Path) -> None:
    """Removes the empty output folder of a failed backtest."""
    if not any(folder.iterdir()):
        folder.rmdir()


def _export(lineage: Lineage, bars: Path, home: str | None) -> str:
    """Writes the imported bars of the running services to a file; returns their market time zone."""
    series = str(lineage.series)
    with connect(home) as client, bars.open("wb") as target:
        target.writelines(client.export_bars(series))
        return next(client.list_datasets(series, latest_only=True)).registered.market_timezone


def _import(within: BacktestHome, lineage: Lineage, file: Path, timezone: str, market_timezone: str) -> list[int]:
    """Imports the bars into the home; returns their times as parsed by the services."""
    series = str(lineage.series)
    within.client.import_bars(file, series, timezone=timezone, market_timezone=market_timezone)
    text = b"".join(within.client.export_bars(series)).decode()
    times = [parse_bar_time(line.partition(",")[0]) for line in text.splitlines()[1:]]
    if not times:
        raise DataRefused(f"{file} has no bars; give a file with the history of {series}")
    return times


def write(result: Result, folder: Path) -> dict[str, str]:
    """Writes the document and, if its extra is installed, the page; returns their paths by kind."""
    folder.mkdir(parents=True, exist_ok=True)
    document = folder / DOCUMENT
    document.write_text(json.dumps(summary.document(result), allow_nan=False, ensure_ascii=False), encoding="utf-8")
    try:
        from ratchet.backtest.report import render
    except ModuleNotFoundError as error:
        _print_status(
            f"no HTML report: {error.name} is not installed; pip install 'ratchet-models[report]' and run this again"
        )
        return {"json": str(document)}
    page = folder / PAGE
    page.write_text(render(result), encoding="utf-8")
    return {"json": str(document), "html": str(page)}


def _render(result: Result, files: dict[str, str], kept: str | None) -> None:
    found = scores(result)
    setting = result.setting
    table(
        f"{setting.series}/{setting.task}/{setting.model_type}: {len(result.times):,} bars, the same for all",
        ("arm", ">Brier", ">accuracy", ">AUC", ">ratchet's Brier gain over it", "ratchet is", ">CPU s"),
        [_row(score) for score in found],
    )
    click.echo(wording.headline(result, found))
    for finding, said in wording.by_finding(wording.comparisons(found)).items():
        click.echo(f"  {wording.CLAIM[finding]} {said}")
    click.echo(wording.history(result))
    click.echo(f"\n{setting.seconds:,.0f} s")
    for kind, path in files.items():
        click.echo(f"{kind:<6}{path}")
    if kept:
        click.echo(f"home  {kept}   open it with {shlex.join(['ratchet', 'up', '--home', kept])}")


def _row(score: Score) -> tuple[str, ...]:
    return (
        score.arm,
        wording.estimate(score.brier, 4),
        wording.estimate(score.accuracy, 3),
        wording.estimate(score.auc, 3),
        wording.percent(score.gain.percent) if score.gain else "",
        score.gain.finding if score.gain else "",
        "" if is_baseline(score.arm) else f"{score.cpu_seconds:,.1f}",
    )


def _command(lineage: Lineage, policy: str, start: str, every: int, file: Path | None, zones: tuple[str, str]) -> str:
    """The command line for the same backtest."""
    line = ["ratchet", "backtest", str(lineage.series), "--model", lineage.model_type]
    line += ["--target", lineage.task.target, "--horizon", str(lineage.task.horizon)]
    line += ["--every", str(every), "--policy", policy]
    line += ["--start", start] if start else []
    line += ["--data", str(file), *zone_arguments(*zones)] if file else []
    return shlex.join(line)


def _print_status(text: str) -> None:
    click.echo(text, err=True)
