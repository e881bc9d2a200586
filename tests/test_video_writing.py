"""Videos are written with every time, colour and sound kept, and nothing besides."""

import re
from fractions import Fraction

import av
import numpy as np
import pytest

from anon_jax.inference.colour import Colour
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.video_reading import VideoReader
from anon_jax.inference.video_writing import VideoWriter

MS = Fraction(1, 1000)


def _frames(count, height=24, width=32):
  """Returns flat frames, each brighter than the one before it: uint8 [n, h, w, 3]."""
  greys = np.linspace(20, 230, count).astype(np.uint8)
  return np.broadcast_to(greys[:, None, None, None], (count, height, width, 3))


def _write(path, frames, times=None, time_base=MS, last=0, **options):
  height, width = frames[0].shape[:2]
  times = times or [40 * n for n in range(len(frames))]
  with VideoWriter(path, width, height, time_base, **options) as writer:
    for number, (frame, time) in enumerate(zip(frames, times, strict=True)):
      writer.write(frame, time, last if number == len(frames) - 1 else 0)
  return writer


def _read(path):
  with VideoReader(path) as reader:
    return reader.outline, list(reader)


def _packets(path, kind):
  with av.open(path) as container:
    stream = getattr(container.streams, kind)[0]
    base = stream.time_base
    return [(bytes(p), p.pts * base, p.dts * base) for p in container.demux(stream) if p.size]


@pytest.mark.parametrize(
  ('times', 'time_base', 'last'),
  [
    ([0, 40, 50, 51, 500, 1000, 1001, 1002], MS, 123),
    ([0, 1, 2, 3, 4, 5, 6, 7], Fraction(1001, 30000), 1),
    ([7, 8, 10, 13, 14, 20, 21, 22], Fraction(1, 24), 5),
    # a stream of television begins somewhere
    ([90_001, 93_000, 96_007, 99_001, 102_001, 105_000, 108_003, 108_004], Fraction(1, 90_000), 1),
    ([0, 10**9, 2 * 10**9 + 1], Fraction(1, 10**9), 5),
  ],
)
def test_every_time_is_kept_exactly_and_so_is_the_end(tmp_path, times, time_base, last):
  path = tmp_path / 'a.mp4'
  frames = _frames(len(times))
  _write(path, frames, times, time_base, last)
  outline, found = _read(path)
  assert [f.time * outline.time_base for f in found] == [t * time_base for t in times]
  end = (found[-1].time + found[-1].duration) * outline.time_base
  assert end == (times[-1] + last) * time_base
  with av.open(path) as container:
    stream = container.streams.video[0]
    lasts = (times[-1] + last - times[0]) * time_base
    assert float(container.duration) / 1e6 == pytest.approx(float(lasts), abs=0.001)
    assert stream.frames == len(times)
  for frame, given in zip(found, frames, strict=True):
    assert np.abs(frame.pixels.astype(int) - given).max() <= 3


def test_a_last_frame_of_unknown_length_lasts_as_long_as_the_one_before_it(tmp_path):
  _write(tmp_path / 'a.mp4', _frames(3), [0, 40, 140])
  outline, found = _read(tmp_path / 'a.mp4')
  assert [f.duration * outline.time_base for f in found] == [40 * MS, 100 * MS, 100 * MS]
  _write(tmp_path / 'b.mp4', _frames(1), [0], rate=Fraction(25))
  outline, (frame,) = _read(tmp_path / 'b.mp4')
  assert frame.duration * outline.time_base == 40 * MS


@pytest.mark.parametrize('size', [(33, 25), (32, 25), (33, 24), (1, 1)])
def test_odd_sizes_lose_no_line(tmp_path, size):
  width, height = size
  frame = np.full((height, width, 3), 60, np.uint8)
  frame[-1], frame[:, -1] = 200, 200
  path = tmp_path / 'a.mp4'
  _write(path, [frame] * 3, crf=5)
  outline, found = _read(path)
  assert (outline.width, outline.height) == (width + width % 2, height + height % 2)
  expected = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), 'edge')
  assert np.abs(found[0].pixels.astype(int) - expected).max() <= 12


def test_the_shape_of_pixels_is_kept(tmp_path):
  _write(tmp_path / 'a.mp4', _frames(2), aspect=Fraction(15, 16))
  assert _read(tmp_path / 'a.mp4')[0].aspect == Fraction(15, 16)


@pytest.mark.parametrize(
  'colour', [Colour(1, 1, 1), Colour(6, 6, 6), Colour(5, 5, 6), Colour(9, 9, 14)]
)
def test_colours_are_tagged_as_they_are_converted(tmp_path, colour):
  frame = np.empty((48, 64, 3), np.uint8)
  frame[:24, :32], frame[:24, 32:] = (200, 40, 60), (30, 180, 90)
  frame[24:, :32], frame[24:, 32:] = (20, 60, 220), (240, 230, 20)
  path = tmp_path / 'a.mp4'
  _write(path, [frame] * 2, crf=1, colour=colour)
  outline, found = _read(path)
  assert outline.colour == colour
  inner = np.s_[8:16, 8:24]
  assert np.abs(found[0].pixels[inner].astype(int) - frame[inner]).max() <= 3
  with av.open(path) as container:
    assert container.streams.video[0].codec_context.color_range == 1


def test_without_tags_the_usual_colours_are_taken(tmp_path):
  _write(tmp_path / 'a.mp4', _frames(1))
  assert _read(tmp_path / 'a.mp4')[0].colour == Colour(6)


