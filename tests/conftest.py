"""Options of the suite."""

from __future__ import annotations

import locale
import os
import signal
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.fuzzing import examples
from tests.longest import begin_with_the_longest
from tests.looking import look_no_more
from tests.nightly import IS_NIGHT, leave_to_the_night
from tests.together import looked_together

__all__ = ["looked_together"]

# A busy machine draws and runs examples slowly; that says nothing about the code. By
# day the same ones are drawn, so that a change fails by what it changed; others at
# night.
settings.register_profile(
    "orket",
    derandomize=not IS_NIGHT,
    max_examples=examples(100),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("orket")

# What somebody set for their own servers, models, network and terminal must not change
# what a test sees, nor what the programs see that it starts.
FOREIGN = (
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "PYTHONUTF8", "PYTHONIOENCODING"),
    *("ORKET_WAREHOUSE", "ORKET_MODELS", "ORKET_MEMORY_MIB", "ORKET_THREADS"),
    *("OLLAMA_HOST", "LLAMA_CACHE", "HF_HOME", "HF_HUB_CACHE", "container"),
    *(f"{scheme}_proxy" for scheme in ("http", "https", "all", "no")),
    *(f"{scheme}_PROXY" for scheme in ("HTTP", "HTTPS", "ALL", "NO")),
    *("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE"),
    *("TTY_COMPATIBLE", "TTY_INTERACTIVE"),
)
for name in FOREIGN:
    os.environ.pop(name, None)
os.environ["ORKET_HOME"] = str(Path(tempfile.gettempdir(), "no-home-of-orket"))

# What Orket writes is UTF-8, and a test reads it so, also where the locale is another.
if os.name == "posix" and locale.getencoding().lower() != "utf-8":
    locale.setlocale(locale.LC_CTYPE, "C.UTF-8")

# What a script starts in the background inherits a SIGINT that is ignored, and would
# hand it on to the programs that the tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--update-golden` writes the golden files anew instead of comparing."""
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write the golden files anew; review the diff",
    )


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """What is for the night is left to it, and what takes long is begun first."""
    leave_to_the_night(config, items)
    begin_with_the_longest(items)


def pytest_sessionfinish() -> None:
    """No session stays open behind the last test."""
    look_no_more()


def pytest_xdist_auto_num_workers() -> int | None:
    """`-n auto`: one more than CPUs, for some tests wait for servers and processes.

    None leaves it to the plugin, which reads its own variable of the environment.
    """
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    return (os.cpu_count() or 1) + 1
