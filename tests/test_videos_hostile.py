"""Broken and hostile videos, from end to end: refused in one line, or finished with every frame."""

import contextlib
import pathlib
import types
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from anon_jax.inference import video_decoding, videos
from anon_jax.inference.anonymizer import Anonymizer
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.faces import Face
from anon_jax.inference.video_pixels import RefusedVideo
from anon_jax.inference.video_reading import VideoReader

NOISE = np.random.default_rng(0).integers(0, 256, (12, 48, 64, 3), np.uint8)
FACE = Face((8.0, 8.0, 40.0, 40.0), 0.9)


def _encode(path, times=range(12), codec='libx264', kind=None, sound=False):
  with av.open(path, 'w', format=kind) as output:
    base = Fraction(1, 25)
    if sound:
      audio = output.add_stream('aac', 48_000, layout='mono')
      tone = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), 'fltp', 'mono')
      tone.sample_rate, tone.pts = 48_000, 0
      output.mux([*audio.encode(tone), *audio.encode(None)])
      return path
    stream = output.add_stream(codec, 25, width=64, height=48, pix_fmt='yuv420p', time_base=base)
    stream.codec_context.max_b_frames = 0
    for number, (time, pixels) in enumerate(zip(times, NOISE, strict=False)):
      picture = av.VideoFrame.from_ndarray(pixels, 'rgb24')
      picture.pts, picture.time_base = number, base
      for packet in stream.encode(picture):
        packet.pts = packet.dts = time
        output.mux(packet)
    output.mux(stream.encode(None))
  return path


@pytest.fixture(scope='module')
def good(tmp_path_factory) -> pathlib.Path:
  """A sound video."""
  return _encode(tmp_path_factory.mktemp('good') / 'good.mp4')


def _anonymize(source, folder):
  target = folder / 'out.mp4'
  detector = Anonymizer(lambda picture: [FACE], method='fill')
  return videos.anonymize_video(source, target, detector), target


def _refused(source, folder) -> str:
  before = {path.name for path in folder.iterdir()}
  with pytest.raises(InferenceError) as caught:
    _anonymize(source, folder)
  assert {path.name for path in folder.iterdir()} == before
  assert '\n' not in str(caught.value)
  return str(caught.value)


def _times(path) -> list[Fraction]:
  with VideoReader(path, pixels=False) as reader:
    return [frame.time * reader.outline.time_base for frame in reader]


def _no_frame(path):
  with av.open(path, 'w') as output:
    output.add_stream('libx264', 25, width=64, height=48, pix_fmt='yuv420p')
    output.start_encoding()
  return path


def _picture(path):
  Image.fromarray(NOISE[0]).save(path, 'PNG')
  return path


@pytest.mark.parametrize(
  ('make', 'reason'),
  [
    (lambda path: _encode(path, sound=True), 'holds no video stream'),
    (_no_frame, 'holds no'),
    (_picture, 'cannot be read as a video'),
  ],
)
def test_what_has_no_frames_is_refused(tmp_path, make, reason):
  assert reason in _refused(make(tmp_path / 'a.mp4'), tmp_path)


@pytest.mark.parametrize(
  ('content', 'reason'),
  [
    (b'', 'is empty'),
    (b'#EXTM3U\n#EXTINF:9,\ngood.mp4\n#EXT-X-ENDLIST\n', 'cannot be read as a video'),
    (b'ffconcat version 1.0\nfile good.mp4\n', 'cannot be read as a video'),
  ],
)
def test_what_names_other_files_is_refused(tmp_path, good, content, reason):
  (tmp_path / 'good.mp4').write_bytes(good.read_bytes())
  (tmp_path / 'a.mp4').write_bytes(content)
  assert reason in _refused(tmp_path / 'a.mp4', tmp_path)


def test_a_size_in_the_header_that_no_frame_has_is_not_believed(tmp_path, good):
  content = bytearray(good.read_bytes())
  place = content.index(b'avc1', content.index(b'stsd')) + 28  # width and height
  assert content[place : place + 4] == bytes([0, 64, 0, 48])
  content[place : place + 4] = b'\xff\xff\xff\xff'
  (tmp_path / 'a.mp4').write_bytes(content)
  result, target = _anonymize(tmp_path / 'a.mp4', tmp_path)
  with VideoReader(target) as reader:
    assert (reader.outline.width, reader.outline.height) == (64, 48)
  assert result.frames == len(_times(target)) == 12


