"""The command reference, from the commands' own help."""

from __future__ import annotations

from collections.abc import Iterator

import click

from orket.cli.main import cli, installed_verbs

_WIDTH = 88


def cli_reference() -> str:
    """The help of every verb, in the order of the table of verbs."""
    root = click.Context(
        cli, info_name="orket", **{**cli.context_settings, "terminal_width": _WIDTH}
    )
    sections = [_section("orket", cli, root)]
    for verb in installed_verbs():
        command = cli.get_command(root, verb)
        assert command is not None
        sections.extend(_verb_sections(verb, command, root))
    return "\n\n".join(sections)


def _verb_sections(
    name: str, command: click.Command, parent: click.Context
) -> Iterator[str]:
    context = click.Context(
        command, info_name=name, parent=parent, terminal_width=_WIDTH
    )
    yield _section(context.command_path, command, context)
    if isinstance(command, click.Group):
        for inner_name in command.list_commands(context):
            inner = command.get_command(context, inner_name)
            assert inner is not None
            yield from _verb_sections(inner_name, inner, context)


def _section(title: str, command: click.Command, context: click.Context) -> str:
    lines = [line.rstrip() for line in command.get_help(context).splitlines()]
    return f"## {title}\n\n```\n" + "\n".join(lines) + "\n```"
