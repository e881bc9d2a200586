"""A camera on the network, played by a small RTSP server: over one TCP connection and no other."""

import base64
import itertools
import socket
import struct
import threading
import time

import av
import numpy as np
import pytest

from anon_jax.inference.camera import Camera, CameraError
from anon_jax.inference.sources import parse

WIDTH, HEIGHT, FRAMES = 64, 48, 60


def _units():
  """Encodes frames that grow brighter; returns the NAL units of H.264, a list for each frame."""
  encoder = av.CodecContext.create('libx264', 'w')
  encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, 'yuv420p'
  encoder.framerate, encoder.options = 25, {'tune': 'zerolatency', 'crf': '10'}
  packets = []
  for number in range(FRAMES):
    pixels = np.full((HEIGHT, WIDTH, 3), 20 + 3 * number, np.uint8)
    packets += encoder.encode(av.VideoFrame.from_ndarray(pixels, 'rgb24'))
  packets += encoder.encode(None)
  return [
    [unit for unit in bytes(packet).replace(b'\0\0\0\1', b'\0\0\1').split(b'\0\0\1') if unit]
    for packet in packets
  ]


class Server(threading.Thread):
  """Answers one client after another.

  Args:
    answer: to DESCRIBE, instead of a description.
    silent: seconds for which it sends nothing after its frames.
  """

  def __init__(self, answer='', silent=0.0):
    super().__init__(daemon=True)
    self._answer, self._silent = answer, silent
    self._socket = socket.create_server(('127.0.0.1', 0))
    self.port = self._socket.getsockname()[1]
    self.asked = []
    self.start()

  def close(self):
    self._socket.close()

  def run(self):
    while True:
      try:
        client, _ = self._socket.accept()
      except OSError:
        return
      with client:
        self._serve(client)

  def _serve(self, client):
    frames, left = _units(), b''
    while True:
      while b'\r\n\r\n' not in left:
        if not (more := client.recv(4096)):
          return
        left += more
      head, _, left = left.partition(b'\r\n\r\n')
      lines = head.decode().split('\r\n')
      method, number = lines[0].split()[0], next(n for n in lines if n.lower().startswith('cseq'))
      self.asked.append(method)
      body, extra = '', ''
      if method == 'DESCRIBE' and self._answer:
        client.sendall(f'RTSP/1.0 {self._answer}\r\n{number}\r\n\r\n'.encode())
        continue
      if method == 'DESCRIBE':
        sets = ','.join(base64.b64encode(unit).decode() for unit in frames[0][:2])
        body = (
          'v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n'
          'm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n'
          f'a=fmtp:96 packetization-mode=1;sprop-parameter-sets={sets}\r\na=control:track0\r\n'
        )
        extra = f'Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n'
      elif method == 'SETUP':
        extra = 'Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n'
      session = 'Session: 1\r\n' if method in ('SETUP', 'PLAY') else ''
      client.sendall(f'RTSP/1.0 200 OK\r\n{number}\r\n{session}{extra}\r\n{body}'.encode())
      if method == 'PLAY':
        self._play(client, frames)
        return

  def _play(self, client, frames):
    numbers = itertools.count()
    try:
      for frame, units in enumerate(frames):
        for place, unit in enumerate(units):
          kind = 96 | (128 if place == len(units) - 1 else 0)
          packet = struct.pack('>BBHII', 128, kind, next(numbers), 3600 * frame, 7) + unit
          client.sendall(struct.pack('>BBH', 36, 0, len(packet)) + packet)
        time.sleep(0.02)
      time.sleep(self._silent)
    except OSError:  # the client has gone
      pass


@pytest.fixture
def serve():
  """Starts servers, and ends them after the test."""
  servers = []

  def start(**more):
    servers.append(Server(**more))
    return servers[-1], parse(f'rtsp://u:secret@127.0.0.1:{servers[-1].port}/x', True)

  yield start
  for server in servers:
    server.close()


def test_a_network_camera_gives_its_frames_until_it_goes(serve):
  server, source = serve()
  shots = []
  with Camera(source) as camera:
    assert camera.size == (WIDTH, HEIGHT)
    try:
      while not camera.ended:
        if shot := camera.next(0.1):
          shots.append(shot)
    except CameraError as error:
      assert 'secret' not in str(error)
  assert len(shots) >= 3
  levels = [float(shot.pixels.mean()) for shot in shots]
  assert levels == sorted(levels)
  assert server.asked[-1] in ('PLAY', 'TEARDOWN')


def test_a_network_camera_that_says_nothing_more_has_gone(serve):
  _, source = serve(silent=20.0)
  with (
    Camera(source, seconds=0.7) as camera,
    pytest.raises(CameraError, match=r'rtsp://127\.0\.0\.1:\d+/x gave no frame for 0\.7 s'),
  ):
    for _ in range(300):
      camera.next(0.1)


@pytest.mark.parametrize('answer', ['404 Not Found', '401 Unauthorized', '200 OK'])
def test_an_address_without_a_picture_is_refused_in_one_line(serve, answer):
  _, source = serve(answer=answer)
  with pytest.raises(CameraError, match=r'rtsp://127\.0\.0\.1:\d+/x cannot be opened') as caught:
    Camera(source)
  assert '\n' not in str(caught.value)
  assert 'secret' not in str(caught.value)


@pytest.mark.parametrize('where', ['http', 'tcp', 'file', 'udp'])
def test_a_camera_cannot_send_anybody_elsewhere_than_to_another_camera(serve, tmp_path, where):
  with socket.create_server(('127.0.0.1', 0)) as other:
    other.settimeout(0.3)
    place = f'{where}://127.0.0.1:{other.getsockname()[1]}/x'
    _, source = serve(answer=f'302 Found\r\nLocation: {place}')
    with pytest.raises(CameraError, match='cannot be opened'):
      Camera(source)
    with pytest.raises(TimeoutError):
      other.accept()
