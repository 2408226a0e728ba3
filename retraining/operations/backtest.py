"""Replays history under several trigger policies: what each would have cost, and what its releases were worth.

Every policy is the same graph with another rule in all models. Each has a store of its own, so that nothing of a
replay touches the user's; the user's store is neither read nor written.
"""

from __future__ import annotations

import datetime as dt
import re
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

from retraining.decide.calendar import Calendar, micros, moment
from retraining.decide.watched import WINDOW_DAYS
from retraining.errors import InputError, InterruptedRunError, ManifestError
from retraining.graph.selection import resolve_selection
from retraining.learn.permitted import permitted
from retraining.manifest import load_manifest
from retraining.manifest.durations import parse_duration
from retraining.manifest.values import FeedbackCondition, Json, Manifest, TimeScheme
from retraining.operations.arguments import parse_moment, store_url
from retraining.operations.replay import (
    Policy,
    cost_of,
    looked_at,
    read_note,
    replay,
    seconds_of_fits,
    take_over,
    write_note,
)
from retraining.operations.run import RunOptions, Watcher
from retraining.operations.served import Served, measure_served
from retraining.operations.session import Request, Session, open_session
from retraining.operations.worths import worths
from retraining.reporting.backtest_text import Backtest
from retraining.reporting.text import format_moment

__all__ = ["AS_WRITTEN", "DEFAULT_POLICIES", "backtest"]

