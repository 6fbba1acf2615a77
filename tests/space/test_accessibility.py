"""axe-core finds nothing serious in any state of the page, light and dark; large print and small screens hold all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from playwright.sync_api import Page, expect

from tests.conftest import PHOTOS
from tests.space.conftest import PageServer
from tests.space.visiting import bring, changed, covers, paint, painted

_AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
# What Streamlit's own elements have and neither CSS nor attributes of ours can mend: rule and part of the element.
STREAMLITS: set[tuple[str, str]] = set()


def violations(page: Page) -> list[str]:
    """Serious and critical ones, each by its rule and element."""
    page.wait_for_timeout(400)  # for colours that fade in
    page.evaluate(_AXE)
    found: dict[str, Any] = page.evaluate("axe.run({ resultTypes: ['violations'] })")
    return [
        f"{one['id']}: {json.dumps(node['target'])} {node['html'][:160]} {node.get('failureSummary', '')[:200]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
        if not any(one["id"] == rule and part in node["html"] for rule, part in STREAMLITS)
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_state_has_a_serious_violation(
    visitor: Callable[..., Page], page_server: PageServer, small_cat: Path, scheme: str
) -> None:
    page = visitor(color_scheme=scheme)
    found: dict[str, list[str]] = {}
    expect(page.get_by_role("button", name="Choose a photo")).to_be_visible()
    found["empty"] = violations(page)
    bring(page, small_cat)
    found["mask"] = violations(page)
    page.get_by_text("Keyboard and box in numbers").click()
    page.get_by_text("Canvas and place").click()
    page.get_by_text("Advanced").click()
    page.locator(".stage canvas").focus()
    for _ in range(9):
        page.keyboard.press("Shift+ArrowRight")
    changed(page, lambda: page.keyboard.press("Space"))
    found["editing"] = violations(page)
    page.get_by_role("radio", name="A picture").click()
    expect(page.get_by_role("button", name="Choose a picture")).to_be_visible()
    found["a picture behind"] = violations(page)
    page.get_by_role("radio", name="Painted").click()
    gate = page_server.occupied()
    paint(page)
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    found["painting"] = violations(page)
    gate.set()
    painted(page)
    expect(page.get_by_role("button", name="Paint")).to_be_enabled()
    page.get_by_text("The same from the command line").click()
    found["results"] = violations(page)
    page.get_by_role("textbox", name="Describe the place").fill("   ")
    page.get_by_role("button", name="Paint").click()
    expect(page.get_by_role("alert").filter(has_text="Describe the place first")).to_be_visible()
    found["error"] = violations(page)
    assert not any(found.values()), "\n".join(f"{state}: {one}" for state, all in found.items() for one in all)


@pytest.mark.parametrize("width", [390, 720])
def test_nothing_runs_over_the_side(visitor: Callable[..., Page], width: int) -> None:
    """390 pixels are a phone's; 720 of 1440 are a window's at 200 % zoom."""
    page = visitor(viewport={"width": width, "height": 844})
    bring(page, PHOTOS / "astronaut.jpg")
    page.get_by_role("button", name="Paint").scroll_into_view_if_needed()
    paint(page)
    painted(page)
    beyond = page.evaluate("""() => {
        const found = [];
        const look = (root) => {
            for (const one of root.querySelectorAll("*")) {
                const box = one.getBoundingClientRect();
                const scrolls = one.closest("[class*=strip], pre, code, [data-testid=stCode]");
                if (box.width > 1 && box.right > innerWidth + 1 && !scrolls) found.push(one.outerHTML.slice(0, 80));
                if (one.shadowRoot) look(one.shadowRoot);
            }
        };
        look(document.querySelector("[data-testid=stMain]"));
        return found;
    }""")
    assert beyond == []
    for button in page.locator(".editor button, .results button, .upload button").all():
        box = button.bounding_box()
        assert box is None or min(box["width"], box["height"]) >= 24


def test_reduced_motion_and_the_status_that_is_read_out(visitor: Callable[..., Page], small_cat: Path) -> None:
    page = visitor(reduced_motion="reduce")
    bring(page, small_cat)
    assert (
        page.evaluate("""() => {
        const moving = (root) => [...root.querySelectorAll("*")].flatMap((one) => [
            ...one.getAnimations().filter((a) => a.playState === "running" &&
                a.effect.getComputedTiming().duration > 50),
            ...(one.shadowRoot ? moving(one.shadowRoot) : []),
        ]);
        return moving(document).length;
    }""")
        == 0
    )
    assert covers(page).get_attribute("role") == "status"
    expect(page.get_by_role("application")).to_have_count(1)
