"""Firefox, by Mozilla's Marionette.

Playwright drives a Firefox of its own, which no package registry has, and Mozilla's only where it is newer than
Debian's; Selenium needs geckodriver, which Mozilla publishes in none of them.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from marionette_driver import By, Wait
from marionette_driver.errors import MarionetteException, NoAlertPresentException, NoSuchElementException
from marionette_driver.marionette import ActionSequence, Marionette, WebElement

#: Seconds.
PATIENCE = 60
#: Buttons of the browser's questions can be pressed at once.
PREFERENCES = {"security.dialog_enable_delay": 0}
#: Has every dialog that asks for a folder choose this one, as soon as it opens.
CHOOSE_FOLDER = """
  const [path] = arguments;
  const { FileUtils } = ChromeUtils.importESModule("resource://gre/modules/FileUtils.sys.mjs");
  const picker = {
    QueryInterface: ChromeUtils.generateQI(["nsIFilePicker"]),
    file: new FileUtils.File(path),
    init() {},
    appendFilters() {},
    appendFilter() {},
    appendRawFilter() {},
    close() {},
    open(callback) {
      Services.tm.dispatchToMainThread(() => callback.done(Ci.nsIFilePicker.returnOK));
    },
  };
  const factory = {
    QueryInterface: ChromeUtils.generateQI(["nsIFactory"]),
    createInstance: (kind) => picker.QueryInterface(kind),
  };
  const registrar = Components.manager.QueryInterface(Ci.nsIComponentRegistrar);
  registrar.registerFactory(Services.uuid.generateUUID(), "", "@mozilla.org/filepicker;1", factory);
"""
#: What scripts and styles of the pages did wrong; warnings are none of it.
ERRORS = """
  return Services.console.getMessageArray()
    .filter((one) => one instanceof Ci.nsIScriptError && one.sourceName.startsWith(arguments[0]))
    .filter((one) => !(one.flags & Ci.nsIScriptError.warningFlag))
    // So it calls a picture whose page is left while it loads.
    .filter((one) => !one.errorMessage.startsWith("Image corrupt or truncated"))
    .map((one) => `${one.errorMessage} (${one.sourceName}:${one.lineNumber})`);
"""


class Firefox:
    """A browser with what these tests do in it."""

    def __init__(self, driver: Marionette) -> None:
        self.driver = driver

    def open(self, url: str) -> None:
        self.driver.navigate(url)

    @property
    def url(self) -> str:
        return str(self.driver.get_url())

    def found(self, selector: str) -> WebElement:
        """The first element of a selector, as soon as there is one that is shown."""
        waiting = Wait(self.driver, timeout=PATIENCE, ignored_exceptions=NoSuchElementException)
        return waiting.until(lambda driver: _shown(driver, selector), message=f"no {selector} on {self.url}")

    def click(self, selector: str, words: str = "") -> None:
        """Click what a selector finds; of several the one that begins with these words."""
        self.found(selector)
        several = self.driver.find_elements(By.CSS_SELECTOR, selector)
        next(one for one in several if one.text.startswith(words)).click()

    def fill(self, name: str, text: str) -> None:
        self.found(f"[name={name}]").send_keys(text)

    def keys(self, keys: str, selector: str = "body") -> None:
        self.found(selector).send_keys(keys)

    def choose(self, selector: str, file: Path) -> None:
        self.driver.find_element(By.CSS_SELECTOR, selector).send_keys(str(file))

    def choose_folder(self, label: str, folder: Path) -> None:
        with self.driver.using_context("chrome"):
            self.driver.execute_script(CHOOSE_FOLDER, [str(folder)])
        self.found(label).click()
        waiting = Wait(self.driver, timeout=PATIENCE, ignored_exceptions=NoAlertPresentException)
        # The browser asks whether all of it may be uploaded.
        waiting.until(lambda driver: driver.switch_to_alert().accept() or True)

    def drag(self, selector: str, by: tuple[int, int], button: int = 0) -> None:
        """Drag with the mouse from the middle of an element."""
        actions = ActionSequence(self.driver, "pointer", "mouse", pointer_params={"pointerType": "mouse"})
        element = self.found(selector)
        actions.pointer_move(0, 0, origin=element).pointer_down(button)
        actions.pointer_move(*by, duration=100, origin=element).pointer_up(button).perform()

    def wheel(self, selector: str, down: int) -> None:
        actions = ActionSequence(self.driver, "wheel", "wheel")
        actions.scroll(0, 0, 0, down, origin=self.found(selector)).perform()

    def wait_for(self, selector: str, words: "str | re.Pattern[str]") -> str:
        """The text of an element once it has these words."""
        return self._until(lambda: self.found(selector).text, words)

    def wait_for_url(self, pattern: str) -> str:
        """The address, once it matches and its page has all of its scripts."""
        found = self._until(lambda: self.url, re.compile(pattern))
        self._until(lambda: self.evaluate("return document.readyState"), "complete")
        return found

    def wait_for_script(self, script: str) -> None:
        """Wait until a script of the page returns true."""
        self._until(lambda: str(self.evaluate(script)), "True")

    def _until(self, read: Any, words: "str | re.Pattern[str]") -> str:
        pattern = re.compile(re.escape(words)) if isinstance(words, str) else words
        waiting = Wait(self.driver, timeout=PATIENCE, ignored_exceptions=MarionetteException)
        waiting.until(lambda _: pattern.search(read()), message=f"{words} did not come")
        return str(read())

    def evaluate(self, script: str) -> Any:
        """What a script of the page returns."""
        return self.driver.execute_script(script, sandbox=None)

    def errors(self, url: str) -> list[str]:
        """What the browser says of the pages below an address."""
        with self.driver.using_context("chrome"):
            return list(self.driver.execute_script(ERRORS, [url]))

    def forget(self) -> None:
        """Begin as another person."""
        self.driver.delete_all_cookies()
        with self.driver.using_context("chrome"):
            self.driver.execute_script("Services.console.reset()")

    def shot(self, name: str) -> None:
        """Save a picture in the folder that the variable SCREENSHOTS names, if it does."""
        if folder := os.environ.get("SCREENSHOTS"):
            Path(folder, f"firefox-{name}.png").write_bytes(self.driver.screenshot(format="binary"))


def _shown(driver: Marionette, selector: str) -> WebElement | None:
    element = driver.find_element(By.CSS_SELECTOR, selector)
    return element if element.is_displayed() else None


@contextmanager
def running() -> Iterator[Firefox]:
    """A Firefox without a window, in the size of a desk."""
    binary = shutil.which("firefox-esr") or shutil.which("firefox")
    if not binary:
        pytest.skip("no Firefox (apt-get install firefox-esr)")
    # The driver deletes the log of before, were it the null device.
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        log = str(Path(folder, "firefox.log"))
        driver = Marionette(bin=binary, headless=True, port=0, gecko_log=log, prefs=PREFERENCES)
        try:
            driver.start_session()
            driver.set_window_rect(width=1280, height=900)
            yield Firefox(driver)
        finally:
            driver.cleanup()
