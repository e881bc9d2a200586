"""Names and places: no path comes from outside, and nothing that was dropped outlives the page."""

import http.client
import os
import pathlib
import stat
import time

import pytest
from running_page import encoded, engine, held, pixels, running

from anon_jax.serving import folder, server
from anon_jax.serving.app import _label
from anon_jax.serving.limits import Limits


@pytest.fixture(scope='module')
def page(tmp_path_factory):
  with running(tmp_path_factory.mktemp('files')) as client:
    yield client


@pytest.mark.parametrize(
  ('given', 'label'),
  [
    ('beach.jpg', 'beach.jpg'),
    ('../../../etc/passwd', 'passwd'),
    ('..%2F..%2Fetc%2Fcron.d%2Fx', 'x'),
    ('..%5C..%5Cboot.ini', 'boot.ini'),
    ('%2Froot%2F.ssh%2Fid', 'id'),
    ('a%00b%0D%0Ac.png', r'a\x00b\r\nc.png'),
    ('%E2%80%AEgnp.exe', r'\u202egnp.exe'),
    ('%3Cimg%20src%3Dx%3E.png', '<img src=x>.png'),
    ('%FF%FE', 'unnamed'),
    ('', 'unnamed'),
    ('..%2F', 'unnamed'),
    ('x' * 900 + '.png', 'x' * 120 + '.png'),
    ('Zo%C3%AB.jpg', 'Zoë.jpg'),
  ],
)
def test_a_name_is_a_label_of_one_line_and_no_path(given, label):
  assert _label(given) == label


@pytest.mark.parametrize(
  'name', ['../../evil.png', '%2Ftmp%2Fevil.png', '..', '.', 'lock', 'given']
)
def test_a_name_decides_nothing_about_where_a_file_lies(page, name):
  before = {path for path in page.folder.parent.rglob('*') if path.is_file()}
  own = page.upload(encoded(pixels()), name)
  page.anonymize(own)
  new = {path for path in page.folder.parent.rglob('*') if path.is_file()} - before
  assert sorted(path.name for path in new) == ['given', 'result.png']
  assert all(path.parent.parent == page.folder for path in new)
  page.ask('POST', '/forget', {'id': own})


@pytest.mark.parametrize(
  'path',
  [
    '/page.html', '/page/page.css', '/../app.py', '/..%2fapp.py', '/%2e%2e/%2e%2e/setup.cfg',
    '/etc/passwd', '//etc/passwd', '/./page.css/../app.py', '/page.css%00.py', '/page.css/',
    '/file=/etc/passwd', '/lock', '/result/..', '/static/page.css', '/favicon.ico',
  ],
)  # fmt: skip
def test_no_other_file_can_be_had(page, path):
  status, _, content = page.ask('GET', path)
  assert status == 404
  assert b'root:' not in content


@pytest.mark.parametrize(
  'own', ['..', '../lock', '/etc/passwd', '%2e%2e%2flock', 'given', '', 'a' * 500, '%00']
)
def test_an_id_that_was_not_given_out_names_nothing(page, own):
  for path in ('/state', '/before', '/after', '/result', '/manifest'):
    assert page.ask('GET', f'{path}?id={own}&path=/etc/passwd&file=lock')[0] == 404
  for path in ('/anonymize', '/forget'):
    assert page.ask('POST', path, {'id': own, 'path': '/etc/passwd', 'method': 'fill'})[0] == 404


@pytest.mark.parametrize('own', [None, 7, ['a'], {'a': 1}])
def test_an_id_of_another_kind_names_nothing(page, own):
  assert page.ask('POST', '/forget', {'id': own})[0] == 404


def test_an_address_with_another_machine_in_it_is_not_followed(page):
  connection = http.client.HTTPConnection('127.0.0.1', page.port, timeout=10)
  connection.putrequest('GET', 'http://evil.example/about', skip_host=True)
  connection.putheader('Host', page.host)
  connection.putheader('X-Anon-Jax-Token', page.drawn.token)
  connection.endheaders()
  assert connection.getresponse().status == 404
  connection.close()


