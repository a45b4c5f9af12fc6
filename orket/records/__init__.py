"""The raw row types: the only declaration of every column Orket records.

One row of each dataset of the warehouse is one struct, with a file of its own:

    sweeps/    SweepRow     the manifest: one per start or resume of a sweep
    runs/      RunRecord    one per model call, also when it failed
    sidecars/  SidecarRow   one per sidecar measurement
    fidelity/  FidelityRow  one per prompt along which a quant was followed
    events/    EventRow     baseline governance; sweep finished or aborted

The Arrow schema, strict validation, JSON and the data dictionary in
docs/telemetry.md all derive from these declarations. Facts only: what the source
did not say is None, durations are integer nanoseconds, sizes are bytes, moments
are UTC. Judgement (rates, quality, eligibility) belongs to the SQL views.

This is the door: who reads or makes rows imports from here, whichever file holds them.
"""

from __future__ import annotations

from orket.policy import Policy as Policy
from orket.records.call import CallFacts as CallFacts
from orket.records.call import CheckFacts as CheckFacts
from orket.records.controls import Capabilities as Capabilities
from orket.records.controls import Controls as Controls
from orket.records.counters import Counters as Counters
from orket.records.event import BASELINE_IDENTITY as BASELINE_IDENTITY
from orket.records.event import GOVERNANCE as GOVERNANCE
from orket.records.event import EventRow as EventRow
from orket.records.fidelity import FidelityRow as FidelityRow
from orket.records.fidelity import ScoreFacts as ScoreFacts
from orket.records.lines import NO_JSON as NO_JSON
from orket.records.lines import STRAY_SURROGATE as STRAY_SURROGATE
from orket.records.lines import checked as checked
from orket.records.lines import judge as judge
from orket.records.lines import stray_surrogate as stray_surrogate
from orket.records.lines import to_json as to_json
from orket.records.run import RunRecord as RunRecord
from orket.records.sidecar import SidecarRow as SidecarRow
from orket.records.sweep import FidelityPlan as FidelityPlan
from orket.records.sweep import Hardware as Hardware
from orket.records.sweep import Label as Label
from orket.records.sweep import ModelEntry as ModelEntry
from orket.records.sweep import Override as Override
from orket.records.sweep import PlannedRun as PlannedRun
from orket.records.sweep import PolicyStep as PolicyStep
from orket.records.sweep import ProfileLimit as ProfileLimit
from orket.records.sweep import QuantEntry as QuantEntry
from orket.records.sweep import SweepRow as SweepRow
from orket.records.sweep import TaskEntry as TaskEntry
from orket.records.sweep import TensorCount as TensorCount
from orket.row_types import Record as Record

DATASETS: dict[str, type[Record]] = {
    "sweeps": SweepRow,
    "runs": RunRecord,
    "sidecars": SidecarRow,
    "fidelity": FidelityRow,
    "events": EventRow,
}
