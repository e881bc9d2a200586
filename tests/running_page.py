"""The page, run on a thread, and a client that says to it exactly what it is told to say."""

import contextlib
import http.client
import io
import json
import threading
import time

import numpy as np
from PIL import Image
from test_anonymizer import Fake

from anon_jax.inference.faces import Face
from anon_jax.serving import server
from anon_jax.serving.engine import Engine

RED = (230, 20, 30)
BUSY = ('arriving', 'waiting', 'working')


def detect(picture):
  """Finds one face: where the picture is red."""
  rows, columns = np.nonzero((picture[..., 0] > 160) & (picture[..., 1] < 90))
  if len(rows) < 50:
    return []
  box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
  return [Face(tuple(float(value) for value in box), 0.87)]


def engine(similarities=None):
  """An engine whose networks paint (1, 200, 2); each draw is as much alike as it is said."""
  fake = Fake([0.0] * 1000 if similarities is None else similarities)
  return Engine(detect, fake, {'detector': 'red squares'})


def pixels(face=True, width=120, height=90):
  """A picture whose face is a red square from (40, 30) to (80, 70)."""
  y, x = np.mgrid[:height, :width]
  picture = np.stack([60 + x // 3, 90 + y, 120 + 0 * x], -1).astype(np.uint8)
  if face:
    picture[30:70, 40:80] = RED
  return picture


def encoded(picture, kind='PNG', **more):
  """The bytes of a picture file."""
  out = io.BytesIO()
  Image.fromarray(picture).save(out, kind, **more)
  return out.getvalue()


class Client:
  """Talks to a page as its own page does, unless it is told otherwise.

  A header given as None is left out.
  """

  def __init__(self, port, drawn, folder):
    self.port, self.drawn, self.folder = port, drawn, folder
    self.host = f'127.0.0.1:{port}'

  def ask(self, method, path, body=None, **headers):
    """Returns status, headers and body of the answer; `_` in a header's name stands for `-`."""
    said = {'host': self.host, 'x-anon-jax-token': self.drawn.token}
    if method == 'POST':
      said |= {'origin': f'http://{self.host}', 'content-type': 'application/json'}
    if isinstance(body, dict):
      body = json.dumps(body).encode()
    said |= {name.replace('_', '-'): value for name, value in headers.items()}
    connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=30)
    with contextlib.closing(connection):
      connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
      if body is not None and 'content-length' not in said:
        said['content-length'] = str(len(body))
      for name, value in said.items():
        if value is not None:
          for each in value if isinstance(value, list) else [value]:
            connection.putheader(name, each)
      connection.endheaders()
      with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        if body:
          connection.send(body)
      answer = connection.getresponse()
      return answer.status, dict(answer.getheaders()), answer.read()

  def told(self, method, path, body=None, **headers):
    """Returns status and JSON of the answer."""
    status, _, content = self.ask(method, path, body, **headers)
    return status, json.loads(content)

  def upload(self, content, name='photo.png', **headers):
    """Uploads a file; returns its id."""
    kind = {'content-type': 'application/octet-stream', 'x-anon-jax-name': name}
    status, told = self.told('POST', '/upload', content, **(kind | headers))
    assert status == 201, told
    return told['id']

  def anonymize(self, own, method='fill', **more):
    """Asks for a result and waits for it; returns the state in which that ends."""
    status, told = self.told('POST', '/anonymize', {'id': own, 'method': method, **more})
    assert status == 202, told
    return self.wait(own)

  def wait(self, own, until=lambda told: told['state'] not in BUSY):
    """Waits until the state of an item is as wanted."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
      status, told = self.told('GET', f'/state?id={own}')
      assert status == 200, told
      if until(told):
        return told
      time.sleep(0.02)
    raise AssertionError(f'still {told}')

  def result(self, own):
    """The pixels of a result."""
    status, _, content = self.ask('GET', f'/result?id={own}')
    assert status == 200, content
    return np.asarray(Image.open(io.BytesIO(content)))

  def manifest(self, own):
    """The record of the only input in a manifest."""
    _, told = self.told('GET', f'/manifest?id={own}')
    (record,) = told['inputs']
    return record


@contextlib.contextmanager
def running(root, engine=None, limits=None):
  """Runs a page whose private folder is below `root`; yields its client."""
  with (
    server.listening(0) as own,
    server.served(own, engine or globals()['engine'](), limits, root) as (page, _, drawn),
  ):
    thread = threading.Thread(target=page.run, kwargs={'sockets': [own]})
    thread.start()
    while not page.started:
      time.sleep(0.01)
    (folder,) = root.iterdir()
    try:
      yield Client(own.getsockname()[1], drawn, folder)
    finally:
      page.should_exit = True
      thread.join()


def held(folder):
  """All files below a private folder but its lock."""
  return [path for path in folder.rglob('*') if path.is_file() and path.name != 'lock']
