"""Finds blocks of 12 or more lines that stand twice in the sources; exits 1 if there are any.

Blank lines, comments, imports and lone brackets do not count.
"""

import ast
import sys
from collections import defaultdict
from pathlib import Path

BLOCK = 12
ROOTS = ("samlog", "ingest", "normalize", "detect", "alerts", "tools", "benchmarks")
GENERATED = {"samlog/ecs.py"}
THIN = ("#", "@")


def counted_lines(path: Path) -> list[tuple[int, str]]:
    """Returns (line number, text) of the lines that say something."""
    source = path.read_text("utf-8")
    imports = {
        number
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    found = []
    for number, line in enumerate(source.splitlines(), 1):
        text = line.strip()
        if len(text) > 3 and not text.startswith(THIN) and number not in imports:
            found.append((number, text))
    return found


def repeated(root: Path) -> list[str]:
    """Returns one sentence a pair of places that share a block."""
    places: dict[tuple[str, ...], list[tuple[str, int]]] = defaultdict(list)
    for folder in ROOTS:
        for path in sorted((root / folder).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            if name in GENERATED:
                continue
            lines = counted_lines(path)
            for start in range(len(lines) - BLOCK + 1):
                block = tuple(text for _, text in lines[start : start + BLOCK])
                places[block].append((name, lines[start][0]))
    pairs: dict[tuple[str, str], tuple[int, int]] = {}
    for spots in places.values():
        for (one, line), (other, other_line) in zip(spots, spots[1:], strict=False):
            pairs.setdefault((one, other), (line, other_line))
    return [
        f"{one}:{a} and {other}:{b} share {BLOCK} lines or more"
        for (one, other), (a, b) in sorted(pairs.items())
    ]


if __name__ == "__main__":
    found = repeated(Path(__file__).parents[1])
    print("\n".join(found) or "no block of 12 lines stands twice")
    sys.exit(1 if found else 0)
