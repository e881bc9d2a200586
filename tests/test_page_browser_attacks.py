"""Attacks on the page that need a browser; and whether everybody can use it."""

import contextlib
import http.server
import json
import re
import threading

import pytest
from browsing import needs_chromium
from running_page import encoded, held, pixels, running

from anon_jax.serving import app, server

pytestmark = needs_chromium
EVIL_NAMES = (
  '<img src=x onerror=window.hit=1>.png',
  '"><svg onload=window.hit=1>.png',
  "');window.hit=1;(.png",
  'javascript:window.hit=1',
  '{{constructor.constructor("window.hit=1")()}}.png',
)


@pytest.fixture(scope='module')
def page(tmp_path_factory):
  with running(tmp_path_factory.mktemp('page')) as client:
    yield client


@contextlib.contextmanager
def foreign(content):
  """Runs another site on this machine, with one page; yields its port."""

  class Site(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
      self.send_response(200)
      self.send_header('content-type', 'text/html')
      self.end_headers()
      self.wfile.write(content.encode())

    def log_message(self, *_):
      pass

  site = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Site)
  thread = threading.Thread(target=site.serve_forever)
  thread.start()
  try:
    yield site.server_address[1]
  finally:
    site.shutdown()
    thread.join()
    site.server_close()


@pytest.mark.parametrize('name', EVIL_NAMES)
def test_html_in_the_name_of_a_file_is_shown_as_text_and_runs_nothing(
  chromium, page, tmp_path, name
):
  path = tmp_path / name
  path.write_bytes(encoded(pixels()))
  chromium.open(page)
  chromium.drop(path)
  chromium.settled()
  assert chromium.text('#title') == name
  assert chromium.manifest()['inputs'][0]['source'] == name
  assert chromium.script('return window.hit') is None
  assert len(chromium.all('script')) == 1
  chromium.click('#remove')


def test_html_in_the_message_about_a_file_is_shown_as_text(chromium, page, tmp_path):
  path = tmp_path / EVIL_NAMES[0]
  path.write_bytes(b'GIF89a<script>window.hit=1</script>')
  chromium.open(page)
  chromium.drop(path)
  chromium.settled()
  assert EVIL_NAMES[0] in chromium.text('#notice')
  assert not chromium.all('#notice img')
  assert chromium.script('return window.hit') is None
  chromium.click('#remove')


def test_a_script_that_gets_into_the_page_does_not_run(chromium, page):
  chromium.open(page)
  tried = chromium.script(
    """
    const tried = [];
    for (const attempt of [
      () => { document.body.innerHTML += '<img src=x onerror="window.hit=1">'; },
      () => { const s = document.createElement('script'); s.append('window.hit=1'); document.body.append(s); },
      () => { const s = document.createElement('script'); s.src = 'data:,window.hit=1'; document.body.append(s); },
      () => { document.body.setAttribute('onclick', 'window.hit=1'); document.body.click(); },
    ]) {
      try { attempt(); tried.push('let through'); } catch (error) { tried.push(error.name); }
    }
    return tried;
    """  # noqa: E501
  )
  assert tried[0] == tried[2] == 'TypeError'  # trusted types: no text becomes HTML or a script
  assert chromium.script('return window.hit') is None
  complaints = ' '.join(chromium.complaints())
  assert complaints.count('The action has been blocked') >= 2


def test_nothing_is_fetched_from_anywhere_else(chromium, page, tmp_path):
  path = tmp_path / 'a.png'
  path.write_bytes(encoded(pixels()))
  chromium.complaints()
  chromium.open(page)
  chromium.drop(path)
  chromium.settled()
  fetched = chromium.script('return performance.getEntriesByType("resource").map((e) => e.name)')
  assert len(fetched) > 8
  assert {re.sub(r'^blob:', '', name).split('/')[2] for name in fetched} == {page.host}
  assert not chromium.complaints()
  kept = 'return document.cookie + localStorage.length + sessionStorage.length'
  assert chromium.script(kept) == '00'
  chromium.script('window.sent = []; fetch("http://evil.test:1/").catch((e) => sent.push(e.name))')
  assert chromium.wait(lambda: chromium.script('return window.sent')) == ['TypeError']
  assert 'connect-src' in ' '.join(chromium.complaints())  # refused by the page's own policy
  chromium.click('#remove')


