"""How much the page takes: bytes, pixels, parts, frames, files, jobs, connections and time."""

import contextlib
import socket
import struct
import threading
import time
import zlib

import pytest
from running_page import Engine, detect, encoded, engine, held, pixels, running
from test_anonymizer import Fake

from anon_jax.serving.limits import Limits

OCTETS = {'content-type': 'application/octet-stream', 'x-anon-jax-name': 'a.png'}
TIGHT = Limits(
  file_bytes=200_000, all_bytes=300_000, json_bytes=2_000, files=3, idle_seconds=0.3,
  head_seconds=0.5,
)  # fmt: skip


@pytest.fixture(scope='module')
def page(tmp_path_factory):
  with running(tmp_path_factory.mktemp('limits'), limits=TIGHT) as client:
    yield client


@pytest.fixture(autouse=True)
def _nothing_is_left(request):
  yield
  if 'page' in request.fixturenames:
    assert not held(request.getfixturevalue('page').folder)


def _raw(page, head, body=b'', wait=5.0):
  """Says exactly these bytes, and returns the answer; b'' where the page hung up without one."""
  with contextlib.closing(socket.create_connection(('127.0.0.1', page.port), 10)) as connection:
    connection.settimeout(wait)
    connection.sendall(head + body)
    answer = b''
    with contextlib.suppress(ConnectionResetError):
      while part := connection.recv(65536):
        answer += part
  return answer


def _head(page, path='/upload', **headers):
  said = {
    'Host': page.host,
    'Origin': f'http://{page.host}',
    'X-Anon-Jax-Token': page.drawn.token,
    'Content-Type': 'application/octet-stream',
  }
  said |= {name.replace('_', '-'): value for name, value in headers.items()}
  lines = [f'{name}: {value}' for name, value in said.items()]
  return '\r\n'.join([f'POST {path} HTTP/1.1', *lines, '', '']).encode()


def _png(width, height):
  """A PNG that says that it is so large; its few bytes hold the first rows of zeros."""

  def chunk(kind, data):
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))

  packer = zlib.compressobj(9)
  rows = b''.join(packer.compress(bytes(1 + width * 3)) for _ in range(99)) + packer.flush()
  head = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
  return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', head) + chunk(b'IDAT', rows) + chunk(b'IEND', b'')


def test_a_file_that_says_it_is_too_long_is_refused_before_any_of_it_is_read(page):
  answer = _raw(page, _head(page, Content_Length=200_001))
  assert b' 413 ' in answer.split(b'\r\n')[0]
  assert b'The file has more than 0 MiB' in answer


def test_a_file_without_a_length_is_refused(page):
  head = _head(page, Transfer_Encoding='chunked')
  assert b' 411 ' in _raw(page, head, b'5\r\nhello\r\n0\r\n\r\n').split(b'\r\n')[0]


@pytest.mark.parametrize('length', ['-5', '0x10', '1_0', '9' * 30, '+5'])
def test_a_length_that_is_none_is_refused(page, length):
  answer = _raw(page, _head(page, Content_Length=length), b'hello')
  assert answer.split(b'\r\n')[0].split()[1] in (b'400', b'411', b'413')


def test_an_empty_file_is_refused(page):
  assert page.told('POST', '/upload', b'', **OCTETS) == (400, {'error': 'The file is empty.'})


def test_an_upload_that_is_broken_off_leaves_nothing(page):
  with contextlib.closing(socket.create_connection(('127.0.0.1', page.port))) as connection:
    connection.sendall(_head(page, Content_Length=1000) + b'x' * 500)
    time.sleep(0.1)
  time.sleep(0.3)


def test_an_upload_that_stands_still_is_broken_off(page):
  began = time.monotonic()
  answer = _raw(page, _head(page, Content_Length=1000), b'x' * 500)
  assert b' 408 ' in answer.split(b'\r\n')[0]
  assert b'stands still' in answer
  assert time.monotonic() - began < 5


def test_an_upload_that_takes_too_long_altogether_is_broken_off(tmp_path):
  limits = Limits(upload_seconds=0.5, idle_seconds=5)
  with running(tmp_path, limits=limits) as page:
    connection = socket.create_connection(('127.0.0.1', page.port))
    connection.settimeout(5)
    connection.sendall(_head(page, Content_Length=1000))
    answer = b''
    for _ in range(40):  # a byte now and then, so that it never stands still
      with contextlib.suppress(OSError):
        connection.sendall(b'x')
      time.sleep(0.05)
    with contextlib.suppress(OSError):
      answer = connection.recv(65536)
    connection.close()
    assert b' 408 ' in answer.split(b'\r\n')[0]
    assert not held(page.folder)


def test_a_connection_on_which_no_request_begins_is_closed(page):
  began = time.monotonic()
  assert _raw(page, b'') == b''
  assert _raw(page, f'GET / HTTP/1.1\r\nHost: {page.host}\r\nX-Slow: '.encode()) == b''
  assert 0.9 < time.monotonic() - began < 8


def test_endless_lines_before_the_body_are_refused(page):
  head = _head(page, X_Long='x' * 40_000, Content_Length=1)
  answer = _raw(page, head.removesuffix(b'\r\n\r\n'))
  assert b' 400 ' in answer.split(b'\r\n')[0]


@pytest.mark.parametrize('path', ['/upload', '/anonymize', '/forget'])
def test_a_form_of_many_parts_is_refused_unread(page, path):
  part = b'--x\r\nContent-Disposition: form-data; name="f"; filename="../a.png"\r\n\r\nx\r\n'
  kind = 'multipart/form-data; boundary=x'
  status, told = page.told('POST', path, part * 2_000 + b'--x--\r\n', content_type=kind)
  assert status == 415
  assert 'reload the page' in told['error']


