"""Which finished files must go.

The files of one output are listed once and then kept count of, so that a decision takes the same time whether
the directory holds ten files or ten thousand.
"""

import heapq
import itertools
from collections import OrderedDict
from collections.abc import Container, Iterable, Iterator
from typing import Final, NamedTuple

from capfix.units import SizeOrPercent, format_duration, format_size

_LEAST_HEAP: Final = 64


class RetentionRules(NamedTuple):
    """What may stay; None where a rule is off. The rule that demands most decides.

    `keep_files` and `keep_size_bytes` count the file being written. `keep_age_ns` goes by modification time.
    `run_files` is dumpcap's `-b files:N`: as `keep_files`, but only for files of this run, others being left
    alone.
    """

    keep_files: int | None = None
    keep_size_bytes: int | None = None
    keep_age_ns: int | None = None
    keep_free: SizeOrPercent | None = None
    run_files: int | None = None

    def __bool__(self) -> bool:
        return self.reaches_earlier_runs or self.run_files is not None

    @property
    def reaches_earlier_runs(self) -> bool:
        """Whether files of earlier runs may be removed too."""
        rules = (self.keep_files, self.keep_size_bytes, self.keep_age_ns, self.keep_free)
        return any(rule is not None for rule in rules)

    def sentence(self) -> str:
        """Return the rules in words, to follow the name of what they apply to."""
        parts = []
        if self.keep_files is not None:
            parts.append(f"at most {_files(self.keep_files)}")
        if self.keep_size_bytes is not None:
            parts.append(f"at most {format_size(self.keep_size_bytes)}")
        if self.keep_age_ns is not None:
            parts.append(f"nothing older than {format_duration(self.keep_age_ns)}")
        if self.keep_free is not None:
            parts.append(f"{self.keep_free} of the filesystem free")
        if self.run_files is not None:
            parts.append(f"at most {_files(self.run_files)} of this run")
        if not parts:
            return "keeping every file"
        reach = "files of earlier runs count" if self.reaches_earlier_runs else "files of earlier runs stay"
        return f"keeping {', '.join(parts)}; oldest go first, {reach}"


class StoredFile(NamedTuple):
    """A finished file. `number` is the one in its name."""

    name: str
    number: int
    size_bytes: int
    modified_ns: int


class Space(NamedTuple):
    """A filesystem's size, and what of it the capture may still fill, in bytes."""

    total_bytes: int
    free_bytes: int


class Removal(NamedTuple):
    """A file that must go, and the rule that says so, for the log."""

    file: StoredFile
    rule: str


