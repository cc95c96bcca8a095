"""Click groups with commands from the installed distributions, by entry points."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import click


class CommandGroup(click.Group):
    """A click group with further commands from an entry-point group, each imported on use.

    Args:
        entry_points: Name of the entry-point group; each entry point has the name of its command.
        summaries: Help texts of the commands of Ratchet in that group, by name and in the order of the help page.
            A command in it that is not installed belongs to the server.
    """

    def __init__(self, *args: Any, entry_points: str, summaries: Mapping[str, str], **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.entry_points, self.summaries = entry_points, summaries

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the group's own commands, then those of Ratchet's distributions, then those of others."""
        installed = self._installed()
        ours = [name for name in self.summaries if name in installed]
        return [*super().list_commands(ctx), *ours, *sorted(installed.keys() - ours)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Loads a command; None if no distribution has it."""
        own = super().get_command(ctx, cmd_name)
        found = None if own else self._installed().get(cmd_name)
        command: click.Command | None = found.load() if found else own
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands; those with a summary are not imported."""
        names = self.list_commands(ctx)
        width = formatter.width - 6 - max(map(len, names), default=0)
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._summary(ctx, name, width)) for name in names])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Finds the command of the arguments; UsageError if it is not installed or does not exist."""
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            if error.command_name in self.summaries:
                raise click.UsageError(
                    f"'{ctx.command_path} {error.command_name}' is a command of the server, which is not installed;"
                    " pip install 'ratchet-models[server]'"
                ) from None
            raise click.NoSuchCommand(error.command_name, possibilities=self.list_commands(ctx), ctx=ctx) from None

    def _installed(self) -> dict[str, EntryPoint]:
        return {found.name: found for found in entry_points(group=self.entry_points)}

    def _summary(self, ctx: click.Context, name: str, width: int) -> str:
        if name in self.summaries:
            return self.summaries[name]
        command = self.get_command(ctx, name)
        return command.get_short_help_str(width) if command else ""