@pytest.mark.parametrize('name', ['a.avi', 'a.mkv', 'a.flv', 'a.jpg', 'a'])
def test_the_extension_of_a_video_does_not_matter(tmp_path, good, name):
  (tmp_path / name).write_bytes(good.read_bytes())
  result, target = _anonymize(tmp_path / name, tmp_path)
  assert result.frames == 12
  assert _times(target) == _times(good)


@pytest.mark.parametrize('share', [0.1, 0.4, 0.7, 0.99])
def test_a_video_that_was_cut_anywhere_leaves_nothing(tmp_path, good, share):
  content = good.read_bytes()
  (tmp_path / 'a.mp4').write_bytes(content[: int(share * len(content))])
  _refused(tmp_path / 'a.mp4', tmp_path)


def test_times_below_zero_begin_at_zero_or_are_kept_apart(tmp_path):
  path = _encode(tmp_path / 'a.mkv', times=range(-3, 9))
  result, target = _anonymize(path, tmp_path)
  assert result.frames == 12
  assert np.diff(_times(target)).tolist() == np.diff(_times(path)).tolist()


def test_frames_at_the_same_time_all_come_out_each_at_its_own(tmp_path):
  path = _encode(tmp_path / 'a.mkv', times=[0, 1, 2, 2, 3, 4, 5, 6, 6, 7, 8, 9])
  result, target = _anonymize(path, tmp_path)
  times = _times(target)
  assert result.frames == len(set(times)) == 12
  assert times == sorted(times) == _times(path)


@pytest.mark.parametrize('seed', range(12))
def test_flipped_bytes_are_refused_or_every_frame_that_decodes_is_written(tmp_path, good, seed):
  rng = np.random.default_rng(seed)
  content = np.frombuffer(good.read_bytes(), np.uint8).copy()
  content[rng.integers(len(content), size=1 + seed // 3)] ^= 1 << (seed % 8)
  (tmp_path / 'a.mp4').write_bytes(content.tobytes())
  try:
    result, target = _anonymize(tmp_path / 'a.mp4', tmp_path)
  except InferenceError as error:
    assert '\n' not in str(error)
    assert not (tmp_path / 'out.mp4').exists()
  else:
    assert result.frames == len(_times(target)) == len(_times(tmp_path / 'a.mp4'))


def _in_two_parts(path) -> bytes:
  """A video with 6 frames before a piece of sound and 6 after it: in two chunks of the file."""
  with av.open(path, 'w') as output:
    stream = output.add_stream('libx264', 25, width=64, height=48, pix_fmt='yuv420p')
    stream.codec_context.max_b_frames = 0
    audio = output.add_stream('aac', 48_000, layout='mono')
    tone = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), 'fltp', 'mono')
    tone.sample_rate, tone.pts, tone.time_base = 48_000, 12_000, Fraction(1, 48_000)
    for pixels in NOISE:
      output.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, 'rgb24')))
    output.mux([*stream.encode(None), *audio.encode(tone), *audio.encode(None)])
  return path.read_bytes()


def test_a_list_that_leads_past_the_end_of_the_file_is_refused(tmp_path):
  path = tmp_path / 'parts.mp4'
  content = bytearray(_in_two_parts(path))
  assert _anonymize(path, tmp_path)[0].frames == 12
  (tmp_path / 'out.mp4').unlink()
  # the chunk offsets: size, name, version, count, and one number of four bytes each
  start = content.index(b'stco') + 8
  count = int.from_bytes(content[start : start + 4])
  assert count > 1
  content[start + 8 : start + 8 + 4 * (count - 1)] = b'\x7f\xff\xff\xff' * (count - 1)
  path.write_bytes(content)
  assert 'is damaged: of its 12 frames there are ' in _refused(path, tmp_path)


@pytest.mark.parametrize(
  ('listed', 'seconds', 'refused'),
  [
    (12, 0.48, True),  # half of the frames are missing
    (12, 0.26, False),  # a cut by a list of edits: what it leaves out is not shown
    (6, 0.48, False),  # sound that lasts longer
    (0, 0.48, False),  # a file without a list
  ],
)
def test_a_list_of_frames_counts_where_the_file_lasts_longer_than_they_do(listed, seconds, refused):
  stream = types.SimpleNamespace(
    frames=listed,
    time_base=Fraction(1, 25),
    container=types.SimpleNamespace(duration=round(seconds * av.time_base)),
  )
  expected = pytest.raises(RefusedVideo, match='of its 12 frames there are 6')
  with expected if refused else contextlib.nullcontext():
    video_decoding._require_whole(stream, 6, shown=6)