def test_ids_cannot_be_guessed(page):
  owns = [page.upload(encoded(pixels())) for _ in range(3)]
  assert len(set(owns)) == 3
  assert all(len(own) >= 22 for own in owns)
  for own in owns:
    assert page.ask('POST', '/forget', {'id': own})[0] == 200
    assert page.ask('GET', f'/state?id={own}')[0] == 404


def test_the_private_folder_is_private(page):
  own = page.upload(encoded(pixels()))
  assert stat.S_IMODE(page.folder.stat().st_mode) == 0o700
  (given,) = held(page.folder)
  assert stat.S_IMODE(given.parent.stat().st_mode) == 0o700
  page.ask('POST', '/forget', {'id': own})
  assert not held(page.folder)


def test_what_nobody_asks_for_is_forgotten(tmp_path):
  with running(tmp_path, limits=Limits(keep_seconds=0.2)) as page:
    own = page.upload(encoded(pixels()))
    time.sleep(0.4)
    page.upload(encoded(pixels()))  # any new file is an occasion to tidy up
    assert page.ask('GET', f'/state?id={own}')[0] == 404
    assert len(held(page.folder)) == 1


def test_a_result_can_be_had_as_long_as_somebody_asks(tmp_path):
  with running(tmp_path, limits=Limits(keep_seconds=0.6)) as page:
    own = page.upload(encoded(pixels()))
    page.anonymize(own)
    for _ in range(4):
      time.sleep(0.25)
      assert page.ask('GET', f'/state?id={own}')[0] == 200
      page.ask('POST', '/forget', {'id': page.upload(b'x')})


def test_nothing_is_left_when_the_page_ends(tmp_path):
  with running(tmp_path) as page:
    page.anonymize(page.upload(encoded(pixels())))
    page.upload(b'not looked at')
    assert len(held(tmp_path)) == 3
  assert not list(tmp_path.iterdir())


def test_nothing_is_left_when_the_page_does_not_start(tmp_path):
  broken = engine()
  with (
    server.listening(0) as own,
    pytest.raises(ZeroDivisionError),
    server.served(own, broken, root=tmp_path),
  ):
    assert list(tmp_path.iterdir())
    raise ZeroDivisionError
  assert not list(tmp_path.iterdir())


def _abandoned(root, name='anon-jax-serve-old', lock=True):
  left = root / name
  (left / 'item').mkdir(parents=True)
  (left / 'item' / 'given').write_bytes(b'a photograph')
  if lock:
    (left / 'lock').touch()
  return left


def test_what_a_killed_page_left_is_wiped_by_the_next_one(tmp_path):
  left = _abandoned(tmp_path)
  with folder.private_folder(tmp_path) as own:
    assert not left.exists()
    assert own.exists()


def test_what_another_page_uses_or_others_made_is_left_alone(tmp_path):
  other = tmp_path / 'anon-jax-serve-link'
  aim = _abandoned(tmp_path, 'photographs')
  other.symlink_to(aim)
  with folder.private_folder(tmp_path) as first, folder.private_folder(tmp_path) as second:
    assert first.exists()
    assert second.exists()
    assert first != second
  assert (aim / 'item' / 'given').exists()


def test_a_folder_that_is_just_being_made_is_left_alone_for_a_minute(tmp_path):
  left = _abandoned(tmp_path, lock=False)
  folder.wipe_abandoned(tmp_path)
  assert left.exists()
  old = time.time() - 61
  os.utime(left, (old, old))
  folder.wipe_abandoned(tmp_path)
  assert not left.exists()


def test_a_port_of_another_program_is_named():
  with server.listening(0) as own:
    port = own.getsockname()[1]
    assert own.getsockname()[0] == '127.0.0.1'
    with pytest.raises(ValueError, match=rf'^port {port} of 127\.0\.0\.1 cannot be had \(Addr'):
      server.listening(port)


def test_the_files_of_the_page_are_in_the_package():
  text = (pathlib.Path(server.__file__).parents[2] / 'setup.cfg').read_text()
  assert 'serving/page/*' in text
