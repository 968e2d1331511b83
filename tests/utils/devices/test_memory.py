import os

import pytest

from utils.devices.memory import free_memory


@pytest.fixture
def machine(tmp_path):
    """Return a function that writes a machine with 1,000 kB free and a process's groups."""

    def write(groups: str, **files: str) -> tuple[str, str]:
        (tmp_path / "proc" / "self").mkdir(parents=True)
        (tmp_path / "proc" / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable: 1000 kB\n")
        (tmp_path / "proc" / "self" / "cgroup").write_text(groups)
        for name, text in files.items():
            path = tmp_path / "cgroup" / name.replace("__", "/").replace("_0_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return str(tmp_path / "proc"), str(tmp_path / "cgroup")

    return write


def test_without_a_limit_it_is_what_the_machine_has(machine):
    place = machine("0::/a\n", a__memory_0_max="max\n", a__memory_0_current="5\n")
    assert free_memory(*place) == 1_024_000


def test_files_that_may_go_are_free_in_a_container(machine):
    place = machine(
        "0::/a/b\n",
        a__memory_0_max="5000\n",  # around the process's own group
        a__memory_0_current="3000\n",
        a__memory_0_stat="anon 1\ninactive_file 500\n",
    )
    assert free_memory(*place) == 5000 - 3000 + 500


def test_older_containers_say_it_in_other_files(machine):
    """Inside, the folder that the process is said to be in is not there: its top is the group."""
    place = machine(
        "4:memory:/docker/1234\n0::/\n",
        memory__memory_0_limit_in_bytes="5000\n",
        memory__memory_0_usage_in_bytes="6000\n",
        memory__memory_0_stat="total_inactive_file 500\n",
    )
    assert free_memory(*place) == 0


def test_a_machine_that_says_nothing_has_what_it_was_built_with(tmp_path):
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert free_memory(str(tmp_path / "none"), str(tmp_path / "none")) == pages
