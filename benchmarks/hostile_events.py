"""Events as an attacker writes them who has read the rules; for `benchmarks.hostile`."""

import base64
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from detect.build import Built
from detect.condition import FieldTest, tests_of
from detect.index import keys_of

sre: Any = import_module("re._parser")  # Python's own reading of a regex, to write what it matches
MAX_CHARS = 1_000_000
FOLDING = ("ß", "İ", "ﬃ", "ΐ", "Σ", "ς", "Ⅷ", "Ａ", "\u1e9e", "ŉ", "é", "\U0001f600", "\u0130x")
ODD = ("\\", "\\\\", '"', "\0", "\n", "\u2028", "%", "'", "\u202e", "\\u0041", "\\/", "*", "?")
DASHES = "-/\u2013\u2014\u2015"
CLASSES = {"DIGIT": "0789", "SPACE": " \t", "WORD": "aZ_0", "NOT_SPACE": "aZ%/", "NOT_DIGIT": "a "}


@dataclass
class Bait:
    """What rules ask of one kind of event: ``head`` routes an event there."""

    head: dict[str, Any]
    literals: dict[str, list[str]] = field(default_factory=dict)
    """Field → the texts that its rules' tests name."""
    equals: dict[str, list[Any]] = field(default_factory=dict)
    regexes: dict[str, list[str]] = field(default_factory=dict)
    globs: dict[str, list[list[str]]] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)

    @property
    def fields(self) -> list[str]:
        return [*dict.fromkeys([*self.literals, *self.equals, *self.regexes])]


