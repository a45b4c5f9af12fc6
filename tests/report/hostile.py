"""A sweep whose every text is an attack on whoever shows it."""

from __future__ import annotations

from pathlib import Path

from orket.records import Label
from orket.warehouse import Warehouse
from tests.built_sweep import Sweep, quiet_counters

MS = 1_000_000
SCRIPT = "<script>fetch('https://evil.example/x')</script>"
ANSWER = (
    f"</pre></details>{SCRIPT}<img src=https://evil.example/i.png onerror=alert(1)>"
    "\n\x1b[2J\u202egnp.exe {{ 7*7 }} ```\n<!-- & &amp; ]]>"
)
QUANT = 'Q4"><svg/onload=alert(2)>\uffff'  # In no XML may it stand.
MODEL = "m</title><script>alert(3)</script>|`_*"


def hostile_sweep(folder: Path) -> Warehouse:
    """Two quants, of which the hostile one fails half of the tasks, in two formats."""
    tasks = tuple(f"t{n:02}" for n in range(10))
    sweep = Sweep(
        sweep_id="hostile",
        model_id=MODEL,
        quants=("F16", QUANT),
        tasks=tasks,
        repetitions=2,
        buckets={"t00": "refactor"},
        families={"t01": "</h3><script>alert(4)</script>"},
        quant_facts={
            "F16": {"nominal_bpw_milli": 16_000},
            QUANT: {"nominal_bpw_milli": 4500, "publisher": SCRIPT},
        },
        manifest={"preset": f"p{SCRIPT}", "labels": [Label(key=SCRIPT, value=SCRIPT)]},
    )
    for planned in sweep.plan():
        task = planned.test_id.removeprefix("bank/")
        if planned.quant_tag == "F16":
            sweep.add(
                "F16", task, planned.repetition, answer_text="yes, <b>of</b> course"
            )
            continue
        fails = int(task[1:]) % 2
        sweep.add(
            QUANT,
            task,
            planned.repetition,
            passed=1 - fails,
            answer_text=ANSWER if fails else "yes, <b>of</b> course",
            check_details='[{"kind":"<i>exact","status":"failed","reason":"<u>NO"}]',
            format_damage="LOOPING" if fails and int(task[1:]) > 5 else None,
        )
    start_ns = sweep.clock_ns
    stop_ns = start_ns + 600 * MS
    sweep.add(
        QUANT,
        "t00",
        attempt=2,
        after=quiet_counters(stop_ns, host_busy_ns=stop_ns * 192 // 100 + 500 * MS),
    )
    return sweep.finish().store(folder)
