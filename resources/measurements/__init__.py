"""What the platform measures of itself, for the asset ``timescale_stats`` and for Prometheus.

Every source (a server, a pooler, the machine) is asked at once and on its own: one that is away, or
too slow, is ``up 0`` with a problem that says why, and the others' numbers come all the same.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from resources.measurements.quantities import QUANTITIES, Measurement
from resources.redaction import redacted

SECONDS = 8.0
"""What all sources together may take; Prometheus gives up after ten."""

Add = Callable[[str, Iterable[str], float], None]
"""Takes a quantity's name, the values of its labels, and the number."""


@dataclass(frozen=True)
class Source:
    """Something that is asked for numbers. ``ask`` adds them, and gives the problems it had beside;
    it raises where there is no asking."""

    name: str
    ask: Callable[[Add], list[str]]


@dataclass(frozen=True)
class Measured:
    """What was measured, and by source what could not be."""

    measurements: list[Measurement]
    problems: Mapping[str, str]

    def value(self, name: str, *labels: str) -> float:
        """One number. Raises KeyError where it was not measured."""
        for one in self.measurements:
            if one.quantity.name == name and one.labels == labels:
                return one.value
        raise KeyError(" ".join((name, *labels)))


@dataclass
class _Question:
    """A source that is being asked, in a thread of its own."""

    source: Source
    thread: threading.Thread = field(init=False)
    found: list[Measurement] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    answered: bool = False

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._ask, name=self.source.name, daemon=True)
        self.thread.start()

    def _ask(self) -> None:
        try:
            self.problems += self.source.ask(self._add)
            self.answered = True
        except Exception as error:  # whatever it is, it is this source's alone
            self.problems.append(redacted(str(error) or repr(error)))

    def _add(self, name: str, labels: Iterable[str], value: float) -> None:
        quantity, said = QUANTITIES[name], tuple(labels)
        if len(said) != len(quantity.labels):
            raise ValueError(f"{name} has the labels {quantity.labels}, not {said}")
        self.found.append(Measurement(quantity, said, float(value)))


class Measuring:
    """Measures again and again; a source that still owes its last answer is not asked anew."""

    def __init__(self, sources: Iterable[Source], seconds: float = SECONDS) -> None:
        self._sources = list(sources)
        self._seconds = seconds
        self._owing: dict[str, _Question] = {}
        self._lock = threading.Lock()

    def measure(self) -> Measured:
        """Every number there is now, within ``seconds``."""
        import time

        with self._lock:
            deadline = time.monotonic() + self._seconds
            asked = {source.name: self._asked(source) for source in self._sources}
            measurements: list[Measurement] = []
            problems: dict[str, str] = {}
            for name, question in asked.items():
                question.thread.join(max(0.0, deadline - time.monotonic()))
                late = question.thread.is_alive()
                up = question.answered and not late
                measurements.append(Measurement(QUANTITIES["up"], (name,), float(up)))
                if late:
                    self._owing[name] = question
                    problems[name] = f"no answer within {self._seconds:.0f} s"
                    continue
                self._owing.pop(name, None)
                measurements += question.found
                if question.problems:
                    problems[name] = "; ".join(question.problems)
            return Measured(measurements, problems)

    def _asked(self, source: Source) -> _Question:
        owing = self._owing.get(source.name)
        # Its answer, should it come now, is of the past; but a thread a scrape would pile up.
        return owing if owing and owing.thread.is_alive() else _Question(source)
