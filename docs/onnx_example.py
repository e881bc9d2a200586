"""Replaces faces by an exported chain: NumPy, Pillow and onnxruntime, neither JAX nor anon_jax.

  anon-jax export --format onnx -o MODELS
  python docs/onnx_example.py MODELS crop.png new.png
  python docs/onnx_example.py MODELS photograph.jpg new.png --box LEFT TOP RIGHT BOTTOM ...

Without a box the picture is a crop: one upright face, whose box has 60 % of the side. Boxes are in
pixels of the upright picture, from the top of the forehead to the chin. Nobody looks for faces
here: what no box names stays as it is.
"""

import argparse
import json
import pathlib
import secrets

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

FACE_SHARE = 0.6
GREY = 128


class Chain:
  """The exported chain of a folder."""

  def __init__(self, folder: pathlib.Path):
    manifest = json.loads((folder / 'manifest.json').read_text())
    described = manifest['programs']['chain']
    self._session = onnxruntime.InferenceSession(
      str(folder / described['file']), providers=['CPUExecutionProvider']
    )
    self.trust = manifest['trust']
    self.side: int = described['inputs']['crops']['shape'][1]
    self.identities: int = described['inputs']['controls']['shape'][1]

  def run(self, crops: np.ndarray) -> dict[str, np.ndarray]:
    """Paints a new face of a drawn identity into each crop, uint8 [n, side, side, 3]."""
    controls = np.zeros((len(crops), self.identities), np.float32)
    for row in controls:
      row[secrets.randbelow(self.identities)] = 1
    names = [output.name for output in self._session.get_outputs()]
    inputs = {'crops': crops, 'controls': controls}
    return dict(zip(names, self._session.run(names, inputs), strict=True))

  def replace(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Replaces the faces of crops, uint8 [n, side, side, 3].

    A face that looks too much like the original is drawn again, as `anon-jax anonymize` does; one
    that cannot be trusted becomes grey, all of its crop.

    Returns:
      What to show, uint8 [n, s, s, 3], and where it replaces the original, bool [n, s, s].
    """
    shown: list[np.ndarray | None] = [None] * len(crops)
    masks: list[np.ndarray | None] = [None] * len(crops)
    left = list(range(len(crops)))
    for _ in range(self.trust['draws']):
      if not left:
        break
      found = self.run(crops[left])
      again = []
      for row, number in enumerate(left):
        painted = np.round(found['painted'][row]).astype(np.uint8)
        share, mask = found['foreground'][row], found['mask'][row]
        if not (share >= self.trust['foreground_at_least'] and covers_middle(mask)):
          continue  # no face was found here; another draw finds none either
        if found['similarity'][row] <= self.trust['similarity_at_most']:
          shown[number], masks[number] = painted, mask
        else:
          again.append(number)
      left = again
    size = found['mask'].shape[1:]
    pictures = [np.full((*size, 3), GREY, np.uint8) if p is None else p for p in shown]
    return np.stack(pictures), np.stack([np.ones(size, bool) if m is None else m for m in masks])


def covers_middle(mask: np.ndarray) -> bool:
  """Tells whether a mask covers where the features of a face are, however that is turned."""
  away = (np.indices(mask.shape) + 0.5) / len(mask) - 0.5
  return bool(mask[np.hypot(*away) <= 0.25 * FACE_SHARE].all())


def square_of(box: tuple[int, int, int, int]) -> tuple[int, int, int]:
  """Returns the square of which a face box has 60 %: left, top, side."""
  left, top, right, bottom = box
  side = round(max(bottom - top, right - left) / FACE_SHARE)
  return round((left + right - side) / 2), round((top + bottom - side) / 2), side


def cut(picture: np.ndarray, square: tuple[int, int, int], size: int) -> np.ndarray:
  """Cuts a square out of a picture, whose border is repeated beyond it, and resizes it."""
  left, top, side = square
  rows = np.clip(np.arange(top, top + side), 0, len(picture) - 1)
  columns = np.clip(np.arange(left, left + side), 0, picture.shape[1] - 1)
  part = Image.fromarray(picture[rows][:, columns])
  return np.asarray(part.resize((size, size), Image.Resampling.BICUBIC))


def lay_over(
  picture: np.ndarray, square: tuple[int, int, int], painted: np.ndarray, mask: np.ndarray
) -> None:
  """Puts a new face into a picture: every pixel that the mask touches in any way is replaced."""
  left, top, side = square
  pixels = np.asarray(Image.fromarray(painted).resize((side, side), Image.Resampling.BICUBIC))
  edges = np.arange(side) * len(mask) / side
  first = np.floor(edges).astype(int)
  last = np.minimum(np.ceil(edges + len(mask) / side).astype(int), len(mask)) - 1
  # how many masked pixels each pixel of the picture touches, by sums from the corner
  sums = np.pad(np.cumsum(np.cumsum(mask, 0), 1), ((1, 0), (1, 0)))
  rows, after = sums[first], sums[last + 1]
  touched = (after[:, last + 1] - after[:, first] - rows[:, last + 1] + rows[:, first]) > 0
  x0, y0 = max(left, 0), max(top, 0)
  x1, y1 = min(left + side, picture.shape[1]), min(top + side, len(picture))
  inside = np.s_[y0 - top : y1 - top, x0 - left : x1 - left]
  picture[y0:y1, x0:x1][touched[inside]] = pixels[inside][touched[inside]]


def main() -> None:
  """Runs the command line."""
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('models', type=pathlib.Path, help='folder that `anon-jax export` wrote')
  parser.add_argument('picture', help='a crop, or a photograph with boxes')
  parser.add_argument('output', help='a file name for a picture')
  parser.add_argument(
    '--box', nargs=4, type=int, action='append', metavar=('LEFT', 'TOP', 'RIGHT', 'BOTTOM')
  )
  args = parser.parse_args()
  # photographs of telephones lie on their side, and say so; boxes are those of what is looked at
  with Image.open(args.picture) as opened:
    picture = np.array(ImageOps.exif_transpose(opened).convert('RGB'))
  height, width = picture.shape[:2]
  for left, top, right, bottom in args.box or ():
    if not (max(left, 0) < min(right, width) and max(top, 0) < min(bottom, height)):
      raise SystemExit(
        f'--box {left} {top} {right} {bottom}: give LEFT TOP RIGHT BOTTOM inside of the picture, '
        f'which has {width} x {height} pixels when it is upright.'
      )
  if not args.box and picture.shape[0] != picture.shape[1]:
    raise SystemExit('A crop is square; give a --box for each face of a photograph.')
  squares = [square_of(tuple(box)) for box in args.box or ()] or [(0, 0, len(picture))]
  chain = Chain(args.models)
  crops = np.stack([cut(picture, square, chain.side) for square in squares])
  for square, painted, mask in zip(squares, *chain.replace(crops), strict=True):
    lay_over(picture, square, painted, mask)
  Image.fromarray(picture).save(args.output)


if __name__ == '__main__':
  main()
