"""What a person should look at: the pictures of a run, the most doubtful first, in one file that needs no server."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cyclorama.batch.journal import records
from cyclorama.batch.located import contents, write
from cyclorama.batch.worker import REVIEW, thumbnail_name

NAME = "review.html"
MOST = 2_000
"""Pictures on the page."""
_GROWTH = 0.05  # of the subject's area: worth a look
_SOFT = 0.03  # of the subject's area half transparent away from any edge: worth a look
_UNKNOWN = 0.3  # as doubtful as a mask of which nothing is known
_NOTES_TO_ACT_ON = ("subjects were found", "left out", "edge cuts the subject off")
_STYLE = """
:root { color-scheme: light dark; font: 16px/1.4 system-ui, sans-serif; }
body { margin: 0 auto; max-width: 1200px; padding: 1rem; }
label { margin-right: 1rem; }
ol { list-style: none; padding: 0; }
li { display: flex; flex-wrap: wrap; gap: 1rem; align-items: center; padding: .6rem 0; border-top: 1px solid #8886;
  content-visibility: auto; contain-intrinsic-size: auto 215px; }
img { background: #fff; border-radius: .3rem; max-width: 100%; }
.facts { flex: 1 1 18rem; }
.why { font-weight: 600; }
.failed .why { color: #c62828; }
code { overflow-wrap: anywhere; }
:root:has(#only:checked) li.fine { display: none; }
"""


def write_review(folder: Path) -> int:
    """Writes review.html into an output folder, of its journal; how many pictures should be looked at.

    The page holds the 2,000 most doubtful: of more, no browser makes a page that one would want to use.
    """
    last = {str(record["output"]): (worth_a_look(record)[0], line) for line, record in enumerate(records(folder))}
    count = sum(score >= 1 for score, _ in last.values())
    chosen = sorted(last, key=lambda output: (-last[output][0], output))[:MOST]
    lines_of = {last[output][1]: place for place, output in enumerate(chosen)}
    items, shown = [""] * len(chosen), contents(folder / REVIEW, map(thumbnail_name, chosen))
    for line, record in enumerate(records(folder)):
        if line in lines_of:
            items[lines_of[line]] = _item(record, shown.get(thumbnail_name(str(record["output"]))))
    here = "" if len(chosen) == len(last) else f" The {MOST} most doubtful are here; the others are in the folder."
    lines = [
        "<!doctype html>", '<html lang="en"><head><meta charset="utf-8"><title>Review</title>',
        '<meta name="viewport" content="width=device-width">', f"<style>{_STYLE}</style></head><body>",
        f"<h1>{len(last)} pictures, {count} to look at</h1>",
        '<p><label><input type="checkbox" id="only"> only those to look at</label>'
        f" Photo, mask and picture, the most doubtful first.{here} To mend a mask, save it corrected as NAME.png in a "
        "folder, and run again with <code>--masks-from FOLDER</code>.</p><ol>",
        *items, "</ol></body></html>",
    ]  # fmt: skip
    write(folder / NAME, "\n".join(lines).encode("utf-8", "replace"))
    return count


def worth_a_look(record: Mapping[str, Any]) -> tuple[float, list[str]]:
    """How much a picture should be looked at, from 1 on it should, and why."""
    if record["state"] == "failed":
        return 10.0, [str(record["error"]["message"])]
    why = []
    doubt = record.get("doubt")
    score = _UNKNOWN if doubt is None else float(doubt)
    if doubt is not None and doubt > 0.5:
        score += 1
        why.append(f"{doubt:.0%} of such masks are wrong")
    growth = float(record.get("growth") or 0)
    if growth > _GROWTH:
        score += 1 + growth
        why.append(f"the subject grew by {growth:.0%}")
    soft = float(record.get("soft") or 0)
    if soft > _SOFT:
        score += 1 + soft
        why.append(f"{soft:.0%} of the subject is half transparent")
    if breaks := record.get("breaks"):
        score += 2
        why += map(str, breaks)
    for note in record.get("notes", ()):
        if any(part in note for part in _NOTES_TO_ACT_ON):
            score += 1
            why.append(str(note))
    return score, why


def _item(record: Mapping[str, Any], small: bytes | None) -> str:
    score, why = worth_a_look(record)
    kind = "failed" if record["state"] == "failed" else "look" if score >= 1 else "fine"
    output = str(record["output"])
    picture = ""
    if small is not None:
        data = base64.b64encode(small).decode()
        picture = (
            f'<a href="{html.escape(quote(output))}"><img loading="lazy" alt="photo, mask and picture of '
            f'{html.escape(output)}" src="data:image/jpeg;base64,{data}"></a>'
        )
    facts = ", ".join(
        f"{name} {record[name]}" for name in ("doubt", "growth", "seed", "seconds") if record.get(name) is not None
    )
    reasons = html.escape("; ".join(why)) if why else "nothing stands out"
    return (
        f'<li class="{kind}">{picture}<div class="facts"><code>{html.escape(output)}</code>'
        f'<div class="why">{reasons}</div><div>{html.escape(facts)}</div></div></li>'
    )