class Inventory:
    """The finished files of one output, oldest first, that is, in the order of their numbers.

    Files numbered `first_of_run` and above are this run's. `forget` and `add` must be called when a file is removed
    or finished; nothing here looks at the directory.
    """

    def __init__(self, files: Iterable[StoredFile], first_of_run: int) -> None:
        self.total_bytes = 0
        self._first_of_run = first_of_run
        self._files: OrderedDict[str, StoredFile] = OrderedDict()
        self._of_run: OrderedDict[str, StoredFile] = OrderedDict()
        self._by_age: list[tuple[int, str]] = []  # a heap; may still hold names that are gone
        for file in sorted(files, key=lambda file: (file.number, file.name)):
            self.add(file)

    def __len__(self) -> int:
        return len(self._files)

    def __iter__(self) -> Iterator[StoredFile]:
        return iter(self._files.values())

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def add(self, file: StoredFile) -> None:
        """Add a file just finished, the newest of all."""
        self._files[file.name] = file
        if file.number >= self._first_of_run:
            self._of_run[file.name] = file
        heapq.heappush(self._by_age, (file.modified_ns, file.name))
        self.total_bytes += file.size_bytes

    def forget(self, name: str) -> None:
        """Strike out a file that is gone; one not known is passed over."""
        file = self._files.pop(name, None)
        if file is not None:
            self._of_run.pop(name, None)
            self.total_bytes -= file.size_bytes
        if len(self._by_age) > 2 * len(self._files) + _LEAST_HEAP:  # mostly names of files that are gone
            self._by_age = [(file.modified_ns, file.name) for file in self._files.values()]
            heapq.heapify(self._by_age)

    def reconcile(self, present: Container[str]) -> None:
        """Strike out every file whose name is not in `present`: somebody else removed it."""
        for name in [name for name in self._files if name not in present]:
            self.forget(name)

    def maybe_oldest(self, rules: RetentionRules) -> StoredFile | None:
        """Return the file that goes first when the disk is full, or None when there is none that may go."""
        if rules.reaches_earlier_runs:
            return next(iter(self._files.values()), None)
        return next(iter(self._of_run.values()), None) if rules.run_files is not None else None

    def surplus(self, rules: RetentionRules, writing_bytes: int, now_ns: int, space: Space) -> list[Removal]:
        """Return the files that must go now, in the order they should go.

        `writing_bytes` is the size of the file being written, which counts as one of the kept. `now_ns` is on the
        clock of the files' modification times and must not jump: see `SteadyClock`. Nothing is struck out before
        `forget`. A file that alone is larger than all may be goes before older ones that would have to go for it.

        For `keep_free` each file is taken to free as many bytes as it holds; whether it did shows the next time, in
        `space`.
        """
        demands = _Demands(self, rules, writing_bytes, space)
        doomed = {file.name: Removal(file, rule) for file, rule in self._too_old(rules, now_ns)}
        doomed |= {file.name: Removal(file, rule) for file, rule in self._too_large(rules)}
        for removal in doomed.values():
            demands.meet(removal.file)
        for file in self._files.values():
            rule = demands.maybe_open()
            if rule is None:
                break
            if file.name not in doomed:
                doomed[file.name] = Removal(file, rule)
                demands.meet(file)
        return [*doomed.values(), *self._beyond_run(rules, doomed)]

    def _too_large(self, rules: RetentionRules) -> list[tuple[StoredFile, str]]:
        limit = rules.keep_size_bytes
        if limit is None or self.total_bytes <= limit:
            return []
        rule = f"alone more than {format_size(limit)}"
        return [(file, rule) for file in self._files.values() if file.size_bytes > limit]

    def _too_old(self, rules: RetentionRules, now_ns: int) -> list[tuple[StoredFile, str]]:
        if rules.keep_age_ns is None:
            return []
        rule = f"older than {format_duration(rules.keep_age_ns)}"
        entries = []
        while self._by_age and now_ns - self._by_age[0][0] > rules.keep_age_ns:
            entries.append(heapq.heappop(self._by_age))
        for entry in entries:  # they stay known until somebody forgets them
            heapq.heappush(self._by_age, entry)
        return [(self._files[name], rule) for _, name in entries if name in self._files]

    def _beyond_run(self, rules: RetentionRules, doomed: dict[str, Removal]) -> Iterator[Removal]:
        if rules.run_files is None:
            return
        gone = sum(name in self._of_run for name in doomed)
        excess = len(self._of_run) + 1 - gone - rules.run_files
        staying = (file for file in self._of_run.values() if file.name not in doomed)
        for file in itertools.islice(staying, max(0, excess)):
            yield Removal(file, f"more than {_files(rules.run_files)} of this run")


class _Demands:
    """How many files and bytes the rules that reach every file still ask for."""

    def __init__(self, inventory: Inventory, rules: RetentionRules, writing_bytes: int, space: Space) -> None:
        self._rules = rules
        self._files = self._size = self._free = 0
        if rules.keep_files is not None:
            self._files = len(inventory) + 1 - rules.keep_files
        if rules.keep_size_bytes is not None:
            self._size = inventory.total_bytes + writing_bytes - rules.keep_size_bytes
        if rules.keep_free is not None:
            self._free = rules.keep_free.of(space.total_bytes) - space.free_bytes

    def maybe_open(self) -> str | None:
        """Return in words a rule that is not met yet, or None."""
        if self._files > 0:
            return f"more than {_files(self._rules.keep_files or 0)}"
        if self._size > 0:
            return f"more than {format_size(self._rules.keep_size_bytes or 0)}"
        if self._free > 0:
            return f"less than {self._rules.keep_free} of the filesystem free"
        return None

    def meet(self, file: StoredFile) -> None:
        """Count `file` as gone."""
        self._files -= 1
        self._size -= file.size_bytes
        self._free -= file.size_bytes


def _files(number: int) -> str:
    return "1 file" if number == 1 else f"{number} files"