def test_another_site_can_neither_post_nor_read_nor_frame_the_page(chromium, page):
  own = page.upload(encoded(pixels()))
  before = len(held(page.folder))
  attack = """<!doctype html><iframe id="frame" src="BASE/?key=KEY" width="400" height="300"></iframe>
  <form id="form" action="BASE/upload" method="post" enctype="multipart/form-data" target="sink">
  <input name="f" value="x"></form><form id="plain" action="BASE/forget" method="post"
  enctype="text/plain" target="sink"><input name='{"id":"OWN","x":"' value='"}'></form>
  <iframe name="sink"></iframe><img id="img" src="BASE/before?id=OWN"><script>
  const said = window.said = [];
  const note = (what) => (answer) => said.push(what + ' ' + (answer.type || answer.name) + ' ' + answer.status);
  const tries = {
    read: ['BASE/about', {headers: {'X-Anon-Jax-Token': 'TOKEN'}}],
    page: ['BASE/?key=KEY', {}],
    forget: ['BASE/forget', {method: 'POST', headers: {'X-Anon-Jax-Token': 'TOKEN', 'Content-Type': 'application/json'}, body: '{"id":"OWN"}'}],
    simple: ['BASE/forget', {method: 'POST', mode: 'no-cors', body: '{"id":"OWN"}'}],
    upload: ['BASE/upload', {method: 'POST', mode: 'no-cors', body: new Blob(['x'])}],
  };
  for (const [what, [url, how]] of Object.entries(tries)) fetch(url, how).then(note(what), note(what));
  document.getElementById('form').submit();
  setTimeout(() => document.getElementById('plain').submit(), 300);
  document.getElementById('img').onload = () => said.push('picture');
  </script>"""  # noqa: E501
  for mark, text in {
    'BASE': f'http://{page.host}',
    'KEY': page.drawn.key,
    'TOKEN': page.drawn.token,
    'OWN': own,
  }.items():
    attack = attack.replace(mark, text)
  with foreign(attack) as port:
    chromium.driver.get(f'http://evil.test:{port}/')
    chromium.wait(lambda: len(chromium.script('return window.said')) >= 5)
    said = chromium.script('return window.said')
    assert not [line for line in said if line == 'picture' or line.endswith(' 200')]
    frame = chromium.find('#frame')
    chromium.driver.switch_to.frame(frame)
    assert not chromium.all('#drop')
    chromium.driver.switch_to.default_content()
  assert page.told('GET', f'/state?id={own}')[0] == 200  # nobody has forgotten it
  assert len(held(page.folder)) == before
  page.ask('POST', '/forget', {'id': own})
  chromium.complaints()


def test_a_site_whose_name_is_rebound_to_this_machine_gets_nothing(chromium, page):
  chromium.driver.get(f'http://evil.test:{page.port}/?key={page.drawn.key}')
  assert json.loads(chromium.text('body'))['error'].startswith('This Host is not the page')
  answers = chromium.driver.execute_async_script(
    """
    const done = arguments[arguments.length - 1];
    const headers = {'X-Anon-Jax-Token': arguments[0], 'Content-Type': 'application/json'};
    Promise.all([
      fetch('/about', {headers}),
      fetch('/forget', {method: 'POST', headers, body: '{"id": "x"}'}),
    ].map((each) => each.then((answer) => answer.status, () => 0))).then(done);
    """,
    page.drawn.token,
  )
  assert set(answers) <= {0, 421}
  chromium.complaints()


