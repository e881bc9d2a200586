"""A headless Chromium for the tests of the page, driven through its own driver."""

import contextlib
import io
import json
import pathlib
import shutil
import tempfile
import time

import numpy as np
import pytest
from PIL import Image

CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser')
DRIVER = shutil.which('chromedriver')
_FLAGS = (
  '--headless=new',
  '--no-sandbox',  # of no use to root, as whom containers run
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-dev-shm-usage',
  '--force-device-scale-factor=1',
  '--window-size=1280,1000',
  # a name that a foreign site has, and points at this machine
  '--host-resolver-rules=MAP evil.test 127.0.0.1',
)
needs_chromium = pytest.mark.skipif(
  not CHROMIUM or not DRIVER,
  reason='chromium and chromedriver are not installed (Debian: chromium, chromium-driver)',
)


class Browser:
  """A browser, with the words that the tests of the page are written in."""

  def __init__(self, driver, downloads):
    self.driver, self.downloads = driver, downloads

  def open(self, page):
    """Opens the page of a client as the terminal says it."""
    self.driver.get(f'http://{page.host}/?key={page.drawn.key}')
    self.wait(lambda: self.script('return document.body.dataset.ready'))

  def script(self, code, *arguments):
    """Runs JavaScript in the page."""
    return self.driver.execute_script(code, *arguments)

  def find(self, selector):
    """Returns the first element of a CSS selector."""
    return self.driver.find_element('css selector', selector)

  def all(self, selector):
    """Returns all elements of a CSS selector."""
    return self.driver.find_elements('css selector', selector)

  def shown(self, selector):
    """Tells whether an element can be seen."""
    return self.find(selector).is_displayed()

  def click(self, selector):
    """Clicks on an element, as soon as that can be done."""
    self.wait(lambda: self.shown(selector) and self.find(selector).is_enabled())
    self.find(selector).click()

  def button(self, text, within='body'):
    """Clicks on the button that says this."""
    (found,) = [b for b in self.all(f'{within} button') if b.is_displayed() and b.text == text]
    found.click()

  def text(self, selector):
    """Returns what can be read in an element."""
    return self.find(selector).text

  def drop(self, *paths):
    """Hands files to the page."""
    self.find('#files').send_keys('\n'.join(map(str, paths)))

  def wait(self, true, seconds=60):
    """Waits for something; returns it."""
    from selenium.common.exceptions import WebDriverException

    end = time.monotonic() + seconds
    while time.monotonic() < end:
      with contextlib.suppress(WebDriverException):
        if found := true():
          return found
      time.sleep(0.03)
    raise AssertionError(f'never so; the page says: {self.text("body")}')

  def settled(self):
    """Waits until nothing is being done with the file that is looked at."""
    self.wait(lambda: self.shown('#actions') and not self.shown('#busy'))

  def apply(self):
    """Applies what was changed, and waits for the result."""
    self.click('#apply')
    self.wait(lambda: not self.shown('#apply'))
    self.settled()

  def picture(self, selector):
    """Returns what an element looks like, uint8 [h, w, 3]."""
    png = self.find(selector).screenshot_as_png
    return np.asarray(Image.open(io.BytesIO(png)).convert('RGB'))

  def download(self, selector):
    """Clicks on something, and returns the file that is downloaded, in a folder of its own."""
    self.click(selector)

    def whole():
      found = list(self.downloads.iterdir())
      if len(found) == 1 and not found[0].name.startswith('.'):
        return found[0].suffix not in ('.crdownload', '.tmp') and found[0]
      return None

    own = pathlib.Path(tempfile.mkdtemp(dir=self.downloads.parent))
    return pathlib.Path(shutil.move(self.wait(whole), own))

  def manifest(self):
    """Downloads the manifest; returns it."""
    return json.loads(self.download('#manifest').read_text())

  def complaints(self):
    """Returns what the browser has to say against the page since it was asked before."""
    return [entry['message'] for entry in self.driver.get_log('browser')]


@contextlib.contextmanager
def browser(folder, *flags):
  """Starts a browser with a profile of its own below `folder`."""
  from selenium import webdriver
  from selenium.webdriver.chrome.service import Service

  downloads = folder / 'downloads'
  downloads.mkdir()
  options = webdriver.ChromeOptions()
  options.binary_location = CHROMIUM
  for flag in (*_FLAGS, f'--user-data-dir={folder / "profile"}', *flags):
    options.add_argument(flag)
  options.add_experimental_option('prefs', {'download.default_directory': str(downloads)})
  options.set_capability('goog:loggingPrefs', {'browser': 'ALL'})
  driver = webdriver.Chrome(options=options, service=Service(DRIVER))
  try:
    yield Browser(driver, downloads)
  finally:
    driver.quit()