def baits(built: Built) -> list[Bait]:
    """Returns the baits of every kind of event, those with many rules more than once."""
    found: list[Bait] = []
    for i, source in enumerate(built.sources):
        bait = Bait({key: values[0] if values else "x" for key, values in source.where.items()})
        numbers = [n for n, variant in enumerate(built.variants) if i in variant.sources]
        for n in numbers:
            for test in tests_of(built.variants[n].node):
                _take(bait, test)
        if bait.fields or bait.words:
            found += [bait] * (1 + min(20, len(numbers) // 50))
    return found


def _take(bait: Bait, test: FieldTest) -> None:
    if test.slot is None:
        if isinstance(test.arg, str):
            bait.words.append(test.arg)
        return
    for key in sorted(keys_of(test.slot)):
        if key in bait.head:
            continue
        if test.op in {"contains", "starts", "ends"}:
            bait.literals.setdefault(key, []).append(test.arg)
        elif test.op in {"eq", "num"}:
            bait.equals.setdefault(key, []).append(test.arg)
        elif test.op == "cidr":
            bait.equals.setdefault(key, []).append(test.arg.partition("/")[0])
        elif test.op == "re":
            bait.regexes.setdefault(key, []).append(test.arg[0])
        elif test.op == "glob":
            pieces = ["".join("x" if p is None else p for p in piece) for piece in test.arg.pieces]
            bait.globs.setdefault(key, []).append(pieces)
            bait.literals.setdefault(key, []).extend(pieces)


def size_of(rng: random.Random) -> int:
    """Returns a number of characters: mostly thousands, one in fifty a megabyte."""
    return MAX_CHARS if rng.random() < 0.02 else int(10 ** rng.uniform(1, 4.9))


def filled(parts: list[str], size: int, rng: random.Random, glue: str = " ") -> str:
    """Returns ``size`` characters made of randomly chosen parts."""
    parts = [part for part in parts if part] or ["x"]
    mean = max(1, sum(map(len, parts[:50])) // min(50, len(parts))) + len(glue)
    chosen = rng.choices(parts, k=min(size // mean + 1, 60_000))
    text = glue.join(chosen)
    while len(text) < size:
        text += glue + text
    return text[:size]


def literals(bait: Bait, rng: random.Random) -> dict[str, Any]:
    """Every field is full of what its rules look for."""
    size = size_of(rng) // max(1, len(bait.literals))
    glue = rng.choice(["", " ", "\\"])
    found = {key: filled(texts, size, rng, glue) for key, texts in bait.literals.items()}
    return {**singles(bait, rng), **found}


def near_misses(bait: Bait, rng: random.Random) -> dict[str, Any]:
    """The same with a character less or another one."""
    size = size_of(rng) // max(1, len(bait.literals))
    near = {
        key: [text[: rng.randint(len(text) // 2, max(1, len(text) - 1))] for text in texts]
        for key, texts in bait.literals.items()
    }
    found = {key: filled(texts, size, rng, rng.choice(["", "x"])) for key, texts in near.items()}
    return {**singles(bait, rng), **found}


def repeated(bait: Bait, rng: random.Random) -> dict[str, Any]:
    """One literal again and again: the most matches in a text."""
    size = size_of(rng) // max(1, len(bait.literals))
    return {
        key: (rng.choice([t for t in texts if t] or ["x"]) * size)[:size]
        for key, texts in bait.literals.items()
    }


def everything(bait: Bait, rng: random.Random) -> dict[str, Any]:
    """Lists of all values that rules name: nearly every rule is a candidate, many fire."""
    found: dict[str, Any] = {}
    for key in bait.fields:
        values: list[Any] = [*bait.literals.get(key, ()), *bait.equals.get(key, ())]
        share = rng.choice([0.02, 0.2, 1.0])
        found[key] = rng.sample(values, int(len(values) * share)) or values[:1]
    return found


def packed(bait: Bait, rng: random.Random) -> dict[str, Any]:
    """Lists for the fields with few values, one long text for those with many."""
    found = everything(bait, rng)
    for key, texts in bait.literals.items():
        if len(texts) > 50:
            found[key] = filled(texts, size_of(rng), rng)
    return found


def baited(bait: Bait, rng: random.Random) -> dict[str, Any]:
    """What nearly matches the regexes, beside everything else that their rules ask."""
    found = everything(bait, rng)
    for key, regexes in bait.regexes.items():
        parts = [cut for regex in rng.choices(regexes, k=20) for cut in _near(regex, rng)]
        found[key] = filled(parts, size_of(rng), rng, rng.choice(["", " ", "\n"]))
        if rng.random() < 0.3:
            found[key] = [filled(parts, 200, rng) for _ in range(rng.choice([10, 300]))]
    return found


def _near(regex: str, rng: random.Random) -> list[str]:
    try:
        whole = _written(sre.parse(regex), rng)
    except (ValueError, RecursionError, IndexError):
        return []
    return [whole, whole[: len(whole) * 2 // 3], whole[:-1] + "\n", whole[:1] * 50]


def _written(parsed: Any, rng: random.Random) -> str:
    return "".join(_one(str(op), arg, rng) for op, arg in parsed)


def _one(op: str, arg: Any, rng: random.Random) -> str:
    if op == "LITERAL":
        return chr(arg)
    if op in {"ANY", "NOT_LITERAL"}:
        return rng.choice("ab 1\\/-.")
    if op == "IN":
        return _member(arg, rng)
    if op in {"MAX_REPEAT", "MIN_REPEAT"}:
        low, high, part = arg
        times = rng.choice([low, min(int(high), low + 100), rng.randint(low, low + 3)])
        return "".join(_written(part, rng) for _ in range(times))
    if op == "SUBPATTERN":
        return _written(arg[3], rng)
    return _written(rng.choice(arg[1]), rng) if op == "BRANCH" else ""


def _member(items: Any, rng: random.Random) -> str:
    op, arg = rng.choice([item for item in items if str(item[0]) != "NEGATE"])
    if str(items[0][0]) == "NEGATE":
        return rng.choice("aZ5 -\\")
    if str(op) == "CATEGORY":
        return rng.choice(CLASSES.get(str(arg).removeprefix("CATEGORY_"), "a"))
    return chr(arg if str(op) == "LITERAL" else rng.randint(arg[0], arg[1]))


def gapped(bait: Bait, rng: random.Random) -> dict[str, Any]:
    """The pieces of patterns with wildcards, last one first."""
    found = everything(bait, rng)
    for key, patterns in bait.globs.items():
        pieces = [piece for pattern in patterns for piece in reversed(pattern)]
        found[key] = " ".join(pieces) + "x" * size_of(rng) + pieces[0]
    return found


def folding(bait: Bait, rng: random.Random) -> dict[str, Any]:
    """Letters that fold to more than one, among literals in capitals."""
    size = size_of(rng) // max(1, len(bait.literals))
    return {
        key: filled([*(t.upper() for t in texts[:200]), *FOLDING], size, rng, rng.choice(FOLDING))
        for key, texts in bait.literals.items()
    }


def odd(bait: Bait, rng: random.Random) -> dict[str, Any]:
    """Backslashes, quotation marks, NULs: what JSON escapes and joined texts trip over."""
    size = size_of(rng) // max(1, len(bait.fields))
    return {key: filled(list(ODD), size, rng, "") for key in bait.fields}


def encoded(bait: Bait, rng: random.Random) -> dict[str, Any]:
    """Dashes of all kinds, and base64 of what rules look for, at any offset."""
    found: dict[str, Any] = singles(bait, rng)
    for key, texts in bait.literals.items():
        plain = filled(texts, size_of(rng) // 8, rng, rng.choice(DASHES))
        code = base64.b64encode(("x" * rng.randint(0, 2) + plain).encode()).decode()
        found[key] = "".join(rng.choice(DASHES) if c in DASHES else c for c in plain) + code
    return found


def singles(bait: Bait, rng: random.Random) -> dict[str, Any]:
    """One value a field, all different from the last event's."""
    found: dict[str, Any] = {}
    for key in bait.fields:
        values = [*bait.equals.get(key, ()), *bait.literals.get(key, ())] or ["x"]
        found[key] = rng.choice([rng.choice(values), f"v{rng.getrandbits(60):x}"])
    return found


def many_fields(bait: Bait, rng: random.Random) -> dict[str, Any]:
    """Thousands of fields, with the rules' words in them."""
    words = bait.words or ["x"]
    count = rng.choice([500, 5_000, 20_000])
    junk = {f"k{rng.getrandbits(40):x}.{n}": rng.choice(words) for n in range(count)}
    return {**junk, **singles(bait, rng)}


def odd_keys(bait: Bait, rng: random.Random) -> dict[str, Any]:
    """Names of fields that are none, beside those that rules read, each present or not."""
    junk = {filled(list(ODD), rng.randint(0, 300), rng, "") + str(n): [None] for n in range(50)}
    fields = rng.sample(bait.fields, rng.randint(0, len(bait.fields)))
    return {**junk, **{key: rng.choice([None, [], {}, "", 1e308, 2**63]) for key in fields}}


def nested(bait: Bait, rng: random.Random) -> dict[str, Any]:
    """Lists in lists, lists of objects, a hundred thousand members."""
    found: dict[str, Any] = {}
    for key in bait.fields:
        value: Any = rng.choice(bait.literals.get(key) or ["x"])
        for _ in range(rng.choice([1, 50, 200])):
            value = [value, "y"]
        found[key] = rng.choice([value, {"a": value, "b": [{"c": value}] * 20}])
    many: list[Any] = [f"{n}" for n in range(rng.choice([100, 10_000, 100_000]))]
    if bait.fields:
        found[rng.choice(bait.fields)] = many
    return found


def talkative(bait: Bait, rng: random.Random) -> dict[str, Any]:
    """Keywords everywhere, spelt so that the line will not do."""
    text = filled([*bait.words, "\\/", "é"], size_of(rng), rng)
    return {"message": text, "event.original": text, **singles(bait, rng)}


KINDS: Mapping[str, Callable[[Bait, random.Random], dict[str, Any]]] = {
    kind.__name__: kind
    for kind in (
        *(literals, near_misses, repeated, everything, packed, baited, gapped, folding),
        *(odd, encoded, singles, many_fields, odd_keys, nested, talkative),
    )
}


def hostile_event(kind: str, bait: Bait, rng: random.Random) -> dict[str, Any]:
    """Returns one event of a kind; the caller adds what routes it."""
    return KINDS[kind](bait, rng)
