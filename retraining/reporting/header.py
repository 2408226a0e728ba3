"""The top of the report: what happened in a sentence, the outcomes counted, and the run's facts."""

from __future__ import annotations

from retraining.reporting.icons import icon, outcome_class
from retraining.reporting.markup import Markup, tag
from retraining.reporting.outcomes import describe_outcome
from retraining.reporting.tables import code
from retraining.reporting.text import (
    format_count,
    format_duration,
    format_moment,
    format_share,
    join_words,
    plural,
    shorten,
)
from retraining.reporting.timeline_svg import busy_share
from retraining.reporting.view import RunView

__all__ = ["draw_header", "title_of"]

_EXIT_CODES = {
    0: "everything was handled",
    1: "some node failed or was blocked",
    2: "the input was wrong",
    3: "the store or the cluster could not be used",
    4: "another run released the same nodes first",
    5: "the commit may or may not have landed",
    130: "interrupted; running again continues it",
}


def title_of(run: RunView) -> str:
    """The page's title: manifest, release, and every outcome counted."""
    counts = ", ".join(f"{count:,} {word}" for word, count in run.counts) or "no outcomes"
    return " · ".join(filter(None, [run.manifest or "run", _release_short(run), counts]))


def _release_short(run: RunView) -> str:
    if run.released:
        return (
            f"release {run.release_before} → {run.release_after}"
            if run.release_before
            else f"release {run.release_after}"
        )
    return "nothing released"


def draw_header(run: RunView) -> Markup:
    """The page's header: heading, lead sentence, counts of outcomes, and the run's facts."""
    kicker = tag("p", {"class": "kicker"}, "Retraining run")
    return tag(
        "header",
        None,
        kicker,
        tag("h1", None, run.manifest or run.run or "run"),
        tag("p", {"class": "lead"}, _lead(run)),
        _share_bar(run),
        _tiles(run),
        _facts(run),
    )


def _lead(run: RunView) -> str:
    """What the run came to, in two sentences: the release, and everything that did not go into it."""
    promoted = dict(run.counts).get("promoted", 0)
    nodes = sum(count for _, count in run.counts)
    rest = [f"{count:,} {word}" for word, count in run.counts if word != "promoted"]
    if run.released:
        what = (
            f"Release {run.release_after} replaces release {run.release_before}"
            if run.release_before
            else f"Release {run.release_after} is the first"
        )
        others = f"; {join_words(rest)}" if rest else ""
        return f"{what}: {promoted:,} of {plural(nodes, 'node')} promoted{others}. {_made(run)}"
    stays = f"release {run.release_before} stays current" if run.release_before else "there is no release yet"
    of = f"Of {plural(nodes, 'node')}, {join_words(rest)}. " if rest else ""
    return f"Nothing was released; {stays}. {of}{_made(run)}"


def _made(run: RunView) -> str:
    took = f" in {format_duration(run.total_seconds)}" if run.total_seconds is not None else ""
    return f"The run made {plural(run.fits_made, 'new fit')}{took}."


def _share_bar(run: RunView) -> Markup:
    parts = (
        tag("i", {"class": outcome_class(word), "style": f"flex-grow:{count}"}) for word, count in run.counts
    )
    return tag("div", {"class": "share", "aria-hidden": "true"}, *parts)


def _tiles(run: RunView) -> Markup:
    tiles = (
        tag(
            "li",
            {"class": f"tile {outcome_class(word)}"},
            tag("b", None, icon(word), f"{count:,}"),
            " ",
            tag("span", {"class": "word"}, word),
            tag("small", None, describe_outcome(word).meaning),
        )
        for word, count in run.counts
    )
    return tag("ul", {"class": "tiles", "aria-label": "Outcomes"}, *tiles)


def _facts(run: RunView) -> Markup:
    sequence = f" (entry {run.release_sequence} of the log)" if run.release_sequence else ""
    release = (
        f"{run.release_before or 'none'} → {run.release_after}"
        if run.released
        else f"{run.release_before or 'none'}, unchanged"
    )
    exit_code = run.exit_code
    facts: list[tuple[str, str]] = [
        ("Release", release + (sequence if run.released else "")),
        ("As of", format_moment(run.as_of, run.timezone)),
        ("Ran", _ran(run)),
        ("Fits", _fits(run)),
        ("Training", _training(run)),
        ("Backend", _backend(run)),
        ("Exit code", "" if exit_code is None else f"{exit_code}: {_EXIT_CODES.get(exit_code, 'unknown')}"),
    ]
    names: list[tuple[str, str]] = [
        ("Run", run.run),
        ("Manifest", run.manifest_file),
        ("Store", run.store),
    ]
    written = [tag("div", None, tag("dt", None, name), tag("dd", None, text)) for name, text in facts if text]
    written += [
        tag("div", None, tag("dt", None, name), tag("dd", None, code(text))) for name, text in names if text
    ]
    if run.manifest_digest:
        short = tag("span", {"title": run.manifest_digest}, code(shorten(run.manifest_digest, 20)))
        written.append(tag("div", None, tag("dt", None, "Manifest digest"), tag("dd", None, short)))
    return tag("dl", {"class": "facts"}, *written)


def _ran(run: RunView) -> str:
    took = f"{format_duration(run.total_seconds)}" if run.total_seconds is not None else ""
    return ", ".join(filter(None, [format_moment(run.started, run.timezone), took]))


def _fits(run: RunView) -> str:
    parts = [f"{format_count(run.fits_made)} made", f"{format_count(run.fits_reused)} reused"]
    if run.comparisons:
        parts.append(f"{format_count(run.comparisons)} for comparisons")
    return ", ".join(parts)


def _training(run: RunView) -> str:
    if run.training_seconds is None:
        return ""
    busy = busy_share(run.timeline, run.total_seconds, run.slots)
    used = f", slots busy {format_share(busy)} of the time" if busy is not None else ""
    return f"{format_duration(run.training_seconds)} of computing{used}"


def _backend(run: RunView) -> str:
    slots = plural(run.slots, "slot") if run.slots else ""
    return ", ".join(filter(None, [run.backend, slots]))
