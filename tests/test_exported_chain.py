"""The chain of the weights in the package as an ONNX model, beside JAX on real faces."""

import numpy as np
import pytest
from PIL import Image
from skimage import data

from anon_jax.inference import crops, weights
from anon_jax.inference.anonymizer import SHIPPED
from anon_jax.inference.faces import Face
from anon_jax.inference.portable import formats, parity, programs
from anon_jax.inference.synthesis import chosen

COUNT = 8


@pytest.fixture(scope='module')
def chain():
  """The networks, the program, and what runs the ONNX model."""
  networks = chosen(weights.load_weights(SHIPPED))
  program = programs.chain(networks)
  onnx = formats.FORMATS['onnx']
  return networks, program, onnx.run(onnx.write(program))


def _portraits():
  """Crops of one public portrait, each a little elsewhere."""
  boxes = [(178 + 3 * n, 70 - 2 * n, 268 + 3 * n, 180 + n) for n in range(COUNT)]
  frames = [crops.frame_of(Face(box, 1.0, None)) for box in boxes]
  return np.stack([crops.cut(data.astronaut(), frame, 128) for frame in frames])


def _faces(root):
  """Crops of eight people whom no network was trained on."""
  folder, found = root / 'celeba', {}
  people = dict(line.split() for line in (folder / 'identity_CelebA.txt').read_text().splitlines())
  for line in (folder / 'list_eval_partition.txt').read_text().splitlines():
    name, part = line.split()
    if part == '2' and people[name] not in found and len(found) < COUNT:
      with Image.open(folder / 'images' / name) as picture:
        margin = round(0.1 * picture.width)  # the box has half of the side; in a crop, .6
        inner = picture.crop((margin, margin, picture.width - margin, picture.height - margin))
        found[people[name]] = np.asarray(inner.convert('RGB').resize((128, 128)))
  return np.stack(list(found.values()))


def _difference(chain, pictures):
  networks, program, run = chain
  inputs = parity.drawn(program.inputs, COUNT) | {'crops': pictures}
  found = run(inputs)
  assert found['foreground'].min() >= 0.08  # faces were found: it is about more than background
  return parity.compare(program, networks, run, inputs, (1, 3, COUNT))


def test_on_a_portrait_it_is_within_a_thousandth_of_a_level(chain):
  found = _difference(chain, _portraits())
  assert found.difference <= 1e-3
  assert found.other_classes <= 1e-4


def test_on_real_faces_it_is_within_a_thousandth_of_a_level(chain, real_data):
  found = _difference(chain, _faces(real_data))
  assert found.difference <= 1e-3
  assert found.other_classes <= 1e-4