AS_WRITTEN = "as-written"
#: The rules that are tried where none are named: trained once, the manifest's own, and again with every new block.
DEFAULT_POLICIES: Mapping[str, str | None] = {
    "never": "definition",
    AS_WRITTEN: None,
    "always": "{data: {blocks: 1}}",
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_MOST_STEPS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Period:
    """When the policies are asked; moments are aware, `steps` in UTC, rising: after each a whole block follows."""

    begin: dt.datetime
    end: dt.datetime
    steps: tuple[dt.datetime, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """The steps as ISO moments."""
        return tuple(_iso(step) for step in self.steps)


def backtest(
    manifest: str | Path,
    *,
    begin: str,
    end: str,
    every: str | None = None,
    policies: Mapping[str, str | None] | None = None,
    select: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    data: Mapping[str, str] | None = None,
    folder: str | Path | None = None,
    max_fits: int | None = None,
    options: RunOptions | None = None,
    watcher: Watcher | None = None,
) -> Backtest:
    """What each of some policies would have cost from `begin` to `end`, and what its releases were worth.

    `policies` maps names to rules as a manifest writes them, None or the name `as-written` for each model's own. They
    are asked at `begin` and then at every begin of a block, or `every` so long. `folder` keeps each policy's store as
    folder/NAME, and a backtest that was stopped goes on there; None: a temporary one.
    Raises `InputError` for what cannot be replayed, `InterruptedRunError` where it was stopped, and errors as `run`.
    """
    options, watcher = options or RunOptions(), watcher or Watcher()
    loaded = load_manifest(manifest)
    _check_time(loaded)
    if any("state:" in text for text in (*select, *exclude)):
        raise InputError(
            "a backtest selects the same nodes at every step, and `state:` depends on the step",
            "select by name, tag or partition",
        )
    rules = _checked(manifest, DEFAULT_POLICIES if policies is None else policies)
    period = _period(loaded, begin, end, every)
    request = Request(
        manifest=Path(manifest),
        select=select,
        exclude=exclude,
        data=data or {},
        permissions=permitted(options.allow, joblib=options.allow_joblib),
        max_fits=max_fits,
    )
    asked: dict[str, Json] = {
        "manifest": loaded.digest,
        "from": _iso(period.begin),
        "every": every,
        "select": list(select),
        "exclude": list(exclude),
        "data": dict(sorted((data or {}).items())),
    }
    try:
        with _folder(folder, loaded, asked, rules) as home:
            tried = [Policy(name=name, rule=rule, folder=home / name) for name, rule in rules.items()]
            return _backtest(loaded, tried, period, request, options, watcher)
    except InterruptedRunError as error:
        kept = "run the same command again: it goes on where it stopped"
        step = kept if folder is not None else "with --store FOLDER a stopped backtest can go on"
        raise InterruptedRunError("the backtest was stopped", step) from error


def _backtest(
    manifest: Manifest,
    policies: Sequence[Policy],
    period: _Period,
    request: Request,
    options: RunOptions,
    watcher: Watcher,
) -> Backtest:
    zone = manifest.timezone
    served: dict[str, Served] = {}
    session: Session | None = None
    for number, policy in enumerate(policies):
        take_over(policy, policies[:number])
        replay(policy, request, period.texts, options, watcher, lambda step: format_moment(step, zone))
        session = open_session(
            replace(request, store=str(policy.folder), as_of=_iso(period.end), watch=WINDOW_DAYS),
            period.end,
            create_store=False,
        )
        selected = resolve_selection(request.select, request.exclude, session.graph, manifest, {})
        watcher.said(f"{policy.name}: what its releases said of the blocks that followed")
        steps = _sequences(policy, period)
        served[policy.name] = measure_served(session, selected, steps, micros(period.end), options, watcher)
    assert session is not None
    baseline = "never" if "never" in served else policies[0].name
    reference = AS_WRITTEN if AS_WRITTEN in served else policies[0].name
    seconds = seconds_of_fits(policies)
    return Backtest(
        manifest=manifest.name,
        timezone=zone,
        begin=_iso(period.begin),
        end=_iso(period.end),
        steps=period.texts,
        baseline=baseline,
        reference=reference,
        costs=tuple(
            cost_of(policy, manifest, max(_sequences(policy, period).values()), seconds)
            for policy in policies
        ),
        models=worths(manifest, session.graph, served, baseline, reference),
        notes=_notes(manifest, policies, served),
    )


def _sequences(policy: Policy, period: _Period) -> dict[int, int]:
    """The number of the log's newest entry after each step, by its moment (microseconds UTC)."""
    found = looked_at(policy)
    return {micros(step): found[text] for step, text in zip(period.steps, period.texts, strict=True)}


def _notes(manifest: Manifest, policies: Collection[Policy], served: Mapping[str, Served]) -> tuple[str, ...]:
    notes = [
        f"under {name} {node} could not be measured: {error}"
        for name, one in served.items()
        for node, error in sorted(one.unmeasured.items())
    ]
    conditions = [one for model in manifest.models.values() for one in model.retrain_when.conditions]
    own = any(policy.rule is None for policy in policies)
    if (own and any(isinstance(one, FeedbackCondition) for one in conditions)) or any(
        "feedback" in (policy.rule or "") for policy in policies
    ):
        notes.append(
            "The stores of a backtest have no late labels, so `feedback` never makes a node due in it."
        )
    return tuple(notes)


def _check_time(manifest: Manifest) -> None:
    for model in manifest.models.values():
        if not isinstance(manifest.schemes[model.dataset], TimeScheme):
            raise InputError(
                f"dataset `{model.dataset}` (model `{model.name}`) is validated by folds, which have no order in time: "
                "there is no history to replay",
                "backtest a manifest whose datasets all have `validation: {scheme: time, blocks: …}`",
            )


def _checked(manifest: str | Path, policies: Mapping[str, str | None]) -> dict[str, str | None]:
    """The policies, whose rules every model can have; `InputError` for others."""
    if not policies:
        raise InputError("no policy is named", "leave out --policy, or write --policy NAME=RULE")
    rules: dict[str, str | None] = {}
    for name, rule in policies.items():
        if not _NAME.fullmatch(name):
            raise InputError(
                f"{name!r} is no name for a policy: it names a folder too", "use letters, digits, - and _"
            )
        if rule is not None and rule.strip() == AS_WRITTEN:
            rule = None
        if name == AS_WRITTEN and rule is not None:
            raise InputError(
                f"`{AS_WRITTEN}` is what the manifest says, and has no rule", "give this policy another name"
            )
        if rule is not None:
            _check_rule(manifest, name, rule)
        rules[name] = rule
    return rules


def _check_rule(manifest: str | Path, name: str, rule: str) -> None:
    try:
        load_manifest(manifest, retrain_when=rule)
    except ManifestError as error:
        first = error.problems[0]
        where = f" ({first.path})" if first.path else ""
        raise InputError(f"policy {name}={rule}: {first.message}{where}", first.next_step) from None


def _period(manifest: Manifest, begin: str, end: str, every: str | None) -> _Period:
    first = parse_moment(begin, manifest.timezone, "--from").astimezone(dt.UTC)
    last = parse_moment(end, manifest.timezone, "--to").astimezone(dt.UTC)
    if first >= last:
        raise InputError(f"--from {begin} is not before --to {end}", "give the earlier moment as --from")
    calendar = _shortest(manifest)
    newest = calendar.block_at(micros(last)) - 1  # the last block that ends by then
    latest = moment(calendar.start(newest))
    if latest < first:
        raise InputError(
            f"no whole block lies between --from {begin} and --to {end}",
            f"blocks have {calendar.block_days} days; give a later --to",
        )
    found = (
        _block_steps(calendar, first, newest)
        if every is None
        else _even_steps(manifest, first, latest, every)
    )
    steps = tuple(islice(found, _MOST_STEPS + 1))
    if len(steps) > _MOST_STEPS:
        raise InputError(
            f"more than {_MOST_STEPS:,} steps from {begin} to {end}", "write a longer --every, such as 1d"
        )
    return _Period(begin=first, end=last, steps=steps)


def _shortest(manifest: Manifest) -> Calendar:
    """The calendar of the models' shortest blocks."""
    schemes = (manifest.schemes[model.dataset] for model in manifest.models.values())
    days = min(scheme.block_days for scheme in schemes if isinstance(scheme, TimeScheme))
    return Calendar(manifest.timezone, days)


def _block_steps(calendar: Calendar, first: dt.datetime, newest: int) -> Iterator[dt.datetime]:
    """The first moment, and every begin of a block after it, up to that of the newest block."""
    yield first
    for block in range(calendar.block_at(micros(first)) + 1, newest + 1):
        yield moment(calendar.start(block))


def _even_steps(
    manifest: Manifest, first: dt.datetime, latest: dt.datetime, every: str
) -> Iterator[dt.datetime]:
    """The first moment, and each after it by so much; whole days are days of the manifest's calendar."""
    length = parse_duration(every)
    if not length:
        raise InputError(f"--every {every!r} is no duration above 0", "write it like 1d, 2w or 12h")
    zone = dt.UTC if length % dt.timedelta(days=1) else ZoneInfo(manifest.timezone)
    local, number = first.astimezone(zone), 0
    while (step := (local + number * length).astimezone(dt.UTC)) <= latest:
        yield step
        number += 1


@contextmanager
def _folder(
    given: str | Path | None, manifest: Manifest, asked: Mapping[str, Json], rules: Mapping[str, str | None]
) -> Iterator[Path]:
    """The folder of the policies' stores; a given one must be empty, or of the same backtest."""
    if given is None:
        with tempfile.TemporaryDirectory(prefix="retraining-backtest-") as made:
            yield Path(made)
        return
    if "://" in str(given):
        raise InputError(
            f"--store {given}: a backtest keeps its stores in a folder", "give a folder of this machine"
        )
    home = Path(given).expanduser().absolute()
    own = None if manifest.store is None else store_url(manifest, None)
    if (home / "store.json").exists() or (own is not None and Path(own).absolute() == home):
        raise InputError(
            f"--store {given} is a store of releases, which a backtest does not touch",
            "give a folder of its own",
        )
    file = home / "backtest.json"
    before = read_note(file)
    if before is None and home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise InputError(
            f"--store {given} holds something else than a backtest", "give an empty or new folder"
        )
    known: dict[str, str | None] = {} if before is None else before["policies"]
    if before is not None:
        for name, value in asked.items():
            if before["asked"].get(name) != value:
                raise InputError(
                    f"--store {given} holds a backtest of another kind: `{name}` was {before['asked'].get(name)}",
                    "give a new folder, or what was given then",
                )
        for name in known.keys() & rules.keys():
            if known[name] != rules[name]:
                raise InputError(
                    f"--store {given} has policy {name} with another rule: {known[name] or AS_WRITTEN}",
                    "give the policy another name, or a new folder",
                )
    write_note(file, {"asked": dict(asked), "policies": {**known, **rules}})
    yield home


def _iso(when: dt.datetime) -> str:
    return when.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
