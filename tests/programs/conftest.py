"""A browser for the page of a run, or how to get one."""

import shutil

import pytest

HOW = (
    "apt install chromium chromium-driver texlive-latex-base; pip install -e "
    "'.[test,programs]' && pytest -m programs"
)


def pytest_collection_modifyitems(items):
    for item in items:
        if "programs" in item.path.parts:
            item.add_marker(pytest.mark.programs)


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """Headless Chromium, driven by selenium, which asks for nothing on the network by itself."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if not (program and driver):
        pytest.fail(f"chromium or chromedriver is missing; run: {HOW}", pytrace=False)
    try:
        from selenium import webdriver
    except ImportError:
        pytest.fail(f"selenium is missing; run: {HOW}", pytrace=False)
    options = webdriver.ChromeOptions()
    options.binary_location = program
    quiet = [
        "headless=new",
        "no-sandbox",
        "disable-gpu",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
    ]
    for flag in [*quiet, "no-first-run", f"user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    window = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield window
    window.quit()
