"""Commands that are printed run as printed, for the services that the caller named."""

import pytest

from ratchet.cli.connect import with_home_option

NOT_THERE = "there is no model AAPL/range/logistic/v9; see ratchet models list"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (NOT_THERE, NOT_THERE + " --home 'my home'"),
        ("start it with ratchet up, or ratchet serve", "start it with {up}, or {serve}"),
        ("stop ratchet up and start it again", "stop {up} and start it again"),
        ("ratchet data import BRK.B FILE --replace (it stays)", "{import} (it stays)"),
        ("watch it: ratchet log tail --home there", "watch it: ratchet log tail --home there"),
        (
            "install the newest ratchet, or look at ratchet-notes",
            "install the newest ratchet, or look at ratchet-notes",
        ),
    ],
)
def test_the_commands_of_a_service_get_the_home_of_the_caller(text: str, told: str) -> None:
    commands = {
        "up": "ratchet up --home 'my home'",
        "serve": "ratchet serve --home 'my home'",
        "import": "ratchet data import BRK.B FILE --replace --home 'my home'",
    }
    assert with_home_option(text, "my home") == told.format_map(commands)


def test_the_default_home_needs_no_words() -> None:
    assert with_home_option(NOT_THERE, None) == NOT_THERE