def test_what_is_read_and_written_again_keeps_its_colours(tmp_path):
  """A region that nobody touched differs by what the encoder loses, and by no more."""
  smooth = np.stack(np.broadcast_arrays(*np.ogrid[40:200:48j, 60:180:64j], 128.0), -1)
  _write(tmp_path / 'a.mp4', [smooth.astype(np.uint8)] * 3, crf=1)
  outline, first = _read(tmp_path / 'a.mp4')
  for generation in range(3):
    path = tmp_path / f'{generation}.mp4'
    _write(path, [f.pixels for f in first], colour=outline.colour, crf=1)
    _, again = _read(path)
    difference = again[0].pixels.astype(int) - first[0].pixels
    assert np.abs(difference).max() <= 4
    assert np.abs(difference.mean((0, 1))).max() < 0.5


@pytest.fixture
def source(tmp_path):
  """A video with sound, tags, chapters and a creation time."""
  path = tmp_path / 'source.mp4'
  with av.open(path, 'w') as output:
    output.metadata.update(title='SECRET', comment='SECRET', creation_time='2024-05-06T07:08:09Z')
    chapter = {'id': 1, 'start': 0, 'end': 9, 'time_base': MS, 'metadata': {'title': 'SECRET'}}
    output.set_chapters([chapter])
    stream = output.add_stream('libx264', 25, width=32, height=24)
    sound = output.add_stream('aac', 48000)
    sound.metadata['title'] = 'SECRET'
    for frame in _frames(25):
      output.mux(stream.encode(av.VideoFrame.from_ndarray(np.array(frame), 'rgb24')))
    noise = np.random.default_rng(0).normal(0, 0.1, (50, 2, 1024)).astype(np.float32)
    for number, samples in enumerate(noise):
      block = av.AudioFrame.from_ndarray(samples, 'fltp', 'stereo')
      block.sample_rate, block.pts = 48000, number * 1024
      output.mux(sound.encode(block))
    output.mux(stream.encode(None))
    output.mux(sound.encode(None))
  return path


def test_sound_is_copied_bit_for_bit_with_its_times_and_only_if_asked_for(tmp_path, source):
  path = tmp_path / 'a.mp4'
  assert _write(path, _frames(25), sound_from=source).sound == 'aac'
  copied = _packets(path, 'audio')
  assert len(copied) > 50
  assert copied == _packets(source, 'audio')
  with av.open(path) as new, av.open(source) as old:
    assert new.streams.audio[0].codec_context.extradata == (
      old.streams.audio[0].codec_context.extradata
    )
  assert _write(path, _frames(25)).sound is None
  with av.open(path) as container:
    assert [s.type for s in container.streams] == ['video']
  assert _write(tmp_path / 'b.mp4', _frames(2), sound_from=path).sound is None


def test_sound_that_the_kind_does_not_hold_is_refused(tmp_path):
  with av.open(tmp_path / 'a.mkv', 'w') as output:
    sound = output.add_stream('pcm_u8', 8000)
    block = av.AudioFrame.from_ndarray(np.zeros((1, 1600), np.uint8), 'u8', 'stereo')
    block.sample_rate = 8000
    output.mux(sound.encode(block))
    output.mux(sound.encode(None))
  with pytest.raises(InferenceError, match=r'/a\.mkv has sound of kind pcm_u8, which mp4 does not'):
    _write(tmp_path / 'b.mp4', _frames(2), sound_from=tmp_path / 'a.mkv')
  (tmp_path / 'c.mp4').write_bytes(b'ffconcat version 1.0\nfile a.mkv\n')
  with pytest.raises(InferenceError, match=r'/c\.mp4 cannot be read as a video'):
    _write(tmp_path / 'b.mp4', _frames(2), sound_from=tmp_path / 'c.mp4')
  assert not (tmp_path / 'b.mp4').exists()


@pytest.mark.parametrize('codec', ['libx264', 'libx265'])
def test_nothing_but_frames_and_sound_is_written(tmp_path, source, codec):
  traces = re.compile(rb'SECRET|x26[45]|Lav[cf]\d|options|\xa9too|text|chpl')
  assert traces.search(source.read_bytes())
  path = tmp_path / 'a.mp4'
  _write(path, _frames(25), codec=codec, sound_from=source)
  content = path.read_bytes()
  sounds = b'|'.join(re.escape(packet) for packet, *_ in _packets(path, 'audio'))
  assert not traces.search(re.sub(sounds, b'', content))
  for box in (b'mvhd', b'tkhd', b'mdhd'):
    assert all(content[m.end() + 4 : m.end() + 12] == bytes(8) for m in re.finditer(box, content))
  with av.open(path) as container:
    assert not container.chapters()
    assert {k for s in container.streams for k in s.metadata} <= {'language', 'handler_name'}
    assert set(container.metadata) <= {'major_brand', 'minor_version', 'compatible_brands'}


def test_a_real_video_written_again_keeps_frames_times_and_length(real_data, tmp_path):
  for path in sorted((real_data / 'video').glob('*.mp4')):
    count = 12
    with VideoReader(path) as reader:
      given, outline = [], reader.outline
      options = {'aspect': outline.aspect, 'colour': outline.colour, 'rate': outline.rate}
      size = outline.width, outline.height
      with VideoWriter(tmp_path / 'a.mp4', *size, outline.time_base, **options) as writer:
        for frame, _ in zip(reader, range(count), strict=False):
          writer.write(frame.pixels, frame.time, frame.duration)
          given.append(frame)
    again, found = _read(tmp_path / 'a.mp4')
    assert (again.width, again.height, again.aspect) == (*size, outline.aspect), path
    assert again.colour == outline.colour
    times = [f.time * outline.time_base for f in given]
    assert [f.time * again.time_base for f in found] == times, path
    end = (given[-1].time + given[-1].duration) * outline.time_base
    assert (found[-1].time + found[-1].duration) * again.time_base == end
    difference = np.abs(found[5].pixels.astype(int) - given[5].pixels)
    assert difference.mean() < 3
