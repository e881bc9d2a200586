"""Draws the pictures in docs/images/, from procedural faces and from a real run.

`python docs/make_figures.py` draws procedural_faces.png, proxy_task.png and astronaut.png;
`python docs/make_figures.py --workdir DIR` also copies the newest sample grid of a quickstart run.
"""

import argparse
import pathlib
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
from skimage import data

import anon_jax
from anon_jax import proxy
from anon_jax.config import defaults
from anon_jax.data.procedural import ProceduralFaces
from anon_jax.inference.anonymizer import Anonymizer
from anon_jax.nets.harmonization import feather
from anon_jax.proxy import to_signed
from anon_jax.telemetry import grid

IMAGES = pathlib.Path(__file__).parent / 'images'
WEIGHTS = pathlib.Path(anon_jax.__file__).parent / 'weights'
SIDE = 128
# Of the semantic classes, in their order: background, skin, brows, eyes, nose, mouth, hair, neck.
COLOURS = np.array(
  [
    (0, 0, 0),
    (240, 200, 170),
    (140, 70, 20),
    (40, 90, 230),
    (250, 150, 40),
    (210, 30, 50),
    (90, 40, 110),
    (60, 170, 90),
  ],
  np.uint8,
)
SHOWN = (4, 0, 9, 12)  # long hair, short hair, a hand before the face, dark skin
MOST_BYTES = 400_000


def save(sheet: Image.Image, name: str) -> None:
  """Writes a sheet as a PNG of at most MOST_BYTES: indexed where full colour takes too many.

  Raises:
    ValueError: even the indexed file would be larger.
  """
  path = IMAGES / name
  path.parent.mkdir(exist_ok=True)
  sheet.save(path, optimize=True)
  if path.stat().st_size > MOST_BYTES:
    palette = sheet.quantize(256, kmeans=4)
    sheet.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).save(path, optimize=True)
  size = path.stat().st_size
  if size > MOST_BYTES:
    raise ValueError(f'{path} has {size} bytes; show fewer or smaller pictures than {sheet.size}.')
  print(f'{path}  {sheet.width} x {sheet.height}, {size / 1000:.0f} kB')


def faces(indices: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
  """Returns pictures uint8 [n, s, s, 3] and semantic maps uint8 [n, s, s] of seed 0."""
  source = ProceduralFaces(max(indices) + 1, SIDE, seed=0)
  drawn = [source[i] for i in indices]
  return np.stack([d['image'] for d in drawn]), np.stack([d['map'] for d in drawn])


def procedural_faces(columns: int = 8, rows: int = 4) -> Image.Image:
  """Lays the first procedural faces out in rows, each above a row of their maps in colours."""
  images, maps = faces(range(columns * rows))
  pairs = np.stack([images, COLOURS[maps]], 1).reshape(rows, columns, 2, SIDE, SIDE, 3)
  sheet = pairs.transpose(0, 2, 3, 1, 4, 5).reshape(rows * 2 * SIDE, columns * SIDE, 3)
  return Image.fromarray(sheet)


def proxy_task() -> Image.Image:
  """Shows what H is given and asked for: a row a face, with the defaults of the configs."""
  config = defaults('harmonize')
  raw, maps = faces(SHOWN)
  images, mask = to_signed(jnp.asarray(raw)), proxy.foreground_mask(jnp.asarray(maps))
  columns = {'original': images, 'semantic map': to_signed(jnp.asarray(COLOURS[maps]))}
  for draw in range(3):
    keys = jax.random.split(jax.random.key(draw), len(SHOWN))
    columns[f'recoloured {draw + 1}'] = jax.vmap(proxy.recolour)(keys, images, mask)
  columns['appearance condition'] = proxy.appearance_condition(images, config.condition_sigma)
  rim = feather(mask, config.feather)
  columns['feathered mask'] = jnp.broadcast_to(2 * rim - 1, images.shape)
  return grid({name: np.asarray(pictures) for name, pictures in columns.items()})


def sample_grid(workdir: pathlib.Path, rows: int = 4, scale: int = 2) -> Image.Image:
  """Returns the first rows of a run's newest sample grid, enlarged by repeating pixels.

  Raises:
    ValueError: the workdir has no sample grid, or of another data set than procedural faces.
  """
  if '"dataset": "procedural_faces"' not in (workdir / 'config.json').read_text():
    raise ValueError(f'{workdir} was not trained on procedural_faces; no real face may be shown.')
  found = sorted((workdir / 'samples').glob('*.png'))
  if not found:
    raise ValueError(f'{workdir / "samples"} holds no sample grid; train first.')
  sheet = Image.open(found[-1])
  side = (sheet.width + 2) // 5 - 2  # five columns, gaps of 2 px, a title of 14 px
  sheet = sheet.crop((0, 0, sheet.width, 14 + rows * (side + 2) - 2))
  return sheet.resize((sheet.width * scale, sheet.height * scale), Image.Resampling.NEAREST)


def astronaut() -> Image.Image:
  """Returns a portrait in the public domain, and three draws with the package's weights."""
  portrait, part = data.astronaut(), np.s_[:300, 80:380]
  tiles = [portrait[part]]
  for key in (b'1', b'2', b'3'):
    anonymizer = Anonymizer.from_pretrained(WEIGHTS, key=key)
    tiles.append(anonymizer.anonymize(portrait).image[part])
  return Image.fromarray(np.concatenate(tiles, axis=1))


def main() -> None:
  """Draws the pictures."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--workdir', type=pathlib.Path, help='folder of a finished quickstart run')
  workdir = parser.parse_args().workdir
  save(procedural_faces(), 'procedural_faces.png')
  save(proxy_task(), 'proxy_task.png')
  save(astronaut(), 'astronaut.png')
  if workdir:
    save(sample_grid(workdir), 'sample_grid.png')


if __name__ == '__main__':
  main()
