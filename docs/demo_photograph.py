"""Anonymizes a public-domain photograph by the weights in the package; shows before and after.

`python docs/demo_photograph.py FOLDER` writes astronaut.png, anonymized.png and before_after.png.
The photograph is NASA's portrait of Eileen Collins, which comes with scikit-image.
"""

import importlib.util
import pathlib
import shutil
import sys

from PIL import Image

from anon_jax import cli

GAP = 8


def photograph() -> pathlib.Path:
  """Returns where scikit-image keeps the photograph; it is not imported, which takes a second.

  Raises:
    SystemExit: scikit-image is not installed.
  """
  found = importlib.util.find_spec('skimage')
  for folder in (found and found.submodule_search_locations) or ():
    path = pathlib.Path(folder) / 'data' / 'astronaut.png'
    if path.is_file():
      return path
  raise SystemExit('scikit-image is not installed; `make demo` brings it.')


def main() -> int:
  """Runs the command line; returns the exit code of `anon-jax`."""
  if len(sys.argv) != 2:
    raise SystemExit(f'{len(sys.argv) - 1} arguments; give the folder for the pictures.')
  folder = pathlib.Path(sys.argv[1])
  folder.mkdir(parents=True, exist_ok=True)
  before, after = folder / 'astronaut.png', folder / 'anonymized.png'
  shutil.copyfile(photograph(), before)
  code = cli.main(['anonymize', str(before), '-o', str(after)])
  if code:
    return code
  pictures = [Image.open(path).convert('RGB') for path in (before, after)]
  width, height = pictures[0].size
  page = Image.new('RGB', (2 * width + GAP, height), 'white')
  for number, picture in enumerate(pictures):
    page.paste(picture, (number * (width + GAP), 0))
  page.save(folder / 'before_after.png')
  return 0


if __name__ == '__main__':
  raise SystemExit(main())
