"""What must hold for a rule to fire, as far as single values can tell.

`clauses` reads a condition and returns a conjunction of clauses; each clause is a set of `Atom`s
of which one must hold. A rule whose clauses do not hold cannot fire; nothing is said of one whose
clauses do. Where anything is in doubt there is no clause, so a mistake here can only cost time.

Clauses come from the condition, never from the detections: ``selection or not filter`` needs
nothing at all.

`vetoes` reads the other side: single values with which a rule cannot fire (``not 1 of filter_*``).
"""

from collections.abc import Iterable, Sequence
from string import ascii_lowercase, digits
from typing import Any, NamedTuple

from detect.condition import And, FieldTest, Node, Not, Or, Pattern
from detect.regexliteral import required_literal
from detect.text import Slot, fold

KEYWORDS = "\0keywords"
"""The slot of keyword atoms; no field of an event is named so."""

MAX_ATOMS = 20_000
"""A clause with more alternatives is not worth its index."""


COMMON_CHARS = frozenset(" -./:\\" + ascii_lowercase + digits)
"""Each is in nearly every text, and often: they were half of what a scan reported."""


class Atom(NamedTuple):
    """A statement about one text, or the lack of any, in one slot.

    ``kind``: ``eq``, ``contains``, ``starts``, ``ends`` with a folded text; ``num`` with a number;
    ``some`` (a text is there), ``none`` (missing or null), ``exists`` (the key is there).
    """

    slot: Slot
    kind: str
    arg: Any


Clause = tuple[Atom, ...]

WIDE = 2
"""Clauses over several slots that one disjunction gives: one of ``type: SYSCALL`` and ``type:
ADD_USER`` holds for half of auditd, but for few events the next rarest, ``exe: */useradd``."""

_RARITY = {"eq": 0.02, "num": 0.03, "starts": 0.5, "ends": 0.7, "contains": 1.0}
_DULL = {"some": 0.9, "exists": 0.95, "none": 0.9}


class Needs(NamedTuple):
    """What single values say of a rule: all ``clauses`` must hold, none of ``vetoes`` may."""

    clauses: Sequence[Clause]
    vetoes: Sequence[Atom]


_EXACT = frozenset({"eq", "contains", "starts", "ends", "num"})
_PRESENCE = {"null": "none", "any": "some"}


def needs(node: Node) -> Needs:
    """Returns what single values must and must not be for ``node`` to hold."""
    return Needs(clauses(node), vetoes(node))


def vetoes(node: Node) -> list[Atom]:
    """Returns atoms, at most `MAX_ATOMS`; ``node`` does not hold for an event with one of them.

    Unlike those of `clauses` they must be exact: an atom holds only if the test behind it does.
    """
    return list(dict.fromkeys(_vetoes(node)))[:MAX_ATOMS]


def _vetoes(node: Node) -> list[Atom]:
    if isinstance(node, And):
        return [atom for part in node.nodes for atom in _vetoes(part)]
    return _exact(node.node) if isinstance(node, Not) else []


def _exact(node: Node) -> list[Atom]:
    """Returns atoms of which each alone makes ``node`` hold."""
    if isinstance(node, Or):
        return [atom for part in node.nodes for atom in _exact(part)]
    if not isinstance(node, FieldTest):
        return []
    slot, op, arg = node
    if slot is None:
        return []
    if op in _EXACT:
        return [Atom(slot, op, arg)]
    if op == "exists" and arg is True:
        return [Atom(slot, "exists", None)]
    return [Atom(slot, _PRESENCE[op], None)] if op in _PRESENCE else []


def clauses(node: Node) -> list[Clause]:
    """Returns clauses that all hold whenever ``node`` does; [] where nothing is certain."""
    return [clause for clause in _need(node) if len(clause) <= MAX_ATOMS]


