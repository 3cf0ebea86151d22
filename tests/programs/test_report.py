"""The page of a made-up run of 18 models and 12 settings in a real browser: phone and desktop, light and dark, mouse and keyboard.

Pictures of what was seen are kept in `screenshots`, beside this file and ignored by git.
"""

import base64
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from report import test_scale

from jaxadv.report.remake import remake

MODELS = (
    "alexnet vgg_16 vgg_19 inception_v1 inception_v2 inception_v3 inception_v4 inception_resnet_v2 resnet_v2_50 resnet_v2_101 "
    "resnet_v2_152 densenet121_k32 densenet169_k32 densenet161_k48 mobilenet_v1_025 mobilenet_v1_050 mobilenet_v1_100 nasnet_large"
).split()
SEEN = Path(__file__).parent / "screenshots"
PHONE, DESKTOP = 390, 1280
MOST_BYTES = 5 * 2**20


def pictures() -> pd.DataFrame:
    draw = np.random.default_rng(0)
    clean = draw.random((24, 24, 3), np.float32)
    last = {attack: (attack, setting, kind) for attack, setting, kind in test_scale.SETTINGS}
    rows = []
    for name in MODELS:
        for number, (attack, setting, kind) in enumerate(last.values()):
            how = {
                "model": name,
                "attack": attack,
                "setting": setting,
                "target_kind": kind,
                "image_id": 0,
                "label": 3,
                "target": 1,
            }
            changed = (clean + draw.normal(0, 0.02, clean.shape)).clip(0, 1).astype(np.float32)
            pixels = {"size": 24, "clean": clean.ravel(), "adversarial": changed.ravel()}
            rows.append(how | {"predicted": 1, "success": number != 1} | pixels)
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("runs") / "made-up"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(test_scale, "MODELS", MODELS)
        run = test_scale.made_up_run(directory, 24)
    run.append("adversarial", pictures(), part="all")
    return remake(directory)


def show(browser, page: Path, *, width: int, scheme: str) -> None:
    from selenium.webdriver.support.wait import WebDriverWait

    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width == PHONE}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
    )
    browser.get("about:blank")  # or else the page as it was before is there for a moment
    browser.get(page.as_uri())
    # The driver can come back while a busy machine still reads the page: figures below are then not there yet.
    WebDriverWait(browser, 60).until(
        lambda window: window.execute_script("return document.readyState") == "complete"
    )


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_asks_for_nothing_and_follows_the_scheme(browser, page, width, scheme):
    show(browser, page, width=width, scheme=scheme)
    browser.execute_script(
        "for (const part of document.querySelectorAll('details')) part.open = true"
    )
    widths = "return [document.documentElement.scrollWidth, document.body.scrollWidth, window.innerWidth]"
    whole, body, inner = browser.execute_script(widths)
    assert whole <= inner and body <= inner
    assert (
        browser.execute_script(
            "return performance.getEntriesByType('resource').map(entry => entry.name)"
        )
        == []
    )
    assert browser.get_log("browser") == []
    paper, ink = browser.execute_script(
        "const how = getComputedStyle(document.body); return [how.backgroundColor, how.color]"
    )
    light = [sum(map(int, colour.strip("rgb()").split(","))) for colour in (paper, ink)]
    assert (light[0] > light[1]) == (scheme == "light")
    drawn = "return getComputedStyle(document.querySelector('svg [style*=\"--ink\"]')).fill"
    assert browser.execute_script(drawn) == ink  # figures have the page's ink
    show(browser, page, width=width, scheme=scheme)
    SEEN.mkdir(exist_ok=True)
    height = browser.execute_script("return document.documentElement.scrollHeight")
    clip = {"x": 0, "y": 0, "width": width, "height": min(height, 16000), "scale": 1}
    shot = browser.execute_cdp_cmd(
        "Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip}
    )
    (SEEN / f"report-{width}-{scheme}.png").write_bytes(base64.b64decode(shot["data"]))


def test_it_is_small_and_nothing_overlaps_in_a_figure(browser, page):
    assert page.stat().st_size < MOST_BYTES
    show(browser, page, width=DESKTOP, scheme="light")
    assert browser.execute_script("return document.querySelectorAll('.chart svg').length") >= 8
    narrow = "return [...document.querySelectorAll('.chart svg')].filter(drawing => drawing.getBoundingClientRect().height < 150).length"
    assert browser.execute_script(narrow) == 0


ORDER = """
const table = document.querySelector('table.overview');
const head = table.querySelector(`th[data-c="${arguments[0]}"]`);
const cells = [...table.tBodies[0].rows].map(row => row.cells[arguments[0]]);
return [head.getAttribute('aria-sort'), cells.map(cell => cell.dataset.v ?? cell.textContent)];
"""


def test_a_heading_sorts_by_mouse_and_keyboard(browser, page):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    show(browser, page, width=DESKTOP, scheme="light")

    def button(column):
        return browser.find_element(By.CSS_SELECTOR, f'table.overview th[data-c="{column}"] button')

    def order(column):
        state, values = browser.execute_script(ORDER, column)
        return state, values if column == 0 else [float(value) for value in values]

    state, before = order(1)
    assert state is None and before != sorted(before)
    button(1).click()
    assert order(1) == ("ascending", sorted(before))
    button(1).click()
    assert order(1) == ("descending", sorted(before, reverse=True))
    button(0).send_keys(Keys.ENTER)
    assert order(0) == ("ascending", sorted(MODELS, key=by_number))
    assert order(1)[0] is None
    button(0).send_keys(Keys.SPACE)
    assert order(0)[0] == "descending"


def by_number(name: str) -> list:
    """So that resnet_v2_101 comes after resnet_v2_50."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def test_groups_are_sorted_by_themselves(browser, page):
    show(browser, page, width=DESKTOP, scheme="light")
    groups = """
    const table = [...document.querySelectorAll('#all-numbers table')].find(table => table.tBodies.length > 1);
    if (arguments[0]) table.querySelector('th[data-c="2"] button').click();
    return [...table.tBodies].map(body => [body.rows[0].className, body.rows[0].textContent,
                                           [...body.rows].slice(1).map(row => Number(row.cells[2].dataset.v))]);
    """
    before, after = (browser.execute_script(groups, click) for click in (False, True))
    assert len(before) == 3 and [group[1] for group in before] == [group[1] for group in after]
    for (kind, _, values), (_, _, ordered) in zip(before, after, strict=True):
        assert kind == "group" and ordered == sorted(values) and len(ordered) == 18


def test_keyboard_reaches_what_scrolls(browser, page):
    show(browser, page, width=PHONE, scheme="light")
    wide = """return [...document.querySelectorAll('.scroll')].filter(box => box.scrollWidth > box.clientWidth + 1 && box.tabIndex !== 0
    && box.tagName !== 'PRE').length"""
    assert browser.execute_script(wide) == 0
