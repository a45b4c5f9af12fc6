"""`orket`: the table of verbs, and one place that turns errors into one line.

Verbs are loaded when they are called: `orket --help` imports none of them.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from orket import __version__
from orket.cli import messages
from orket.cli.interrupted import is_interrupt
from orket.errors import OrketError
from orket.text import close_words, printable
from orket.urls import without_passwords

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130
_CLICKS_GUESS = re.compile(
    r"(?P<problem>.*)\. \(?Did you mean (?:one of: )?(?P<guess>.*?)\?\)?$", re.DOTALL
)

SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "Measure": {
        "run": ("orket.cli.run:run", "Run a sweep and say which quant to use."),
        "plan": ("orket.cli.plan:plan", "Show what a sweep would do; runs nothing."),
        "init": ("orket.cli.init:init", "Write a preset for a model, to edit it."),
        "canary": ("orket.cli.canary:canary", "Run the canary gate alone."),
        "determinism": (
            "orket.cli.determinism:determinism",
            "Repeat tasks and say which answers differ.",
        ),
        "presets": ("orket.cli.presets:presets", "List the presets, or show one."),
    },
    "Read": {
        "show": ("orket.cli.show:show", "Show one sweep and its recommendation."),
        "sweeps": ("orket.cli.sweeps:sweeps", "List the sweeps in the warehouse."),
        "why": (
            "orket.cli.why:why",
            "Why a quant is recommended or not, with its numbers.",
        ),
        "explain": (
            "orket.cli.explain:explain",
            "Raw figures, formulas and evidence of one run.",
        ),
        "matrix": (
            "orket.cli.matrix:matrix",
            "What to use on each machine, over all sweeps.",
        ),
        "diff": ("orket.cli.diff:diff", "Did it become worse between two sweeps?"),
        "use": ("orket.cli.use:use", "The line that runs the advised quant."),
        "report": ("orket.cli.report:report", "Write a sweep as a page of its own."),
        "export": ("orket.cli.export:export", "Write sweep_summary.json; re-judge."),
        "kpi": ("orket.cli.kpi:kpi", "Show stability KPIs; check them against SLOs."),
        "gate": ("orket.cli.gate:gate", "May a quant go on being used? For CI."),
        "sql": ("orket.cli.sql:sql", "Query the views, read-only."),
        "views": ("orket.cli.views:views", "List the views; write them as SQL."),
    },
    "Keep": {
        "baseline": ("orket.cli.baseline:baseline", "Govern stored baselines."),
        "ingest": ("orket.cli.ingest:ingest", "Import telemetry from files."),
        "bundle": ("orket.cli.bundle:bundle", "Write a sweep as evidence in one file."),
        "compact": ("orket.cli.compact:compact", "Fold many small parts into few."),
        "derive": ("orket.cli.derive:derive", "Derive all sweeps ahead; with Spark."),
        "verify": (
            "orket.cli.verify:verify",
            "Is all that was recorded whole? Move or clear what is not.",
        ),
    },
    "Machine and servers": {
        "doctor": ("orket.cli.doctor:doctor", "Is this machine fit to measure on?"),
        "providers": (
            "orket.cli.providers:providers",
            "Which model servers answer here, and what each can tell.",
        ),
        "mock-server": (
            "orket.cli.mock_server:mock_server",
            "Serve recorded answers, to try Orket without a model.",
        ),
    },
}
"""Section -> verb -> (module:command, what it does in a line)."""

VERBS = {
    verb: entry for section in SECTIONS.values() for verb, entry in section.items()
}


def installed_verbs() -> list[str]:
    """The verbs whose module is there, in the order of the table."""
    return [verb for verb, (target, _) in VERBS.items() if _has_module(target)]


def _has_module(target: str) -> bool:
    return importlib.util.find_spec(target.partition(":")[0]) is not None


class LazyGroup(click.Group):
    """A group that imports a verb's module only when that verb is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return installed_verbs()

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS or not _has_module(VERBS[cmd_name][0]):
            return None
        module, _, name = VERBS[cmd_name][0].partition(":")
        command: Any = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)
        if ctx.resilient_parsing:
            # A shell asks what may stand here.
            from orket.cli.completion import offer_names

            offer_names(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        verb = args[0]
        if self.get_command(ctx, verb) is None and not verb.startswith("-"):
            close = close_words(verb, self.list_commands(ctx))
            meant = f"did you mean {close[0]}?" if close else "see orket -h"
            raise click.UsageError(f"no verb {verb!r}: {meant}")
        return super().resolve_command(ctx, args)

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        there = set(self.list_commands(ctx))
        for title, verbs in SECTIONS.items():
            rows = [(verb, line) for verb, (_, line) in verbs.items() if verb in there]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


@click.group(
    cls=LazyGroup,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 88,
    },
    epilog="Exit codes: 0 done, 1 failed, 2 bad usage or input, 3 canary gate failed, "
    "4 SLO, health check or gate not met, worse than before, or damage found, "
    "130 interrupted.",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.option(
    "--debug", is_flag=True, help="Show the traceback of an error; goes anywhere."
)
def cli(debug: bool) -> None:
    """Which quantization of a local model should I run? Measured, not guessed.

    Start with `orket run quickstart`.
    """


def run_command(args: Sequence[str]) -> int:
    """Run one command line and return its exit code; every error becomes one line."""
    debug = "--debug" in args
    try:
        code = cli.main(
            [arg for arg in args if arg != "--debug"],
            prog_name=messages.PROGRAM,
            standalone_mode=False,
        )
        # Of a verb that ends with ctx.exit(code), the code comes back.
        return code if isinstance(code, int) else 0
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else EXIT_FAILED
    except (click.Abort, KeyboardInterrupt):
        _trace(debug)
        messages.note("interrupted")
        return EXIT_INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as failure:
        click.echo(failure.format_message(), err=True)
        return failure.exit_code
    except click.ClickException as failure:
        _trace(debug)
        _explain_usage(failure)
        return failure.exit_code
    except Exception as failure:
        _trace(debug)
        if is_interrupt(failure):
            messages.note("interrupted")
            return EXIT_INTERRUPTED
        return _explain_failure(failure)


def _explain_failure(failure: Exception) -> int:
    if isinstance(failure, OrketError):
        messages.error(failure.message, failure.hint)
        return failure.exit_code
    if isinstance(failure, OSError):
        where = f": {failure.filename}" if failure.filename else ""
        messages.error(f"{failure.strerror or failure}{where}")
        return EXIT_FAILED
    messages.error(
        f"unexpected {type(failure).__name__}: {failure}",
        "this is a fault in Orket; run it again with --debug to see where",
    )
    return EXIT_FAILED


def _explain_usage(failure: click.ClickException) -> None:
    text = failure.format_message().rstrip(".")
    context = getattr(failure, "ctx", None)
    hint = f"see {context.command_path} -h" if context else None
    if text.endswith("-h"):
        hint = None
    if isinstance(failure, click.MissingParameter) and context:
        from orket.cli.examples import EXAMPLES

        if example := EXAMPLES.get(context.command_path):
            # The line to type ends it, so that it stays in one piece.
            text, hint = f"{text} ({context.command_path} -h tells more)", example
    if meant := _CLICKS_GUESS.match(text):
        # Click's own question is a hint already.
        text = meant["problem"]
        hint = "did you mean " + meant["guess"].replace("', '", "' or '") + "?"
    messages.error(text, hint)


def _trace(debug: bool) -> None:
    if debug:
        for line in traceback.format_exc().splitlines():
            click.echo(printable(without_passwords(line)), err=True)


def main() -> NoReturn:
    """The `orket` program."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A terminal that cannot show a character must not end the command.
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run_command(sys.argv[1:]))
