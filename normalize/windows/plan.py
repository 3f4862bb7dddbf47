"""A mapping plan: what one kind of event means in ECS, compiled once and run without branching."""

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from typing import Any

from normalize.windows.record import EventData
from normalize.windows.values import Convert, Setter
from samlog.event import Event

Finish = Callable[[Event, EventData], None]
Rule = tuple[str, str] | tuple[str, str, Convert] | tuple[str, Setter]
"""EventData name and: an ECS field; a field and a conversion; or a setter of several fields."""

NOTHING = frozenset(("", "-"))
"""How Windows writes "no value"; such a value stays in EventData and goes nowhere else."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Constants, then single fields, then setters, then what needs several fields at once."""

    constants: tuple[tuple[str, Any], ...] = ()
    copies: tuple[tuple[str, str], ...] = ()
    converts: tuple[tuple[str, str, Convert], ...] = ()
    setters: tuple[tuple[str, Setter], ...] = ()
    finish: tuple[Finish, ...] = ()

    def start(self, out: Event) -> None:
        """Adds the constants to ``out``."""
        for field, constant in self.constants:
            out[field] = list(constant) if type(constant) is tuple else constant

    def run(self, out: Event, data: EventData) -> None:
        """Adds the ECS fields of ``data`` to ``out``; a value that is none is left out."""
        get = data.get
        for name, field in self.copies:
            value = get(name)
            if type(value) is str and value and value != "-":
                out[field] = value
        for name, field, convert in self.converts:
            value = get(name)
            if type(value) is str and value and value != "-":
                converted = convert(value)
                if converted is not None:
                    out[field] = converted
        for name, write in self.setters:
            value = get(name)
            if type(value) is str and value and value != "-":
                write(out, value)
        for finish in self.finish:
            finish(out, data)

    def only(self, names: Container[str]) -> "Plan":
        """Returns the plan for events that have no other fields than ``names``."""
        return Plan(
            self.constants,
            tuple(rule for rule in self.copies if rule[0] in names),
            tuple(rule for rule in self.converts if rule[0] in names),
            tuple(rule for rule in self.setters if rule[0] in names),
            self.finish,
        )


def compile_plan(
    rules: Iterable[Rule] = (),
    *,
    category: Iterable[str] = (),
    kind: Iterable[str] = (),
    action: str = "",
    constants: Iterable[tuple[str, Any]] = (),
    finish: Iterable[Finish] = (),
) -> Plan:
    """Sorts ``rules`` by their shape. ``category`` and ``kind`` are event.category, event.type."""
    fixed: list[tuple[str, Any]] = []
    if categories := tuple(category):
        fixed.append(("event.category", categories))
    if kinds := tuple(kind):
        fixed.append(("event.type", kinds))
    if action:
        fixed.append(("event.action", action))
    copies: list[tuple[str, str]] = []
    converts: list[tuple[str, str, Convert]] = []
    setters: list[tuple[str, Setter]] = []
    for rule in rules:
        if len(rule) == 3:
            converts.append(rule)
        elif isinstance(rule[1], str):
            copies.append((rule[0], rule[1]))
        else:
            setters.append((rule[0], rule[1]))
    return Plan(
        tuple(fixed) + tuple(constants),
        tuple(copies),
        tuple(converts),
        tuple(setters),
        tuple(finish),
    )
