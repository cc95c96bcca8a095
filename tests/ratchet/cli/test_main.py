"""Help is quick to load, mistakes are named, and every error has its exit code and never a traceback."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import click
import pytest

from ratchet import errors
from ratchet.cli import SUMMARIES, cli, main
from ratchet.cli.command_group import CommandGroup
from ratchet.registry.v1 import registry_pb2, registry_pb2_grpc

Run = Callable[..., Any]
Serve = Callable[..., str]
NOBODY = "127.0.0.1:1"


def test_help_imports_neither_grpc_nor_rich() -> None:
    script = (
        "import sys; from ratchet.cli import main; code = main(['--help']);"
        "print(code, [name for name in ('grpc', 'rich', 'google.protobuf', 'numpy') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "0 []"
    assert all(name in ran.stdout for name in SUMMARIES)


@pytest.mark.parametrize("name", SUMMARIES)
def test_every_command_explains_itself(run: Run, name: str) -> None:
    page = run(name, "--help")
    assert page.code == 0
    assert page.out.startswith(f"Usage: ratchet {name}")
    assert len(page.out.splitlines()) > 4


def test_every_command_has_a_summary_and_every_subcommand_words_of_help() -> None:
    context = click.Context(cli, info_name="ratchet")
    assert set(cli.list_commands(context)) == set(SUMMARIES)
    for name in SUMMARIES:
        command = cli.get_command(context, name)
        assert command is not None
        assert command.help
        if isinstance(command, click.Group):
            found = [command.get_command(context, sub) for sub in command.list_commands(context)]
            assert all(sub is not None and sub.help for sub in found)


@pytest.mark.parametrize(
    "words", [["up"], ["doctor", "--help"], ["log", "import", "log.jsonl"], ["log", "key", "rotate", "new.key"]]
)
def test_without_the_server_its_commands_say_how_to_install_it(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    installed = CommandGroup._installed
    monkeypatch.setattr(
        CommandGroup,
        "_installed",
        lambda group: {name: each for name, each in installed(group).items() if "services" not in each.module},
    )
    assert "demo" not in run("--help").out
    ran = run(*words)
    assert (ran.code, ran.out) == (2, "")
    assert "is a command of the server, which is not installed; pip install 'ratchet-models[server]'" in ran.err


class Plugin:
    """An entry point of another distribution."""

    name, module = "acme", "acme.command"

    def load(self) -> click.Command:
        return click.Command("acme", callback=lambda: click.echo("done by acme"), help="Do as Acme does.")


def test_a_command_of_another_distribution_is_listed_and_runs(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ratchet.cli.command_group.entry_points", lambda group: [Plugin()])
    assert run("--help").out.splitlines()[-1].split(maxsplit=1) == ["acme", "Do as Acme does."]
    assert run("acme").out == "done by acme\n"


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["modles"], "models"),
        (["models", "lsit"], "list"),
        (["trainngs", "list"], "trainings"),
        (["train", "AAPL", "--modl", "lstm"], "--model"),
        (["train", "AAPL", "--model", "xgbost"], "xgboost"),
        (["train", "AAPL", "--model", "lstm", "--target", "volum"], "volume"),
        (["train", "AAPL", "--model", "lstm", "--policy", "strickt"], "strict"),
        (["train", "EUR/USD", "--model", "lstm"], "EUR-USD"),
    ],
)
def test_a_typo_is_told_what_was_meant(run: Run, words: list[str], meant: str) -> None:
    ran = run(*words)
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.startswith("error: ")
    assert meant in ran.err


@pytest.mark.parametrize("words", [[], ["models"], ["log", "show"], ["log", "show", "0"], ["train", "AAPL"], ["-x"]])
def test_a_wrong_line_is_a_usage_error(run: Run, words: list[str]) -> None:
    ran = run(*words)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err


class Raising(registry_pb2_grpc.RegistryServiceServicer):
    def __init__(self, error: Exception) -> None:
        self.error = error

    def GetModel(self, request: registry_pb2.GetModelRequest, context: Any) -> registry_pb2.GetModelResponse:
        raise self.error


@pytest.fixture
def failing(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception], None]:
    """Afterwards RATCHET_REGISTRY is a registry that answers GetModel with the error."""

    def start(error: Exception) -> None:
        add = registry_pb2_grpc.add_RegistryServiceServicer_to_server
        address = serve((add, Raising(error), "ratchet.registry.v1.RegistryService"))
        monkeypatch.setenv("RATCHET_REGISTRY", address)

    return start


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InvalidInput("no"), 2),
        (errors.NotFound("no"), 3),
        (errors.ChampionMoved("no"), 4),
        (errors.PreconditionFailed("no"), 4),
        (errors.CorruptData("no"), 7),
        (errors.DataRefused("no"), 8),
        (errors.LimitReached("no"), 1),
        (errors.Cancelled("no"), 130),
    ],
)
def test_the_exit_code_is_that_of_the_error(
    run: Run, failing: Callable[[Exception], None], error: errors.RatchetError, code: int
) -> None:
    failing(error)
    ran = run("models", "show", "AAPL/range/logistic/v1")
    assert (ran.code, ran.out, ran.err) == (code, "", "error: no\n")


def test_an_error_as_json_is_one_object_on_stderr(run: Run, failing: Callable[[Exception], None]) -> None:
    failing(errors.ChampionMoved("it moved", fields={"model": "old"}, metadata={"champion": "v2"}))
    ran = run("models", "show", "AAPL/range/logistic/v1", "-o", "json")
    assert ran.out == ""
    assert json.loads(ran.err)["error"] == {
        "reason": "CHAMPION_MOVED",
        "message": "it moved",
        "exit_code": 4,
        "fields": {"model": "old"},
        "metadata": {"champion": "v2"},
    }


def test_a_usage_error_as_json_is_json_too(run: Run) -> None:
    ran = run("train", "AAPL", "--output=json")
    assert (ran.code, ran.out) == (2, "")
    assert json.loads(ran.err)["error"]["reason"] == "USAGE"


def test_a_defect_shows_its_trace_only_when_asked(
    run: Run, failing: Callable[[Exception], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(errors.NotFound("no such model"))
    quiet = run("models", "show", "AAPL/range/logistic/v1")
    assert "Traceback" not in quiet.err
    monkeypatch.setenv("RATCHET_DEBUG", "1")
    loud = run("models", "show", "AAPL/range/logistic/v1")
    assert "Traceback" in loud.err
    assert loud.code == quiet.code == 3


@pytest.mark.parametrize("words", [["models", "list"], ["doctor"], ["log", "tail"]])
def test_without_services_the_exit_is_5_and_says_what_to_start(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    for service in ("REGISTRY", "KNOWLEDGE", "TRAINER"):
        monkeypatch.setenv(f"RATCHET_{service}", NOBODY)
    ran = run(*words)
    assert ran.code == 5
    assert "ratchet up" in ran.err + ran.out


def test_a_home_that_nothing_runs_on_is_named_with_the_command_to_start_it(run: Run) -> None:
    ran = run("models", "list", "--home", "my home")
    assert ran.code == 5
    assert "ratchet up --home 'my home'" in ran.err


def test_an_address_that_is_none_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATCHET_REGISTRY", "localhost")
    ran = run("models", "list")
    assert ran.code == 2
    assert "host:port" in ran.err


def test_the_network_is_not_let_in_by_accident(run: Run) -> None:
    ran = run("serve", "registry", "--host", "0.0.0.0")
    assert ran.code == 2
    assert "--insecure" in ran.err


def test_version_is_printed_in_both_ways(run: Run) -> None:
    assert run("version").out.startswith("ratchet ")
    assert set(json.loads(run("version", "-o", "json").out)) == {"version"}


def test_a_reader_that_has_gone_is_no_defect() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ran = subprocess.run([sys.executable, "-m", "ratchet", "--help"], stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (ran.returncode, ran.stderr) == (1, "")


def test_an_interrupt_exits_with_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ratchet.cli.version.show", interrupted)
    assert main(["version"]) == 130
    assert "Traceback" not in capsys.readouterr().err