@pytest.mark.parametrize(
  'kind',
  [None, 'text/plain', 'application/x-www-form-urlencoded', 'application/json; charset=utf-8'],
)
def test_a_kind_that_another_site_could_send_is_refused(page, kind):
  assert page.ask('POST', '/anonymize', b'{}', content_type=kind)[0] == 415
  assert page.ask('POST', '/upload', b'{}', content_type=kind)[0] == 415


@pytest.mark.parametrize('body', [b'', b'[', b'[]', b'7', b'[' * 1500, b'\xff', b'{"id": NaN}'])
def test_what_is_no_object_is_refused(page, body):
  assert page.ask('POST', '/forget', body)[0] in (400, 404)


def test_json_without_end_is_refused(page):
  assert page.ask('POST', '/forget', b' ' * 2_001)[0] == 413
  head = _head(page, '/forget', Content_Type='application/json', Transfer_Encoding='chunked')
  body = b'3e8\r\n' + b' ' * 1000 + b'\r\n'
  assert b' 413 ' in _raw(page, head, body * 5 + b'0\r\n\r\n').split(b'\r\n')[0]


def test_files_are_held_up_to_a_number_and_a_sum(page):
  owns = [page.upload(b'x' * 90_000) for _ in range(3)]
  status, told = page.told('POST', '/upload', b'x', **OCTETS)
  assert (status, '3 files are held already' in told['error']) == (429, True)
  page.ask('POST', '/forget', {'id': owns.pop()})
  status, told = page.told('POST', '/upload', b'x' * 150_000, **OCTETS)
  assert (status, 'together would exceed' in told['error']) == (429, True)
  owns.append(page.upload(b'x' * 90_000))  # what was forgotten has made room
  for own in owns:
    page.ask('POST', '/forget', {'id': own})


@pytest.mark.parametrize(
  ('size', 'match'), [((13_000, 13_000), '13000 x 13000'), ((7_100, 7_100), '7100 x 7100')]
)
def test_a_bomb_of_pixels_is_refused_by_its_size(tmp_path, size, match):
  with running(tmp_path) as page:
    content = _png(*size)
    assert len(content) < 20_000
    own = page.upload(content, 'bomb.png')
    told = page.anonymize(own)
    assert told['state'] == 'failed'
    assert f'bomb.png has {match} pixels; at most 50 megapixels are taken' in told['message']


def test_a_bomb_of_frames_is_refused(tmp_path):
  head = b'GIF89a' + struct.pack('<HH', 2000, 2000) + b'\x80\0\0' + bytes(6)
  frame = b',' + struct.pack('<HHHH', 0, 0, 1, 1) + b'\0\x02\x02\x44\x01\0'
  content = head + 500 * frame + b';'
  with running(tmp_path) as page:
    told = page.anonymize(page.upload(content, 'bomb.gif'))
    assert told['state'] == 'failed'
    assert 'megapixels together' in told['message']


class Gate:
  """A detector that waits until it is let go, and counts how many are in it."""

  def __init__(self):
    self.open, self.inside, self.most = threading.Event(), 0, 0

  def __call__(self, picture):
    self.inside += 1
    self.most = max(self.most, self.inside)
    assert self.open.wait(30)
    self.inside -= 1
    return detect(picture)


def test_jobs_are_done_one_at_a_time_and_few_may_wait(tmp_path):
  gate = Gate()
  with running(tmp_path, Engine(gate, Fake([0.0] * 9)), Limits(waiting=2)) as page:
    owns = [page.upload(encoded(pixels()), f'{n}.png') for n in range(4)]
    for own in owns[:3]:
      assert page.ask('POST', '/anonymize', {'id': own, 'method': 'fill'})[0] == 202
      page.wait(owns[0], lambda told: told['state'] == 'working')
    status, told = page.told('POST', '/anonymize', {'id': owns[3], 'method': 'fill'})
    assert (status, '2 jobs are waiting already' in told['error']) == (429, True)
    status, told = page.told('POST', '/anonymize', {'id': owns[0], 'method': 'fill'})
    assert status == 429
    states = [page.told('GET', f'/state?id={own}')[1]['state'] for own in owns]
    assert states == ['working', 'waiting', 'waiting', 'held']
    page.ask('POST', '/forget', {'id': owns[1]})  # one that waits is not done at all
    gate.open.set()
    assert page.wait(owns[2])['state'] == 'done'
    assert page.anonymize(owns[3])['state'] == 'done'
    assert gate.most == 1


def test_one_file_is_not_worked_on_twice_at_a_time(tmp_path):
  gate = Gate()
  with running(tmp_path, Engine(gate)) as page:
    own = page.upload(encoded(pixels()))
    page.ask('POST', '/anonymize', {'id': own, 'method': 'fill'})
    status, told = page.told('POST', '/anonymize', {'id': own, 'method': 'fill'})
    assert (status, 'is being worked on' in told['error']) == (429, True)
    gate.open.set()
    assert page.wait(own)['state'] == 'done'


def test_connections_beyond_a_number_are_turned_away(tmp_path):
  with running(tmp_path, engine(), Limits(connections=4, head_seconds=5)) as page:
    idle = [socket.create_connection(('127.0.0.1', page.port)) for _ in range(6)]
    time.sleep(0.2)
    assert page.ask('GET', '/about')[0] == 503
    for connection in idle:
      connection.close()
    time.sleep(0.2)
    assert page.ask('GET', '/about')[0] == 200
