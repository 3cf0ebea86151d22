"""The page stands whatever the rows hold: infinite, missing, single, empty, huge."""

import hostile
import pytest

from jaxadv.report import figures, html, tables
from jaxadv.report.remake import remake
from jaxadv.report.views import views


@pytest.mark.few("0", "5", "8")
@pytest.mark.parametrize("seed", range(16))
def test_tables_and_page_of_odd_rows(tmp_path, seed):
    run = hostile.write(tmp_path / "run", seed)
    shown = views(run)
    tables.write_all(run, tmp_path / "tables", shown.made)
    tables.write(tmp_path / "tables", shown.study)
    html.write(shown, tmp_path / "report.html", {})
    assert (tmp_path / "report.html").read_text(encoding="utf-8").endswith("</html>\n")
    figures.planned(shown)


@pytest.mark.few(slow=("0", "4", "8", "11"))
@pytest.mark.parametrize("seed", range(12))
def test_figures_of_odd_rows(tmp_path, seed, capsys):
    run = hostile.write(tmp_path / "run", seed)
    remake(run.directory)
    assert "could not be drawn" not in capsys.readouterr().err
