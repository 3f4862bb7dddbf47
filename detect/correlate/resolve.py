"""Which correlations of a rule set stand: names become ids, and each one lies behind its bases."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from detect.correlate.reading import read
from detect.correlate.rule import KEPT_SPANS, MAX_FIELDS, Base, Correlation
from detect.document import Document, line_of
from detect.rule import LoadReport, Rule, RuleFile, located
from samlog.errors import RuleError

MAX_CHAIN = 10

Found = tuple[Document, RuleFile]


def correlations_of(
    found: Iterable[Found], rules: Sequence[Rule], report: LoadReport
) -> list[Correlation]:
    """Returns the correlations that can be evaluated; the others are refused in ``report``.

    ``rules`` are those that can fire. A correlation whose base is refused, unmapped or missing is
    refused itself, and so is what builds on it.
    """
    drafts: dict[str, tuple[Correlation, Document, RuleFile]] = {}
    taken = {rule.id: rule for rule in rules}
    for document, file in found:
        try:
            made = read(document, file)
            if made.rule.id in taken:
                other = taken[made.rule.id]
                text = f"the id {made.rule.id} is already that of {other.path} (line {other.line})"
                raise RuleError(text + "; an id names one rule", reason="duplicate_id")
        except RuleError as error:
            report.refuse(_located(error, error.reason, document, file))
            continue
        taken[made.rule.id] = made.rule
        drafts[made.rule.id] = (made, document, file)
    names: dict[str, list[str]] = defaultdict(list)
    for rule in taken.values():
        names[rule.id].append(rule.id)
        if rule.name and rule.name != rule.id:
            names[rule.name].append(rule.id)
    return _Resolver(drafts, names, report).resolved()


class _Resolver:
    """Replaces names by ids, each correlation behind its bases."""

    def __init__(
        self,
        drafts: Mapping[str, tuple[Correlation, Document, RuleFile]],
        names: Mapping[str, Sequence[str]],
        report: LoadReport,
    ) -> None:
        self._drafts = drafts
        self._names = names
        self._report = report
        self._done: dict[str, Correlation | None] = {}
        self._depth: dict[str, int] = {}

    def resolved(self) -> list[Correlation]:
        """Returns what stands, bases before what refers to them."""
        for rule_id in self._drafts:
            self._resolve(rule_id, ())
        return _carrying([made for made in self._done.values() if made is not None])

    def _resolve(self, rule_id: str, above: tuple[str, ...]) -> Correlation | None:
        if rule_id in self._done:
            return self._done[rule_id]
        draft, document, file = self._drafts[rule_id]
        made: Correlation | None = None
        try:
            bases = self._bases(draft, (*above, rule_id))
            made = replace(draft, bases=bases, below_ms=self._reach(bases))
        except RuleError as error:
            self._report.refuse(_located(error, error.reason, document, file))
        self._done[rule_id] = made
        return made

    def _bases(self, draft: Correlation, above: tuple[str, ...]) -> tuple[Base, ...]:
        bases: list[Base] = []
        deepest = 0
        for base in draft.bases:
            found = self._names.get(base.id) or self._names.get(base.id.lower()) or ()
            shown = repr(base.id[:80])
            if not found:
                text = f"refers to {shown}, which is the id or name of no rule that can fire"
                raise RuleError(text, reason="dangling_reference")
            if len(found) > 1:
                text = f"refers to {shown}, which {len(found)} rules are called"
                raise RuleError(text, reason="ambiguous_reference")
            if found[0] in above:
                raise RuleError(f"refers to itself through {shown}", reason="correlation_cycle")
            if found[0] in self._drafts:
                _check_scope(draft, self._drafts[found[0]][0], shown)
                deepest = max(deepest, self._below(found[0], above, shown))
            bases.append(Base(found[0], base.names))
        if len({base.id for base in bases}) < len(bases):
            raise RuleError("names one rule twice", reason="invalid_correlation")
        if deepest >= MAX_CHAIN:
            raise _too_deep()
        self._depth[above[-1]] = deepest + 1
        return tuple(bases)

    def _reach(self, bases: Sequence[Base]) -> int:
        below = [one for base in bases if (one := self._done.get(base.id)) is not None]
        return max((KEPT_SPANS * one.span_ms + one.below_ms for one in below), default=0)

    def _below(self, rule_id: str, above: tuple[str, ...], shown: str) -> int:
        if len(above) > MAX_CHAIN:
            raise _too_deep()
        if self._resolve(rule_id, above) is None:
            text = f"refers to {shown}, which is refused itself"
            raise RuleError(text, reason="dangling_reference")
        return self._depth[rule_id]


def _check_scope(draft: Correlation, base: Correlation, shown: str) -> None:
    """What is counted over all units is told to none of them, and not by a detour either."""
    if base.shared and not draft.shared:
        text = f"counts {shown}, which is over all units, for each unit; give it scope: shared too"
        raise RuleError(text, reason="invalid_correlation")


def _too_deep() -> RuleError:
    text = f"builds on a chain of more than {MAX_CHAIN} correlations"
    return RuleError(text, reason="correlation_too_deep")


def _carrying(made: Sequence[Correlation]) -> list[Correlation]:
    """Has each correlation carry the fields that correlations of it ask for."""
    asked: dict[str, dict[str, None]] = defaultdict(dict)
    whole: list[Correlation] = []
    for one in reversed(made):
        carried = [name for name in asked[one.rule.id] if name not in one.group_by]
        one = replace(one, carried=tuple(carried[:MAX_FIELDS]))
        whole.append(one)
        for base in one.bases:
            for name in (*one.group_by, *one.fields, *one.carried):
                asked[base.id][base.names.get(name, name)] = None
    return whole[::-1]


def _located(error: Exception, reason: str, document: Document, file: RuleFile) -> RuleError:
    """Names file, line (of the section ``correlation``) and rule."""
    rule_id = str(document.data.get("id", ""))[:64]
    made = located(error, str(error), reason, document, file, rule_id)
    if made.line == document.line:
        text = str(error)
        line = _section_line(document, file)
        return RuleError(text, reason=reason, path=str(file.path), line=line, rule_id=rule_id)
    return made


def _section_line(document: Document, file: RuleFile) -> int:
    return line_of(document.path, file.data, document.line, "correlation")
