"""Videos come out of the child process frame by frame, as they are meant to be seen."""

import pathlib
import subprocess
import sys
import types
from fractions import Fraction

import av
import numpy as np
import pytest

from anon_jax.inference import video_clock
from anon_jax.inference.colour import Colour
from anon_jax.inference.video_reading import VideoError, VideoReader

ROOT = pathlib.Path(__file__).resolve().parents[1]
RANDOM = np.random.default_rng(0).integers(0, 256, (6, 24, 32, 3), np.uint8)
UNEVEN = [0, 40, 50, 51, 500, 1000]


def _write(path, frames, codec='png', times=None, time_base=Fraction(1, 1000), more=None, **tags):
  """Writes frames, given as arrays or as PyAV's own."""
  with av.open(path, 'w') as output:
    first = frames[0]
    if isinstance(first, av.VideoFrame):
      pixel_format, width, height = first.format.name, first.width, first.height
    else:
      pixel_format, (height, width) = 'bgr0', first.shape[:2]
    stream = output.add_stream(codec, 25, width=width, height=height, time_base=time_base)
    stream.pix_fmt = {'png': 'rgb24', 'ffv1': pixel_format}.get(codec, 'yuv420p')
    for name, value in tags.items():
      setattr(stream.codec_context, name, value)
    if more:
      more(output, stream)
    for number, frame in enumerate(frames):
      if not isinstance(frame, av.VideoFrame):
        frame = av.VideoFrame.from_ndarray(frame, 'rgb24')
      frame.pts = times[number] if times else number * 40
      frame.time_base = time_base
      output.mux(stream.encode(frame))
    output.mux(stream.encode(None))
  return path


def _read(path, **options):
  with VideoReader(path, **options) as reader:
    return reader.outline, list(reader)


def test_every_frame_is_read_exactly_at_its_own_time(tmp_path):
  path = _write(tmp_path / 'a.mov', RANDOM, times=UNEVEN)
  outline, frames = _read(path)
  assert (outline.width, outline.height, outline.aspect) == (32, 24, 1)
  assert outline.left_out == ()
  np.testing.assert_array_equal([f.pixels for f in frames], RANDOM)
  assert [f.time * outline.time_base * 1000 for f in frames] == UNEVEN
  assert [f.duration * outline.time_base * 1000 for f in frames[:-1]] == [40, 10, 1, 449, 500]


@pytest.mark.parametrize('name', ['a.mp4', 'a.mkv', 'a.ts'])
def test_frames_come_as_they_are_shown_and_not_as_they_are_stored(tmp_path, name):
  greys = [np.full((24, 32, 3), 20 * n, np.uint8) for n in range(12)]
  outline, frames = _read(_write(tmp_path / name, greys, 'libx264'))
  levels = [int(f.pixels.mean()) for f in frames]
  np.testing.assert_allclose(levels, np.arange(12) * 20, atol=6)
  times = [(f.time - frames[0].time) * outline.time_base for f in frames]
  assert times == [Fraction(n, 25) for n in range(12)]


def test_times_alone_can_be_asked_for(tmp_path):
  _, frames = _read(_write(tmp_path / 'a.mov', RANDOM, times=UNEVEN), pixels=False)
  assert len(frames) == 6
  assert {f.pixels.shape for f in frames} == {(0, 0, 3)}


def test_frames_without_times_get_some(tmp_path):
  path = _write(
    tmp_path / 'a.avi',
    list(RANDOM) * 3,
    'libx264',
    time_base=Fraction(1, 25),
    times=list(range(18)),
  )
  outline, frames = _read(path)
  times = [f.time * outline.time_base for f in frames]
  assert np.diff([float(t) for t in times]) == pytest.approx(0.04)
  assert len(frames) == 18


