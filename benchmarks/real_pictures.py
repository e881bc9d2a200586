"""The real pictures and clips of `cross_checks.py`, from the folder that ANON_JAX_DATA names."""

import pathlib
from collections.abc import Sequence

import av
import numpy as np
from PIL import Image, ImageFilter

CLIPS = ('d12', 'd20', 's18')
_COUNT = 32  # pictures of each of two data sets


def picture_files(data: pathlib.Path) -> tuple[list[str], list[str]]:
  """Returns 32 faces of CelebA at 256 px and 32 of UTKFace at 200 px."""
  sets = []
  for name, side in (('celeba', 256), ('utkface', 200)):
    files = []
    for path in sorted((data / name / 'images').iterdir()):
      with Image.open(path) as picture:
        if picture.size == (side, side):
          files.append(str(path))
      if len(files) == _COUNT:
        break
    sets.append(files)
  return sets[0], sets[1]


def read(files: Sequence[str]) -> np.ndarray:
  """Pictures of one size, float32 [b, h, w, 3] in [-1, 1]."""
  rows = [np.asarray(Image.open(file).convert('RGB')) for file in files]
  return np.stack(rows).astype(np.float32) / 127.5 - 1


def pairs_of(
  files: Sequence[str], height: int, width: int, count: int
) -> tuple[np.ndarray, np.ndarray]:
  """Pictures beside themselves, blurred more and more, or beside another one."""
  pairs = []
  for number in range(count):
    a = Image.open(files[number]).convert('RGB').resize((width, height))
    b = Image.open(files[number - 1]).convert('RGB').resize((width, height))
    if number % 2:
      b = a.filter(ImageFilter.GaussianBlur(number / 2))
    pairs.append([np.asarray(picture) for picture in (a, b)])
  rows = np.array(pairs, np.float32) / 127.5 - 1
  return rows[:, 0], rows[:, 1]


def frames_of(path: pathlib.Path, count: int, height: int, width: int) -> np.ndarray:
  """Every third frame from the start, uint8 [count, height, width, 3]."""
  frames: list[np.ndarray] = []
  with av.open(str(path)) as video:
    for number, frame in enumerate(video.decode(video=0)):
      if len(frames) == count:
        break
      if number % 3 == 0:
        frames.append(np.asarray(frame.to_image().resize((width, height))))
  return np.stack(frames)