def _need(node: Node) -> list[Clause]:
    if isinstance(node, And):
        return [clause for part in node.nodes for clause in _need(part)]
    if isinstance(node, Or):
        return _common([_need(part) for part in node.nodes])
    if isinstance(node, Not):
        return _need_not(node.node)
    atom = _atom(node)
    return [(atom,)] if atom is not None else []


def _need_not(node: Node) -> list[Clause]:
    if isinstance(node, Or):
        return [clause for part in node.nodes for clause in _need_not(part)]
    if isinstance(node, Not):
        return _need(node.node)
    if isinstance(node, FieldTest) and node.slot is not None:
        if node.op == "null":
            return [(Atom(node.slot, "some", None),)]
        if node.op == "any":
            return [(Atom(node.slot, "none", None),)]
        if node.op == "exists" and node.arg is False:
            return [(Atom(node.slot, "exists", None),)]
    return []


def _common(choices: Sequence[list[Clause]]) -> list[Clause]:
    """Returns what follows from a disjunction: per slot that every branch restricts, the union.

    And over several slots: the rarest of each branch, and the next rarest of each.
    """
    if not all(choices):
        return []
    by_slot = [_rarest_by_slot(branch) for branch in choices]
    shared = sorted(set(by_slot[0]).intersection(*by_slot[1:]), key=repr)
    found = [_union(branch[slot] for branch in by_slot) for slot in shared]
    ordered = [sorted(branch, key=weight) for branch in choices]
    for place in range(WIDE):
        clause = _union(branch[min(place, len(branch) - 1)] for branch in ordered)
        if len({atom.slot for atom in clause}) > 1:
            found.append(clause)
    return found


def _rarest_by_slot(branch: Iterable[Clause]) -> dict[Slot, Clause]:
    found: dict[Slot, Clause] = {}
    for clause in branch:
        slots = {atom.slot for atom in clause}
        if len(slots) == 1:
            slot = slots.pop()
            if slot not in found or weight(clause) < weight(found[slot]):
                found[slot] = clause
    return found


def _union(parts: Iterable[Clause]) -> Clause:
    return tuple(dict.fromkeys(atom for clause in parts for atom in clause))


def weight(clause: Clause) -> float:
    """Returns a guess of how often a clause holds; only the order of guesses matters."""
    return sum(map(_atom_weight, clause))


def _atom_weight(atom: Atom) -> float:
    if atom.kind in _DULL:
        return _DULL[atom.kind]
    length = len(atom.arg) if isinstance(atom.arg, str) else 4
    return _RARITY[atom.kind] * 0.8 ** min(length, 40)


def _atom(test: FieldTest) -> Atom | None:
    slot, op, arg = test
    if slot is None:
        return _keyword_atom(op, arg)
    if op == "null":
        return Atom(slot, "none", None)
    if op == "exists":
        return Atom(slot, "exists", None) if arg else None
    if op == "num":
        return Atom(slot, "num", arg)
    literal = _literal(op, arg)
    if literal is None or (literal[0] == "contains" and literal[1] in COMMON_CHARS):
        return Atom(slot, "some", None)
    return Atom(slot, *literal)


def _keyword_atom(op: str, arg: Any) -> Atom | None:
    literal = _literal(op, arg)
    if literal is None or "\0" in literal[1]:
        return None
    return Atom(KEYWORDS, "contains", literal[1])


def _literal(op: str, arg: Any) -> tuple[str, str] | None:
    """Returns (kind, folded text) that a string test implies; a cased test implies it folded."""
    bare = op[1:] if op in {"ceq", "ccontains", "cstarts", "cends", "cglob"} else op
    if bare in {"eq", "contains", "starts", "ends"}:
        return bare, fold(arg)
    if bare == "glob":
        return _longest(arg)
    if op == "re" and (literal := required_literal(arg[0])):
        return "contains", fold(literal)
    return None


def _longest(pattern: Pattern) -> tuple[str, str] | None:
    literals = [part for piece in pattern.pieces for part in piece if part is not None]
    longest = max(literals, key=len, default="")
    return ("contains", fold(longest)) if longest else None
