"""The free memory of the host."""

import os
from collections.abc import Iterator
from pathlib import Path

# Files of a control group, v2 and v1: limit, use, and the line of `memory.stat` for cached files,
# which count as free.
GROUP_FILES = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def free_memory(proc: str = "/proc", groups: str = "/sys/fs/cgroup") -> int:
    """Return the free bytes: those of the machine, or fewer where a container has a limit."""
    free = [*_of_machine(Path(proc)), *_of_groups(Path(proc), Path(groups))]
    if not free:  # macOS reports only the total
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(0, min(free))


def _of_machine(proc: Path) -> Iterator[int]:
    if (proc / "meminfo").exists():
        for line in (proc / "meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                yield 1024 * int(line.split()[1])


def _of_groups(proc: Path, root: Path) -> Iterator[int]:
    """Yield the bytes that the limit of each control group of this process still allows."""
    for folder in _group_folders(proc, root):
        for limit_file, use_file, files_name in GROUP_FILES:
            if not (folder / limit_file).exists() or not (folder / use_file).exists():
                continue
            limit = (folder / limit_file).read_text().strip()
            if limit.isdigit():  # else "max"
                used = int((folder / use_file).read_text()) - _statistic(folder, files_name)
                yield int(limit) - used


def _group_folders(proc: Path, root: Path) -> Iterator[Path]:
    """Yield the folders of this process's memory groups, v1 and v2, each up to its root."""
    own_groups = proc / "self/cgroup"
    lines = own_groups.read_text().splitlines() if own_groups.exists() else []
    for line in lines:
        _, kinds, path = line.split(":", 2)
        if kinds in ("", "memory"):
            top = root / kinds
            own = top / path.lstrip("/")
            yield from (folder for folder in (own, *own.parents) if folder.is_relative_to(top))


def _statistic(folder: Path, name: str) -> int:
    for line in (folder / "memory.stat").read_text().splitlines():
        if line.split()[0] == name:
            return int(line.split()[1])
    return 0
