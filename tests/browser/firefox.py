"""Drives Firefox by Mozilla's Marionette.

Playwright needs its own build of Firefox, which no package registry has, or one from Mozilla that is newer than
Debian's. Selenium needs geckodriver, which Mozilla publishes in no package registry.
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

#: Seconds that a condition may take to become true.
TIMEOUT = 60
#: Buttons of the browser's dialogs can be pressed without a delay.
PREFERENCES = {"security.dialog_enable_delay": 0}
#: Makes every dialog for a folder choose this one as soon as it opens.
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
#: Errors of the pages' scripts and styles, without warnings.
ERRORS = """
  return Services.console.getMessageArray()
    .filter((error) => error instanceof Ci.nsIScriptError && error.sourceName.startsWith(arguments[0]))
    .filter((error) => !(error.flags & Ci.nsIScriptError.warningFlag))
    // Reported for a picture that is still loading when its page is left.
    .filter((error) => !error.errorMessage.startsWith("Image corrupt or truncated"))
    .map((error) => `${error.errorMessage} (${error.sourceName}:${error.lineNumber})`);
"""


class Firefox:
    """A browser, with the actions of these tests."""

    def __init__(self, driver: Marionette) -> None:
        self.driver = driver

    def open(self, url: str) -> None:
        self.driver.navigate(url)

    @property
    def url(self) -> str:
        return str(self.driver.get_url())

    def find(self, selector: str) -> WebElement:
        """The first element of a selector, as soon as it is visible."""
        waiting = Wait(self.driver, timeout=TIMEOUT, ignored_exceptions=NoSuchElementException)
        return waiting.until(lambda driver: _visible(driver, selector), message=f"no {selector} on {self.url}")

    def click(self, selector: str, words: str = "") -> None:
        """Click the first element of a selector whose text begins with these words."""
        self.find(selector)
        elements = self.driver.find_elements(By.CSS_SELECTOR, selector)
        next(element for element in elements if element.text.startswith(words)).click()

    def fill(self, name: str, text: str) -> None:
        self.find(f"[name={name}]").send_keys(text)

    def keys(self, keys: str, selector: str = "body") -> None:
        self.find(selector).send_keys(keys)

    def choose(self, selector: str, file: Path) -> None:
        self.driver.find_element(By.CSS_SELECTOR, selector).send_keys(str(file))

    def choose_folder(self, label: str, folder: Path) -> None:
        with self.driver.using_context("chrome"):
            self.driver.execute_script(CHOOSE_FOLDER, [str(folder)])
        self.find(label).click()
        waiting = Wait(self.driver, timeout=TIMEOUT, ignored_exceptions=NoAlertPresentException)
        # Confirm the upload of all files, for which the browser asks.
        waiting.until(lambda driver: driver.switch_to_alert().accept() or True)

    def drag(self, selector: str, offset: tuple[int, int], button: int = 0) -> None:
        """Drag with the mouse from the middle of an element."""
        actions = ActionSequence(self.driver, "pointer", "mouse", pointer_params={"pointerType": "mouse"})
        element = self.find(selector)
        actions.pointer_move(0, 0, origin=element).pointer_down(button)
        actions.pointer_move(*offset, duration=100, origin=element).pointer_up(button).perform()

    def wheel(self, selector: str, down: int) -> None:
        actions = ActionSequence(self.driver, "wheel", "wheel")
        actions.scroll(0, 0, 0, down, origin=self.find(selector)).perform()

    def wait_for(self, selector: str, words: "str | re.Pattern[str]") -> str:
        """Wait until an element has these words; return its text."""
        return self._until(lambda: self.find(selector).text, words)

    def wait_for_url(self, pattern: str) -> str:
        """Wait until the URL matches and the page's scripts are loaded; return the URL."""
        url = self._until(lambda: self.url, re.compile(pattern))
        self._until(lambda: self.evaluate("return document.readyState"), "complete")
        return url

    def wait_for_script(self, script: str) -> None:
        """Wait until a script of the page returns true."""
        self._until(lambda: str(self.evaluate(script)), "True")

    def _until(self, get_text: Any, words: "str | re.Pattern[str]") -> str:
        pattern = re.compile(re.escape(words)) if isinstance(words, str) else words
        waiting = Wait(self.driver, timeout=TIMEOUT, ignored_exceptions=MarionetteException)
        waiting.until(lambda _: pattern.search(get_text()), message=f"{words} did not appear")
        return str(get_text())

    def evaluate(self, script: str) -> Any:
        """Run a script in the page; return its result."""
        return self.driver.execute_script(script, sandbox=None)

    def errors(self, url: str) -> list[str]:
        """The browser's errors on pages below a URL."""
        with self.driver.using_context("chrome"):
            return list(self.driver.execute_script(ERRORS, [url]))

    def forget(self) -> None:
        """Start as a new person: delete cookies and messages."""
        self.driver.delete_all_cookies()
        with self.driver.using_context("chrome"):
            self.driver.execute_script("Services.console.reset()")

    def shot(self, name: str) -> None:
        """Save a screenshot in the folder that the variable SCREENSHOTS names, if that is set."""
        if folder := os.environ.get("SCREENSHOTS"):
            Path(folder, f"firefox-{name}.png").write_bytes(self.driver.screenshot(format="binary"))


def _visible(driver: Marionette, selector: str) -> WebElement | None:
    element = driver.find_element(By.CSS_SELECTOR, selector)
    return element if element.is_displayed() else None


@contextmanager
def running() -> Iterator[Firefox]:
    """Run a headless Firefox in the size of a desktop screen."""
    binary = shutil.which("firefox-esr") or shutil.which("firefox")
    if not binary:
        pytest.skip("no Firefox (apt-get install firefox-esr)")
    # With a file of its own for the log: the driver deletes an existing log, even if it is the null device.
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        log = str(Path(folder, "firefox.log"))
        driver = Marionette(bin=binary, headless=True, port=0, gecko_log=log, prefs=PREFERENCES)
        try:
            driver.start_session()
            driver.set_window_rect(width=1280, height=900)
            yield Firefox(driver)
        finally:
            driver.cleanup()
