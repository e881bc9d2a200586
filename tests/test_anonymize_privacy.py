"""What outputs and manifests of `anon-jax anonymize` give away: no metadata, and no key."""

import datetime
import io
import json
import struct

import numpy as np
import pytest
import test_anonymize_command
from PIL import ExifTags, Image
from test_anonymize_command import run
from test_files import detect, picture

from anon_jax.inference import capture, controls, detection, weights
from anon_jax.inference.anonymizer import Anonymizer
from anon_jax.inference.decisions import Anonymized, Decision

# the fixtures of that file
detector, photos = test_anonymize_command.detector, test_anonymize_command.photos


def _photograph(path):
  """Writes a photograph with time, place, names, a comment and a thumbnail; returns the last."""
  exif = Image.Exif()
  position = capture.Position(48.2, 16.4, 170.0)
  exif.load(capture.write_exif(datetime.datetime(2020, 2, 3, 4, 5, 6), position))
  exif[0x010E], exif[0x013B] = 'Jane Doe at home', 'Jane Doe'
  small = io.BytesIO()
  Image.fromarray(picture()).resize((32, 24)).save(small, 'JPEG')
  thumbnail = small.getvalue()
  block = bytearray(exif.tobytes())[6:]  # without Exif\0\0
  order = {b'II': '<', b'MM': '>'}[bytes(block[:2])]
  # a second directory with place and length of the thumbnail, which lies behind it
  struct.pack_into(order + 'I', block, 10 + 12 * len(exif), len(block))
  tags = ((0x0201, 4, 1, len(block) + 30), (0x0202, 4, 1, len(thumbnail)))
  block += struct.pack(order + 'H', 2) + b''.join(struct.pack(order + 'HHII', *t) for t in tags)
  block += bytes(4) + thumbnail
  Image.fromarray(picture()).save(path, exif=b'Exif\0\0' + block, comment=b'Jane Doe', quality=95)
  with Image.open(path) as image:
    assert image.getexif().get_ifd(ExifTags.IFD.IFD1)[0x0202] == len(thumbnail)
  return thumbnail


@pytest.mark.parametrize('flags', [(), ('--keep-metadata',), ('--keep-position',)])
def test_of_metadata_only_what_is_asked_for_is_kept(photos, flags):
  thumbnail = _photograph(photos / 'x.jpg')
  before = (photos / 'x.jpg').read_bytes()
  assert b'Jane Doe' in before and thumbnail in before
  assert run('x.jpg', '-o', 'y.jpg', *flags) == 0
  content = (photos / 'y.jpg').read_bytes()
  assert b'Jane Doe' not in content and thumbnail[-100:] not in content
  assert content.count(b'\xff\xd8\xff') == 1
  assert (b'2020:02:03 04:05:06' in content) == ('--keep-metadata' in flags)
  assert (b'Exif' in content) == bool(flags)
  with Image.open(photos / 'y.jpg') as image:
    _, found = capture.read_exif(image)
  assert (found.time is not None) == ('--keep-metadata' in flags)
  assert (found.position is not None) == ('--keep-position' in flags)


class _Painter:
  """Paints a picture in a colour that its faces' control identities decide, as draws go."""

  def __init__(self, key):
    self._key = key
    self.detect = detect

  def anonymize_many(self, requests):
    results = []
    for request in requests:
      share = controls.draw(3, self._key, f'{request.name} 0')
      image = np.full_like(request.image, np.round(share * 255).astype(np.uint8))
      results.append(Anonymized(image, tuple(Decision(f, 'synthesized') for f in request.faces)))
    return results


@pytest.fixture
def painter(monkeypatch):
  """Stands in for the networks; notes what the command asks for."""
  asked = []

  def from_pretrained(folder, **more):
    asked.append(more)
    return _Painter(more['key'])

  monkeypatch.setattr(weights, 'read_description', lambda folder: {})
  monkeypatch.setattr(Anonymizer, 'from_pretrained', from_pretrained)
  return asked


def test_who_has_the_key_gets_the_same_faces_and_nobody_reads_the_key(photos, painter, capfd):
  keys = {'one': 'hunter2-ü', 'two': 'hunter2-ü', 'other': 'hunter3', 'free': '', 'again': ''}
  made = {}
  for out, key in keys.items():
    flags = ['--key', key] if key else []
    assert run('a.png', 'b.png', '-o', out, '--weights', 'w', *flags, method='synthesize') == 0
    made[out] = tuple((photos / out / name).read_bytes() for name in ('a.png', 'b.png'))
  assert made['one'] == made['two']
  assert len(set(made.values())) == 4
  assert made['one'][0] != made['one'][1]  # another file, another face
  told = capfd.readouterr()
  texts = [path.read_bytes() for path in photos.rglob('*') if path.is_file()]
  texts += [told.out.encode(), told.err.encode()]
  assert not any(b'hunter' in text for text in texts)
  keyed, free = (json.loads((photos / o / 'manifest.json').read_text()) for o in ('one', 'free'))
  assert keyed['key_check']
  assert not free['key_check']


@pytest.mark.parametrize('end', ['', '\n', '\r\n'])
def test_a_key_in_a_file_is_the_same_key(photos, painter, end):
  (photos / 'key').write_bytes('hunter2-ü'.encode() + end.encode())
  for out, flags in {'one': ['--key', 'hunter2-ü'], 'two': ['--key-file', 'key']}.items():
    assert run('a.png', '-o', f'{out}.png', '--weights', 'w', *flags, method='synthesize') == 0
  assert painter[0]['key'] == painter[1]['key'] == 'hunter2-ü'.encode()
  assert (photos / 'one.png').read_bytes() == (photos / 'two.png').read_bytes()


def test_a_key_file_that_cannot_be_used_is_refused_in_one_line(photos, painter, capsys):
  (photos / 'empty').write_bytes(b'\n')
  (photos / 'large').write_bytes(bytes(4097))
  for name, phrase in {
    'missing': 'cannot be read: No such file',
    'empty': 'should hold 1 to 4096 bytes',
    'large': 'should hold 1 to 4096 bytes',
  }.items():
    flags = ('--weights', 'w', '--key-file', name)
    assert run('a.png', '-o', 'x.png', *flags, method='synthesize') == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert phrase in line
  assert not (photos / 'x.png').exists()


def test_flags_reach_the_anonymizer(photos, painter):
  flags = ('--identity', '7:0.5,1', '--trust', '0.6', '--detector-threshold', '0.3')
  assert run('a.png', '-o', 'x.png', '--weights', 'w', *flags, method='synthesize') == 0
  (asked,) = painter
  assert (asked['identity'], asked['trust'].score, asked['key']) == ('7:0.5,1', 0.6, None)
  assert asked['detector'].threshold == 0.3
  assert run('a.png', '-o', 'y.png', '--block', '8', method='pixelate') == 0
  assert (painter[1]['method'], painter[1]['block'], painter[1]['kernel']) == ('pixelate', 8, 17)
  assert run('a.png', '-o', 'z.png', '--kernel', '9', method='blur') == 0
  assert (painter[2]['method'], painter[2]['block'], painter[2]['kernel']) == ('blur', 16, 9)
  assert painter[2]['detector'].threshold == detection.THRESHOLD
