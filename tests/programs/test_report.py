"""The page of a made-up run of 18 models and 12 settings in a real browser: phone and desktop,
light and dark, mouse and keyboard.

Pictures of what was seen are kept in `screenshots`, beside this file and ignored by git.
"""

import base64
import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from report import test_scale

from jaxadv.report.remake import remake

MODELS = (
    "alexnet vgg_16 vgg_19 inception_v1 inception_v2 inception_v3 inception_v4 "
    "inception_resnet_v2 resnet_v2_50 resnet_v2_101 "
    "resnet_v2_152 densenet121_k32 densenet169_k32 densenet161_k48 mobilenet_v1_025 "
    "mobilenet_v1_050 mobilenet_v1_100 nasnet_large"
).split()
SEEN = Path(__file__).parent / "screenshots"
PHONE, TABLET, DESKTOP = 390, 768, 1280
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
    # The driver can come back while a busy machine still reads the page: figures below are then not
    # there yet.
    WebDriverWait(browser, 60).until(
        lambda window: window.execute_script("return document.readyState") == "complete"
    )


@pytest.mark.parametrize("width", [PHONE, TABLET, DESKTOP])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_asks_for_nothing_and_follows_the_scheme(browser, page, width, scheme):
    show(browser, page, width=width, scheme=scheme)
    browser.execute_script(
        "for (const part of document.querySelectorAll('details')) part.open = true"
    )
    widths = (
        "return [document.documentElement.scrollWidth, document.body.scrollWidth, "
        "window.innerWidth]"
    )
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
    narrow = (
        "return [...document.querySelectorAll('.chart svg')].filter(drawing => "
        "drawing.getBoundingClientRect().height < 150).length"
    )
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

    state, before = order(3)
    assert state is None and before != sorted(before)
    assert order(2) == (None, sorted(order(2)[1]))  # at first by rank
    button(3).click()
    assert order(3) == ("ascending", sorted(before))
    button(3).click()
    assert order(3) == ("descending", sorted(before, reverse=True))
    button(0).send_keys(Keys.ENTER)
    assert order(0) == ("ascending", sorted(MODELS, key=by_number))
    assert order(3)[0] is None
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
).length"""
    assert browser.execute_script(wide) == 0


def tip(browser) -> str:
    shown = "const tip = document.getElementById('tip'); return tip.hidden ? '' : tip.textContent"
    return browser.execute_script(shown)


def find(browser, selector: str):
    from selenium.webdriver.common.by import By

    return browser.find_element(By.CSS_SELECTOR, selector)


def point_at(browser, element) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    middle = "arguments[0].scrollIntoView({block: 'center', inline: 'center'})"
    browser.execute_script(middle, element)
    ActionChains(browser).move_to_element(element).perform()


def address(browser) -> str:
    return browser.execute_script("return decodeURI(location.hash)")


def test_a_point_says_its_numbers_and_leads_to_its_row(browser, page):
    show(browser, page, width=DESKTOP, scheme="light")
    section = "#accuracy-against-robustness"
    point = find(browser, f'{section} .tip[data-to="model/vgg_16"]')
    point_at(browser, point)
    assert re.fullmatch(
        r"vgg_16: mean L\S+ \S+ \[.*\], n 24, \d+ failed; top-1 \S+ % of 24", tip(browser)
    )
    point.click()
    assert address(browser) == "#model/vgg_16"
    focused = "return document.activeElement.id"
    assert browser.execute_script(focused) == "model/vgg_16"
    assert tip(browser) == ""


def test_a_point_of_a_sweep_opens_all_numbers_at_its_row(browser, page):
    show(browser, page, width=DESKTOP, scheme="light")
    row = "row/fgsm/untargeted/eps=0.2/alexnet"
    find(browser, "#robustness-curves summary").click()  # the other figures unfold
    point = find(browser, f'#robustness-curves .tip[data-to="{row}"]')
    point_at(browser, point)
    assert re.fullmatch(r"alexnet, budget ε 0.2: success \S+ % \[.*\], n 24", tip(browser))
    point.click()
    assert address(browser) == f"#{row}"
    seen = (
        "const box = document.activeElement.getBoundingClientRect(); return "
        "[document.activeElement.id, box.height > 0, box.top]"
    )
    identity, is_seen, top = browser.execute_script(seen)
    assert identity == row and is_seen and 0 < top < 900


def test_a_cell_of_a_map_says_its_numbers_by_mouse_and_arrows(browser, page):
    from selenium.webdriver.common.keys import Keys

    show(browser, page, width=DESKTOP, scheme="dark")
    cell = find(browser, "#transfer table.heat tbody tr:nth-child(2) td:nth-child(2)")
    point_at(browser, cell)
    assert re.fullmatch(r"\S+, shown to \S+: \S+ % \[.*\], n 24", tip(browser))
    browser.execute_script("arguments[0].focus()", cell)
    source = tip(browser).split(",")[0]
    cell.send_keys(Keys.ARROW_RIGHT)
    assert tip(browser).startswith(f"{source}, white box: ")
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    assert address(browser).startswith("#row/") and address(browser).endswith(f"/{source}")
    reached = (
        "return [...document.querySelectorAll('#transfer .maps > div > figure > .scroll "
        "td')].filter(one => one.tabIndex === 0).length"
    )
    assert browser.execute_script(reached) == 4  # a map is one stop


def test_a_cell_of_a_table_says_what_it_is(browser, page):
    show(browser, page, width=DESKTOP, scheme="light")
    cell = find(browser, "tr[id='model/vgg_16'] td:nth-child(4)")
    point_at(browser, cell)
    assert re.fullmatch(r"vgg_16, top-1: \S+ % \[.*\] n 24", tip(browser))


def rows_in_sight(browser) -> list[str]:
    names = (
        "return [...document.querySelectorAll('table.overview tbody tr')].filter(row => "
        "!row.hidden).map(row => row.cells[0].textContent)"
    )
    return browser.execute_script(names)


def test_the_table_of_models_is_filtered_by_family_and_name(browser, page):
    from selenium.webdriver.support.ui import Select

    show(browser, page, width=DESKTOP, scheme="light")
    assert len(rows_in_sight(browser)) == 18
    Select(find(browser, "#models-compared .tools select")).select_by_visible_text("Inception")
    assert all(name.startswith("inception") for name in rows_in_sight(browser))
    assert len(rows_in_sight(browser)) == 5
    find(browser, "#models-compared .tools input").send_keys("V2")
    assert sorted(rows_in_sight(browser)) == ["inception_resnet_v2", "inception_v2"]
    faded = (
        "return document.querySelector('.tip[data-to=\"model/vgg_16\"]').classList.contains('dim')"
    )
    assert browser.execute_script(faded)
    said = browser.execute_script(
        "return document.querySelector('#models-compared .tools').textContent"
    )
    assert "2 of 18" in said


COPIES = """
const done = arguments[arguments.length - 1], texts = [];
navigator.clipboard.writeText = async text => { texts.push(text); };
const table = document.querySelector(arguments[0]);
const tools = table.closest(".scroll").previousElementSibling;
for (const button of tools.querySelectorAll("button")) button.click();
setTimeout(() => done(texts), 50);
"""


def test_tables_are_copied_as_csv_markdown_and_latex(browser, page):
    show(browser, page, width=DESKTOP, scheme="light")
    comma, mark, tex = browser.execute_async_script(COPIES, "table.overview")
    rows = pd.read_csv(io.StringIO(comma))
    assert len(rows) == 18 and set(rows["model"]) == set(MODELS)
    right = rows.set_index("model")
    assert list(right.columns[:8]) == [
        *("family", "rank", "rank low", "rank high"),
        *("top-1 (%)", "top-1 (%) low", "top-1 (%) high", "top-1 note"),
    ] or "top-1 low" in list(right.columns)
    own = right.loc["vgg_16"]
    fgsm = [name for name in right.columns if name.startswith("FGSM")]
    assert 1 < own[fgsm[0]] <= 100 and own[fgsm[1]] <= own[fgsm[0]] <= own[fgsm[2]]
    lines = mark.splitlines()
    assert len(lines) == 20 and {line.count("|") for line in lines} == {lines[0].count("|")}
    assert tex.count("\\\\") == 19 and "vgg\\_16" in tex and tex.startswith("\\begin{tabular}{lr")
    comma, _, _ = browser.execute_async_script(COPIES, "#all-numbers details:nth-of-type(2) table")
    rows = pd.read_csv(io.StringIO(comma))
    assert len(rows) == 3 * 18 and rows.columns[0] == "group" and rows["group"].nunique() == 3
    comma, _, _ = browser.execute_async_script(COPIES, "table.heat")
    assert len(pd.read_csv(io.StringIO(comma))) == 18


def test_pictures_enlarge_and_close_by_keyboard(browser, page):
    from selenium.webdriver.common.keys import Keys

    show(browser, page, width=DESKTOP, scheme="light")
    button = find(browser, "#pictures td button")
    button.send_keys(Keys.ENTER)
    large = (
        "const open = document.querySelector('dialog[open] img'); return open ? [open.width, "
        "open.alt] : null"
    )
    width, alt = browser.execute_script(large)
    assert width > 300 and "label" in alt
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert browser.execute_script(large) is None


def test_an_address_opens_what_is_folded(browser, page):
    show(browser, page, width=DESKTOP, scheme="light")
    row = "row/cw/random/confidence=0/vgg_19"
    browser.get(f"{page.as_uri()}#{row}")
    seen = "return document.getElementById(arguments[0]).getBoundingClientRect().height > 0"
    assert browser.execute_script(seen, row)
    folded = "return document.querySelector('#what-was-run details').open"
    assert not browser.execute_script(folded)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_axe_finds_no_violation(browser, page, width, scheme):
    """All rules of axe, best practices and contrast included, with everything unfolded."""
    import axe_core_python

    show(browser, page, width=width, scheme=scheme)
    browser.execute_script(
        "for (const part of document.querySelectorAll('details')) part.open = true"
    )
    browser.execute_script((Path(axe_core_python.__file__).parent / "axe.min.js").read_text())
    browser.set_script_timeout(300)
    found = browser.execute_async_script(
        "const done = arguments[0]; axe.run(document, {resultTypes: ['violations']}).then(done)"
    )
    told = [
        (
            one["id"],
            len(one["nodes"]),
            one["nodes"][0]["html"][:200],
            one["nodes"][0]["failureSummary"][:300],
        )
        for one in found["violations"]
    ]
    assert told == [] and len(found["passes"]) > 20


@pytest.mark.parametrize("width", [PHONE, TABLET])
def test_numbers_can_be_reached_and_letters_read_on_small_screens(browser, page, width):
    show(browser, page, width=width, scheme="light")
    browser.execute_script(
        "for (const part of document.querySelectorAll('details')) part.open = true"
    )
    wide = """return [...document.querySelectorAll('.scroll > .numbers')].map(table => {
      const first = table.querySelector('tbody th[scope=row]') || table.rows[0].cells[0];
      return first.getBoundingClientRect().width / table.parentElement.clientWidth}).filter(share => share > 0.6)"""
    assert browser.execute_script(wide) == []
    small = """return [...document.querySelectorAll('.chart svg')].map(drawing =>
      drawing.getBoundingClientRect().width / (drawing.viewBox.baseVal.width * 4 / 3)).filter(scale => scale < 0.74)"""
    assert browser.execute_script(small) == []
    right = """const box = document.querySelector('#accuracy-against-robustness .scroll');
      const inner = box.firstElementChild.getBoundingClientRect(); return inner.right - box.getBoundingClientRect().right"""
    assert abs(browser.execute_script(right)) < 30  # the crowded half is in sight


def test_it_prints(browser, page):
    show(browser, page, width=DESKTOP, scheme="dark")
    paper = base64.b64decode(
        browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"]
    )
    assert paper.startswith(b"%PDF") and len(paper) > 50_000
    SEEN.mkdir(exist_ok=True)
    (SEEN / "report.pdf").write_bytes(paper)
    style = """const style = name => getComputedStyle(document.querySelector('.overview ' + name));
      const size = name => parseFloat(style(name).fontSize);
      return [style('thead button').display, size('td small') < size('td'), size('thead th') < size('td')]"""
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:  # a button's words are missing where a page repeats a table's head
        assert browser.execute_script(style) == ["contents", True, True]
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_without_scripts_it_shows_the_same(browser, page):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        show(browser, page, width=DESKTOP, scheme="light")
        assert find(browser, "table.overview tbody th").text in MODELS
        assert find(browser, "#transfer table.heat td").get_attribute("title")
        assert not find(browser, "#findings dd").text == ""
        assert browser.find_elements("css selector", ".tools") == []
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
