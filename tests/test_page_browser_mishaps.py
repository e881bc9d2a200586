"""The page in a real browser when something goes otherwise than meant."""

import contextlib
import threading

from browsing import needs_chromium
from running_page import detect, encoded, engine, held, pixels, running
from test_anonymizer import Fake

from anon_jax.serving.engine import Engine
from anon_jax.serving.limits import Limits

pytestmark = needs_chromium


def _photographs(folder, count, **more):
  paths = [folder / f'{number:02d}.png' for number in range(count)]
  for path in paths:
    path.write_bytes(encoded(pixels(**more)))
  return paths


@contextlib.contextmanager
def _waiting(folder):
  """A page whose detector waits for a gate to be set; yields both."""
  folder.mkdir()
  gate = threading.Event()

  def detect_later(picture):
    assert gate.wait(30)
    return detect(picture)

  with running(folder, Engine(detect_later, Fake([0.0] * 99))) as page:
    yield page, gate


def test_as_many_photographs_as_are_held_can_be_dropped_at_once(chromium, tmp_path):
  with _waiting(tmp_path / 'root') as (page, gate):
    chromium.open(page)
    chromium.drop(*_photographs(tmp_path, 16))
    chromium.wait(lambda: chromium.text('#strip').count('waiting') == 15)
    gate.set()
    chromium.wait(lambda: chromium.text('#strip').count('done') == 16)


def test_a_click_in_the_strip_is_not_lost_while_something_is_being_done(chromium, tmp_path):
  from selenium.webdriver.common.action_chains import ActionChains

  with _waiting(tmp_path / 'root') as (page, gate):
    chromium.open(page)
    chromium.drop(*_photographs(tmp_path, 3))
    chromium.wait(lambda: 'working' in chromium.text('#strip'))
    for number, button in enumerate(chromium.all('#strip button')):
      # longer than the time between two questions how far it is
      ActionChains(chromium.driver).click_and_hold(button).pause(0.7).release().perform()
      assert chromium.text('#title') == f'{number:02d}.png'
      assert button.get_attribute('aria-current') == 'true'
    gate.set()
    chromium.wait(lambda: chromium.text('#strip').count('done') == 3)


def test_files_are_wiped_when_the_page_is_left(chromium, tmp_path):
  (tmp_path / 'root').mkdir()
  with running(tmp_path / 'root') as page:
    for leave in (lambda: chromium.open(page), lambda: chromium.driver.get('about:blank')):
      chromium.open(page)
      chromium.drop(*_photographs(tmp_path, 3))
      chromium.wait(lambda: chromium.text('#strip').count('done') == 3)
      assert len(held(page.folder)) >= 3
      leave()
      chromium.wait(lambda: not held(page.folder))


def test_what_is_no_file_any_more_is_not_blamed_on_the_program(chromium, tmp_path):
  (tmp_path / 'root').mkdir()
  (photo,) = _photographs(tmp_path, 1)
  with running(tmp_path / 'root') as page:
    chromium.open(page)
    chromium.script(
      'const send = XMLHttpRequest.prototype.send; window.held = [];'
      'XMLHttpRequest.prototype.send = function (body) {'
      '  window.held.push(() => send.call(this, body)); };'
    )
    chromium.drop(photo)
    chromium.wait(lambda: chromium.script('return window.held.length'))
    photo.unlink()
    chromium.script('window.held.forEach((each) => each())')
    chromium.wait(lambda: 'The browser cannot read it' in chromium.text('#notice'))
    assert not chromium.shown('#trouble')
    chromium.click('#remove')


def test_a_large_file_for_which_there_is_no_room_is_refused_by_that_reason(chromium, tmp_path):
  (tmp_path / 'root').mkdir()
  large = tmp_path / 'large.bmp'
  large.write_bytes(encoded(pixels(width=2000, height=1500), 'BMP'))
  with running(tmp_path / 'root', limits=Limits(all_bytes=10_000_000)) as page:
    chromium.open(page)
    chromium.drop(large)
    chromium.settled()
    chromium.drop(large)
    chromium.wait(lambda: 'All files together would exceed 9 MiB' in chromium.text('#notice'))
    assert not chromium.shown('#trouble')


def test_a_download_says_when_the_program_has_ended(chromium, tmp_path):
  (tmp_path / 'root').mkdir()
  with running(tmp_path / 'root', engine()) as page:
    chromium.open(page)
    chromium.drop(*_photographs(tmp_path, 1))
    chromium.settled()
  chromium.click('#download')
  chromium.wait(
    lambda: 'does not answer; start `anon-jax serve` again' in chromium.text('#trouble')
  )


def test_what_went_wrong_before_is_not_shown_any_more_after_it_went_well(chromium, tmp_path):
  (tmp_path / 'root').mkdir()
  with running(tmp_path / 'root') as page:
    chromium.open(page)
    chromium.drop(*_photographs(tmp_path, 1))
    chromium.settled()
    chromium.click('#to-faces')
    for _ in range(13):  # away from the face that was found
      chromium.find('#boxes g').send_keys('\ue014' * 3)
    chromium.click('#apply')
    chromium.wait(lambda: 'no longer covers the face' in chromium.text('#trouble'))
    chromium.button('Reset', '#list')
    chromium.click('input[value=fill]')
    chromium.apply()
    assert not chromium.shown('#trouble')