def _times(*given):
  """Returns what becomes of times in milliseconds at 25 frames a second."""
  stream = types.SimpleNamespace(time_base=Fraction(1, 1000), average_rate=Fraction(25))
  clock = video_clock.Clock(stream)
  frames = [types.SimpleNamespace(pts=time, duration=0) for time in given]
  return [clock.time(frame, number)[0] for number, frame in enumerate(frames)]


def test_times_that_are_missing_or_a_little_late_are_set_right():
  assert _times(None, None, 80, None) == [0, 40, 80, 120]
  assert _times(-40, 0, 0, 10, 200) == [-40, 0, 40, 80, 200]


def test_a_clock_that_jumps_back_is_refused():
  with pytest.raises(ValueError, match=r'has a clock that jumps back by 5 s at frame 3; cut it'):
    _times(4960, 5000, 0)


@pytest.mark.parametrize(
  ('matrix', 'expected'),
  [  # x' = a x + c y, y' = b x + d y, of (a, b, c, d), worked by hand
    ((1, 0, 0, 1), lambda p: p),
    ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
    ((1, 0, 0, -1), lambda p: p[::-1]),
    ((-1, 0, 0, -1), lambda p: p[::-1, ::-1]),
    ((0, 1, 1, 0), lambda p: p.swapaxes(0, 1)),
    # the top row becomes the right column: a quarter turn clockwise
    ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),
    ((0, -1, 1, 0), lambda p: np.rot90(p)),
    ((0, -1, -1, 0), lambda p: np.rot90(p, 2).swapaxes(0, 1)),
  ],
)
def test_rotation_is_baked_in(tmp_path, matrix, expected):
  a, b, c, d = (v * 65536 for v in matrix)

  def turn(_, stream):
    stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])

  path = _write(tmp_path / 'a.mov', RANDOM, more=turn, sample_aspect_ratio=Fraction(4, 3))
  outline, frames = _read(path)
  np.testing.assert_array_equal([f.pixels for f in frames], [expected(p) for p in RANDOM])
  assert frames[0].pixels.shape == (outline.height, outline.width, 3)
  assert outline.aspect == (Fraction(3, 4) if matrix[0] == 0 else Fraction(4, 3))


def test_a_video_to_be_shown_askew_is_refused(tmp_path):
  path = _write(tmp_path / 'a.mov', RANDOM, more=lambda _, s: s.set_display_rotation(30))
  with pytest.raises(VideoError, match='is to be shown askew; convert it so that it needs no'):
    _read(path)


def _rgb(yuv, matrix, full):
  """Returns what BT.709 or BT.601 makes of a colour of 8 bits."""
  red, blue = {1: (0.2126, 0.0722), 6: (0.299, 0.114)}[matrix]
  y, u, v = np.array(yuv, float) - [0 if full else 16, 128, 128]
  y, u, v = (y / 255, u / 255, v / 255) if full else (y / 219, u / 224, v / 224)
  r, b = y + 2 * (1 - red) * v, y + 2 * (1 - blue) * u
  return np.clip(np.array([r, (y - red * r - blue * b) / (1 - red - blue), b]) * 255, 0, 255)


@pytest.mark.parametrize(
  ('size', 'tag', 'full', 'bits', 'matrix'),
  [
    ((32, 24), 1, False, 8, 1),
    ((32, 24), 6, False, 8, 6),
    ((32, 24), 1, True, 8, 1),
    ((32, 24), 6, True, 8, 6),
    ((32, 24), 1, False, 10, 1),
    ((32, 24), 2, False, 8, 6),  # untagged: by size
    ((1280, 24), 2, False, 8, 1),
    ((33, 25), 1, False, 8, 1),
  ],
)
def test_colours_follow_the_tags_of_the_frames(tmp_path, size, tag, full, bits, matrix):
  for yuv in ((120, 90, 180), (60, 160, 110), (200, 120, 135)):
    frame = av.VideoFrame(*size, 'yuv444p' if bits == 8 else 'yuv444p10le')
    for plane, value in zip(frame.planes, yuv, strict=True):
      count, kind = plane.buffer_size * 8 // (8 if bits == 8 else 16), f'<u{1 + (bits > 8)}'
      plane.update(np.full(count, value << (bits - 8), kind).tobytes())
    frame.colorspace, frame.color_range = tag, 2 if full else 1
    tags = {'colorspace': tag, 'color_range': 2 if full else 1}
    path = _write(tmp_path / 'a.mkv', [frame], 'ffv1', **tags)
    outline, (found,) = _read(path)
    assert outline.colour.matrix == matrix
    assert found.pixels.shape == (size[1], size[0], 3)
    assert np.abs(found.pixels - _rgb(yuv, matrix, full)).max() <= 1.01
    assert outline.left_out == (('all but 8 bits a channel',) if bits > 8 else ())


