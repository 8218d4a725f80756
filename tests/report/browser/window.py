"""What the tests do in a browser: open, look, press keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

CONTRAST = """
const canvas = document.createElement("canvas");
canvas.width = canvas.height = 1;
const context = canvas.getContext("2d", { willReadFrequently: true });
const known = new Map();
function rgba(colour) {
  if (!known.has(colour)) {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    known.set(colour, [...context.getImageData(0, 0, 1, 1).data]);
  }
  return known.get(colour);
}
function luminance([red, green, blue]) {
  const linear = [red, green, blue].map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
}
function background(node) {
  for (let one = node; one; one = one.parentElement) {
    const colour = rgba(getComputedStyle(one).backgroundColor);
    if (colour[3] === 255) return colour;
  }
  return [255, 255, 255, 255];
}
const found = [];
for (const node of document.body.querySelectorAll("*")) {
  const own = [...node.childNodes].filter((child) => child.nodeType === 3);
  const text = own.map((child) => child.data.trim()).join("");
  const seen = node.getClientRects().length && !["SCRIPT", "STYLE"].includes(node.tagName);
  if (!text || !seen) continue;
  const style = getComputedStyle(node);
  const ink = rgba(node.namespaceURI.endsWith("svg") ? style.fill : style.color);
  const [light, dark] = [luminance(ink), luminance(background(node))].sort((a, b) => b - a);
  const ratio = (light + 0.05) / (dark + 0.05);
  found.push([ratio, node.tagName, text.slice(0, 30), String(node.getAttribute("class"))]);
}
return found.sort((a, b) => a[0] - b[0]);
"""
"""Contrast of every text with what lies behind it: WCAG 2.2, relative luminance and contrast."""


class Window:
    """A browser window that shows a page."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, page: Path) -> None:
        self.driver.get_log("browser")  # what earlier pages said
        self.driver.get(page.as_uri())
        # Pictures are drawn when their size is first observed: in the first frame.
        self.driver.execute_async_script(
            "const done = arguments[0];"
            "requestAnimationFrame(() => requestAnimationFrame(() => done()));"
        )

    def resize(self, width: int, height: int = 900) -> None:
        self._command(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )

    def prefer(self, scheme: str, motion: str = "reduce", media: str = "screen") -> None:
        features = {"prefers-color-scheme": scheme, "prefers-reduced-motion": motion}
        self._command(
            "Emulation.setEmulatedMedia",
            {
                "media": media,
                "features": [{"name": name, "value": value} for name, value in features.items()],
            },
        )

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def text(self, selector: str) -> str:
        found: str = self.run("return document.querySelector(arguments[0]).textContent", selector)
        return found

    def texts(self, selector: str) -> list[str]:
        found: list[str] = self.run(
            "return [...document.querySelectorAll(arguments[0])].map((one) => one.textContent)",
            selector,
        )
        return found

    def attribute(self, selector: str, name: str) -> str | None:
        found: str | None = self.run(
            "return document.querySelector(arguments[0]).getAttribute(arguments[1])", selector, name
        )
        return found

    def click(self, selector: str) -> None:
        """Click as a user does, with the pointer."""
        self.driver.find_element("css selector", selector).click()

    def press(self, *keys: str) -> None:
        """Press keys where the focus is."""
        for key in keys:
            self.driver.switch_to.active_element.send_keys(key)

    def focus(self, selector: str) -> None:
        self.run("document.querySelector(arguments[0]).focus({focusVisible: true})", selector)

    def focused(self) -> str:
        found: str = self.run("return document.activeElement.textContent")
        return found

    def remove(self, removal: tuple[int, ...]) -> dict[str, str]:
        """Click exactly these blocks in the strip, and return what the result says of itself."""
        found: dict[str, str] = self.run(
            """
            document.getElementById("clear").click();
            for (const block of arguments[0]) {
              document.querySelector(`#strip [data-block="${block}"]`).click();
            }
            return {...document.getElementById("result").dataset};
            """,
            list(removal),
        )
        return found

    def settle(self) -> None:
        """Wait until what follows scrolling and filtering was drawn."""
        self.driver.execute_async_script(
            """
            const done = arguments[0];
            requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 50)));
            """
        )

    def contrasts(self) -> list[tuple[float, str, str, str]]:
        found: list[tuple[float, str, str, str]] = self.run(CONTRAST)
        return found

    def contrast_with_card(self, selector: str) -> float:
        """Return the contrast of the background of an element with that of the cards."""
        found: float = self.run(
            CONTRAST.split("const found")[0]
            + """
            const card = getComputedStyle(document.querySelector(".card")).backgroundColor;
            const own = getComputedStyle(document.querySelector(arguments[0])).backgroundColor;
            const [light, dark] = [rgba(own), rgba(card)].map(luminance).sort((a, b) => b - a);
            return (light + 0.05) / (dark + 0.05);
            """,
            selector,
        )
        return found

    def errors(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def _command(self, name: str, parameters: dict[str, Any]) -> None:
        self.driver.execute_cdp_cmd(name, parameters)
