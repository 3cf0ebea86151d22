"""The page's only script, from page.js beside this file. Without scripts the page lacks nothing but
what it adds.

It sorts, filters and copies tables, shows the numbers behind a point or a cell, and enlarges
pictures.
"""

import base64
import hashlib
from pathlib import Path

SCRIPT = (Path(__file__).parent / "page.js").read_text(encoding="utf-8")
# Nothing may be loaded, and no other script may run, whatever a name in the rows holds.
POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action "
    "'none'; script-src "
    f"'sha256-{base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()}'"
)