def test_tags_of_colours_are_told(tmp_path):
  tags = {'colorspace': 6, 'color_primaries': 5, 'color_trc': 6}
  outline, _ = _read(_write(tmp_path / 'a.mp4', RANDOM, 'libx264', **tags))
  assert outline.colour == Colour(6, 5, 6)


def test_neither_reading_nor_writing_imports_jax():
  code = (
    'import sys; from anon_jax.inference import video_reading, video_writing; '
    'sys.exit(str({"jax", "flax", "av"} & set(sys.modules) or ""))'
  )
  done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
  assert not done.stderr.strip()


def test_a_matrix_that_cannot_be_converted_is_refused(tmp_path):
  with pytest.raises(VideoError, match=r'has colours of kind 8 of H\.273; convert it to BT\.709'):
    _read(_write(tmp_path / 'a.mp4', RANDOM, 'libx264', colorspace=8))


def test_the_main_stream_is_taken_and_all_else_is_named(tmp_path):
  def add(output, stream):
    small = output.add_stream('ffv1', 25, width=8, height=8, pix_fmt='bgr0')
    sound = output.add_stream('aac', 48000)
    output.add_attachment('font.ttf', 'font/ttf', b'x')
    output.set_chapters([{'id': 1, 'start': 0, 'end': 9, 'time_base': Fraction(1), 'metadata': {}}])
    output.mux(small.encode(av.VideoFrame(8, 8, 'bgr0')))
    output.mux(small.encode(None))
    output.mux(sound.encode(None))

  outline, frames = _read(_write(tmp_path / 'a.mkv', RANDOM, 'ffv1', more=add))
  np.testing.assert_array_equal([f.pixels for f in frames], RANDOM)
  assert outline.left_out == (
    'video stream 1 (ffv1)',
    'audio stream 2 (aac)',
    'attachment stream 3',
    'chapters',
  )


def test_a_cover_is_no_video(tmp_path):
  path = tmp_path / 'a.mp4'
  with av.open(path, 'w') as output:
    sound = output.add_stream('aac', 48000)
    cover = output.add_stream('png', 1, width=8, height=8, pix_fmt='rgb24')
    cover.disposition = av.stream.Disposition.attached_pic
    picture = av.VideoFrame.from_ndarray(np.zeros((8, 8, 3), np.uint8), 'rgb24')
    output.mux(cover.encode(picture))
    output.mux(cover.encode(None))
    noise = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), 'fltp', 'stereo')
    noise.sample_rate = 48000
    output.mux(sound.encode(noise))
    output.mux(sound.encode(None))
  with pytest.raises(VideoError, match='holds no video stream that can be decoded; give a video'):
    _read(path)


def test_real_videos_are_read_whole(real_data):
  for path in sorted((real_data / 'video').glob('*.mp4')):
    with av.open(path) as container:
      times = sorted(p.pts for p in container.demux(video=0) if p.size)
    outline, frames = _read(path, pixels=False)
    assert [f.time for f in frames] == times, path
    assert outline.left_out == ('audio stream 1 (aac)',)
