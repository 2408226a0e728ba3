"""Bytes of a YAML file -> a tree of nodes with places.

Reads the parser's events instead of letting YAML build values, so that nothing is executed, lost
or guessed: explicit tags, repeated keys and keys that are no strings are refused, and depth, size
and the expansion of aliases are bounded before they cost anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

import yaml

from retraining.manifest.nodes import (
    Entry,
    MappingNode,
    Node,
    ScalarNode,
    SequenceNode,
    child_path,
    describe,
    resolve_scalar,
    shortened,
)

if TYPE_CHECKING:
    from retraining.manifest.problems import Problems

__all__ = ["MAX_BYTES", "read_document"]

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 40
MAX_ENTRIES = 500_000
MAX_ALIASED = 100_000

_TOO_DEEP = f"brackets or indentation go deeper than {MAX_DEPTH} levels"
_FLATTEN = "flatten this part"
_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
# YAML forbids most of these; U+0085, U+2028 and U+2029 are line breaks in YAML 1.1 and not in 1.2.
_UNREADABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
_ESCAPED = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


class _Stop(Exception):  # noqa: N818 - it says that a problem was noted, and is caught below
    """Reading cannot go on; the problem is noted."""


def read_document(data: bytes, problems: Problems) -> Node | None:
    """The document's tree; what is wrong with it is noted in `problems`.

    None means that no tree could be made. Repeated keys (the first counts), tags and keys that are
    no strings are noted and passed over, so that the rest can be checked too.
    """
    text = _decode(data, problems)
    if text is None:
        return None
    builder = _Builder(problems)
    try:
        for event in _events(text, problems):
            builder.take(event)
    except _Stop:
        return None
    if builder.root is None:
        problems.add(
            (1, 1), "", "the file is empty", "begin with `manifest: 1`; `retrain init` writes a starter"
        )
    return builder.root


def _decode(data: bytes, problems: Problems) -> str | None:
    if len(data) > MAX_BYTES:
        found = f"the file has more than {MAX_BYTES:,} bytes, which no manifest has"
        problems.add((0, 0), "", found, "is this the manifest? data belongs into the files of its datasets")
        return None
    if data.startswith(_UTF16):
        problems.add((1, 1), "", "the file is UTF-16 text; a manifest is UTF-8", "save it as UTF-8")
        return None
    try:
        text = data.removeprefix(_BOM).decode()
    except UnicodeDecodeError as error:
        offset = error.start + (len(_BOM) if data.startswith(_BOM) else 0)
        line = data.count(b"\n", 0, offset) + 1
        column = offset - (data.rfind(b"\n", 0, offset) + 1) + 1
        found = f"byte {offset} (0x{data[offset]:02x}) is not UTF-8"
        problems.add((line, column), "", found, "save the file as UTF-8")
        return None
    unreadable = _UNREADABLE.search(text)
    if unreadable:
        offset = unreadable.start()
        place = (text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset))
        found = f"the character U+{ord(unreadable.group()):04X} cannot stand in a manifest"
        problems.add(place, "", found, "remove it, or write it as an escape within double quotes")
        return None
    return text


def _events(text: str, problems: Problems) -> Iterator[yaml.Event]:
    """The parser's events; a syntax error is noted where it stands."""
    loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
    try:
        yield from yaml.parse(text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        if "nesting depth" in (error.problem or ""):  # newer parsers have a limit of their own
            problems.add(place, "", _TOO_DEEP, _FLATTEN)
            raise _Stop from None
        context = f" {error.context}" if error.context else ""
        found = f"this is not YAML: {error.problem or 'it cannot be parsed'}{context}"
        problems.add(place, "", found, _syntax_hint(text, *place))
        raise _Stop from None
    except yaml.YAMLError as error:
        problems.add((1, 1), "", f"this is not YAML: {shortened(str(error))}", "check the file's encoding")
        raise _Stop from None


def _syntax_hint(text: str, line: int, column: int) -> str:
    lines = text.splitlines()
    here = lines[line - 1] if line <= len(lines) else ""
    at = here[column - 1 : column]
    if "\t" in here[: len(here) - len(here.lstrip())] or at == "\t":
        return "indent with spaces; YAML allows no tabs there"
    if at in {"@", "`", "%", "*", "&", "!", "|", ">"}:
        return f"put a text that begins with {at} in quotes"
    return "check indentation, brackets and quotes here and on the line above; quote a text that holds `: `"


def _place(event: yaml.Event) -> tuple[int, int]:
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


@dataclass(slots=True)
class _Frame:
    """A mapping or list that is being read.

    `key` is the mapping's key that waits for its value; `skip` says that this key was refused.
    `size` and `height` count nodes and levels with aliases expanded.
    """

    mapping: bool
    line: int
    column: int
    anchor: str | None
    head: tuple[int, int]
    key: ScalarNode | None = None
    skip: bool = False
    entries: dict[str, Entry] = field(default_factory=dict)
    items: list[Node] = field(default_factory=list)
    size: int = 1
    height: int = 1


@dataclass(frozen=True, slots=True)
class _Anchored:
    node: Node
    size: int
    height: int


class _Builder:
    """Builds the tree from events with a stack of its own, so that no depth can overflow Python's."""

    def __init__(self, problems: Problems) -> None:
        self.root: Node | None = None
        self._problems = problems
        self._stack: list[_Frame] = []
        self._anchors: dict[str, _Anchored] = {}
        self._documents = 0
        self._entries = 0
        self._aliased = 0

    def take(self, event: yaml.Event) -> None:
        """Add one event to the tree; raises _Stop where reading cannot go on."""
        match event:
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._open(event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._close()
            case yaml.AliasEvent():
                self._alias(event)
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    self._stop(
                        event, "a second document begins here", "a manifest is one document: remove `---`"
                    )
            case _:
                pass

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        self._refuse_tag(event)
        unquoted = event.style is None or event.style == ""
        line, column = _place(event)
        node = ScalarNode(
            line=line,
            column=column,
            text=event.value,
            value=resolve_scalar(event.value) if unquoted else event.value,
        )
        if not unquoted and _ESCAPED.search(event.value):
            self._problems.add(
                node, self._path(), "the text holds a control character", "remove the escape that makes it"
            )
        self._add(node, size=1, height=0, anchor=event.anchor)

    def _open(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent) -> None:
        self._refuse_tag(event)
        if len(self._stack) == MAX_DEPTH:
            self._stop(event, _TOO_DEEP, _FLATTEN)
        if event.anchor:
            self._anchors.pop(event.anchor, None)
        line, column = _place(event)
        key = self._stack[-1].key if self._stack else None
        self._stack.append(
            _Frame(
                mapping=isinstance(event, yaml.MappingStartEvent),
                line=line,
                column=column,
                anchor=event.anchor,
                head=(key.line, key.column) if key else (line, column),
            )
        )

    def _close(self) -> None:
        frame = self._stack.pop()
        node: Node
        if frame.mapping:
            entries = tuple(frame.entries.values())
            node = MappingNode(line=frame.line, column=frame.column, head=frame.head, entries=entries)
        else:
            node = SequenceNode(line=frame.line, column=frame.column, items=tuple(frame.items))
        self._add(node, size=frame.size, height=frame.height, anchor=frame.anchor)

    def _alias(self, event: yaml.AliasEvent) -> None:
        name = event.anchor or ""
        if any(frame.anchor == name for frame in self._stack):
            self._stop(event, f"`*{name}` stands inside the value that it repeats", "write the value out")
        anchored = self._anchors.get(name)
        if anchored is None:
            self._stop(
                event, f"`*{name}` repeats a value that was not named `&{name}` before", "define it first"
            )
        self._aliased += anchored.size
        if self._aliased > MAX_ALIASED:
            found = f"aliases expand to more than {MAX_ALIASED:,} values"
            self._stop(event, found, "use `defaults` for what models share")
        if len(self._stack) + anchored.height > MAX_DEPTH:
            self._stop(event, f"aliases nest deeper than {MAX_DEPTH} levels", "flatten this part")
        self._add(anchored.node, size=anchored.size, height=anchored.height, anchor=None)

    def _add(self, node: Node, *, size: int, height: int, anchor: str | None) -> None:
        """Hang a finished node into the frame on top, as key, value or item."""
        self._entries += 1
        if self._entries > MAX_ENTRIES:
            self._stop(
                node, f"the file has more than {MAX_ENTRIES:,} values", "split it, or use `partition_by`"
            )
        if anchor:
            self._anchors[anchor] = _Anchored(node, size, height)
        if not self._stack:
            self.root = node
            return
        frame = self._stack[-1]
        frame.size += size
        frame.height = max(frame.height, height + 1)
        if not frame.mapping:
            frame.items.append(node)
        elif frame.key is None and not frame.skip:
            self._take_key(frame, node)
        else:
            if frame.key is not None:
                frame.entries[frame.key.text] = Entry(key=frame.key, node=node)
            frame.key, frame.skip = None, False

    def _take_key(self, frame: _Frame, node: Node) -> None:
        """Let this node be the next key, or note why it cannot be and skip its value."""
        frame.skip = True
        if not isinstance(node, ScalarNode) or not isinstance(node.value, str):
            self._problems.add(
                node,
                self._path(),
                f"a key is a text; found {describe(node)}",
                f'write it in quotes: "{shortened(node.text)}"'
                if isinstance(node, ScalarNode)
                else "write a name",
            )
        elif node.text == "<<":
            self._problems.add(
                node,
                self._path(),
                "merge keys (`<<`) are not part of YAML 1.2",
                "use `defaults`, or repeat a whole value with an alias",
            )
        elif node.text in frame.entries:
            first = frame.entries[node.text].key
            self._problems.add(
                node,
                child_path(self._path(), node.text),
                f"the key `{shortened(node.text)}` is already at line {first.line}, column {first.column}",
                "remove one of the two",
            )
        else:
            frame.key, frame.skip = node, False

    def _refuse_tag(self, event: yaml.NodeEvent) -> None:
        tag = getattr(event, "tag", None)
        if tag is not None:
            self._problems.add(
                _place(event),
                self._path(),
                f"tags are not allowed; found `{shortened(tag)}`",
                "remove it; put a text that begins with ! in quotes",
            )

    def _path(self) -> str:
        path = ""
        for frame in self._stack:
            if not frame.mapping:
                path += f"[{len(frame.items)}]"
            elif frame.key is not None:
                path = child_path(path, frame.key.text)
        return path

    def _stop(self, where: yaml.Event | Node, message: str, next_step: str) -> NoReturn:
        place = _place(where) if isinstance(where, yaml.Event) else (where.line, where.column)
        self._problems.add(place, self._path(), message, next_step)
        raise _Stop
