"""Laws of a page in a real browser: it fits wide and narrow windows, and its slider moves."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from utils.report.pages import write_page

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
# In a frame, because windows have a minimal width.
FRAME = """<body><iframe src="probed.html" width="{width}" height="900"></iframe><script>
addEventListener("message", event => document.body.textContent = event.data);
</script></body>"""
PROBE = """<script>
const seen = () => [...document.querySelectorAll("img[data-step]")]
  .filter(image => image.checkVisibility()).map(image => image.dataset.step);
const input = document.querySelector(".slides input"), found = {before: seen()};
input.value = 1;
input.dispatchEvent(new Event("input"));
found.after = seen();
found.told = document.querySelector(".slides output").textContent;
found.over = document.documentElement.scrollWidth - document.documentElement.clientWidth;
parent.postMessage(JSON.stringify(found), "*");
</script>"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the path"),
]


def _found(page: Path, width: int) -> dict:
    """Return what the probe measures in a window of `width` pixels."""
    text = page.read_text(encoding="utf-8").replace("</body>", f"{PROBE}</body>")
    page.with_name("probed.html").write_text(text, encoding="utf-8")
    frame = page.with_name("frame.html")
    frame.write_text(FRAME.format(width=width), encoding="utf-8")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1500,1000"]
    command += ["--allow-file-access-from-files", "--virtual-time-budget=5000", "--dump-dom"]
    run = subprocess.run(
        [*command, f"file://{frame}"], capture_output=True, text=True, timeout=120, check=True
    )
    return json.loads(html.unescape(re.search(r"\{.*\}", run.stdout)[0]))


@pytest.mark.parametrize("width", [340, 800, 1400])
@pytest.mark.parametrize("scripts", [["train"], ["train", "fid", "attack", "train_clf"]])
def test_a_page_fits_its_window_and_its_slider_chooses_the_step(finished, width, scripts):
    paths = [str(finished(script, f"a_run_of_{script}")) for script in scripts]
    found = _found(Path(write_page(paths)), width)
    assert found["over"] <= 0, "nothing is wider than the window"
    assert found["before"][:2] == ["20", "20"]
    assert found["after"][:2] == ["10", "10"]
    assert found["told"] == "10"