def test_a_page_of_an_earlier_start_says_so_and_does_nothing(chromium, tmp_path, monkeypatch):
  path = tmp_path / 'a.png'
  path.write_bytes(encoded(pixels()))
  listening = server.listening
  for name in ('first', 'second'):
    (tmp_path / name).mkdir()
  with running(tmp_path / 'first') as page:
    chromium.open(page)
    port = page.port
  chromium.drop(path)
  chromium.wait(lambda: 'does not answer' in chromium.text('#trouble'))
  monkeypatch.setattr(server, 'listening', lambda _: listening(port))
  with running(tmp_path / 'second') as page:
    chromium.drop(path)
    chromium.wait(lambda: 'The token is not that of this start' in chromium.text('body'))
    assert not held(page.folder)
  chromium.complaints()


@pytest.mark.parametrize('width', [400, 320])
def test_the_page_fits_a_narrow_window(chromium, page, tmp_path, width):
  path = tmp_path / ('a_long_name_' * 8 + '.png')
  path.write_bytes(encoded(pixels()))
  chromium.open(page)
  # what `set_window_size` cannot do: a window of less than 500 pixels
  chromium.driver.execute_cdp_cmd(
    'Emulation.setDeviceMetricsOverride',
    {'width': width, 'height': 800, 'deviceScaleFactor': 1, 'mobile': True},
  )
  try:
    for step in ('empty', 'result', 'faces'):
      if step == 'result':
        chromium.drop(path)
        chromium.settled()
      if step == 'faces':
        chromium.click('#to-faces')
      wide = chromium.script(
        'return [...document.querySelectorAll("body *")].filter((e) => '
        'e.getBoundingClientRect().right > innerWidth + 1 && !e.closest("svg")).map((e) => e.id)'
      )
      assert not wide
      assert chromium.script('return document.documentElement.scrollWidth') <= width
    chromium.click('#remove')
  finally:
    chromium.driver.execute_cdp_cmd('Emulation.clearDeviceMetricsOverride', {})


def test_everything_that_can_be_used_has_a_name_and_is_reached_by_the_tab_key(
  chromium, page, tmp_path
):
  from selenium.webdriver.common.action_chains import ActionChains

  path = tmp_path / 'a.png'
  path.write_bytes(encoded(pixels()))
  chromium.open(page)
  chromium.drop(path)
  chromium.settled()
  chromium.click('#to-faces')
  usable = 'button, input, [tabindex="0"], video'
  shown = [element for element in chromium.all(usable) if element.is_displayed()]
  assert len(shown) > 12
  assert not [
    element.get_attribute('outerHTML') for element in shown if not element.accessible_name
  ]
  chromium.script('document.activeElement.blur(); scrollTo(0, 0)')
  reached = set()
  for _ in range(40):
    ActionChains(chromium.driver).send_keys('\ue004').perform()
    focused = chromium.driver.switch_to.active_element
    reached.add(focused.get_attribute('id') or focused.accessible_name)
  for wanted in ('files', 'to-compare', 'to-faces', 'download', 'manifest', 'again', 'add'):
    assert wanted in reached
  assert any(name.startswith('Face 1') for name in reached)  # the box itself
  assert 'Keep Face 1 as it is' in reached
  chromium.click('#remove')


def _luminance(colour):
  parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
  linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
  return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _contrast(a, b):
  low, high = sorted((_luminance(a), _luminance(b)))
  return (high + 0.05) / (low + 0.05)


def test_text_stands_out_in_light_and_in_dark():
  assert _contrast('#000000', '#ffffff') == pytest.approx(21)
  css = app.public_files()['/page.css'][0].decode()
  light, dark = (
    dict(re.findall(r'--([\w-]+): (#[0-9a-f]{6});', block))
    for block in re.findall(r':root \{(.*?)\}', css, re.DOTALL)
  )
  assert dark.keys() == light.keys()
  for colours in (light, dark):
    for text, ground in (
      *((text, ground) for text in ('text', 'muted') for ground in ('ground', 'surface', 'soft')),
      *(('text', ground) for ground in ('warn-soft', 'danger-soft')),
      *(('muted', 'danger-soft'), ('danger', 'surface'), ('on-danger', 'danger')),
      *(('on-accent', 'accent'), ('on-accent', 'accent-strong')),
    ):
      assert _contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for line in ('field', 'accent'):  # what can be used has an outline that can be seen
      assert _contrast(colours[line], colours['surface']) >= 3, line
