"""What `anon-jax anonymize --region body` needs besides: masks, and networks of bodies."""

import argparse
import os
import pathlib
from typing import Any

from anon_jax.inference import flags
from anon_jax.inference.errors import InferenceError


def masks(args: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
  """Returns where masks come from, a `mask_sources.Source`, and what outputs depend on by it.

  Raises:
    InferenceError: there are no such masks, or the segmenter cannot be loaded.
  """
  from anon_jax.inference import mask_sources

  settings: dict[str, Any] = {'region': 'body', 'sequence': args.sequence}
  more = {'allow_none': args.allow_no_bodies, 'sequence': args.sequence}
  if args.person_segmenter:
    from anon_jax.inference import person_segmenter

    network = person_segmenter.load(_path(args.person_segmenter))
    settings['person_segmenter'] = network.sha256[:16]
    return mask_sources.FoundMasks(network, **more), settings
  places = mask_sources.Places(_path(args.masks), args.inputs)
  return mask_sources.GivenMasks(places, **more), settings


def anonymizer(
  args: argparse.Namespace, detector: Any, key: bytes | None
) -> tuple[Any, dict[str, pathlib.Path]]:
  """Returns a `BodyAnonymizer`, and the folders of its networks by what they are for.

  Raises:
    WeightsError: a folder of networks is missing or damaged.
    InferenceError: bodies shall be synthesized, and no networks for that were given.
  """
  from anon_jax.inference.anonymizer import SHIPPED, Anonymizer
  from anon_jax.inference.body_anonymizer import BodyAnonymizer
  from anon_jax.inference.decisions import Trust

  covers: dict[str, Any] = {
    'block': args.block or flags.BLOCK,
    'kernel': args.kernel or flags.KERNEL,
  }
  replacer, folder, folders = None, None, dict[str, pathlib.Path]()
  if args.method == 'synthesize':
    if not args.weights:
      raise InferenceError(
        'there are no networks of bodies in this installation; give --weights FOLDER (written by '
        '`anon-jax weights export` from runs on bodies), or --method fill, which needs none.'
      )
    from anon_jax.inference import body_painting
    from anon_jax.inference.body_replacing import Replacer

    weights = _path(args.weights)
    replacer = Replacer(body_painting.load(weights), key, args.identity or '')
    folders['body_weights'] = weights
    folder = _path(args.face_weights) if args.face_weights else SHIPPED
    if not args.face_weights and not (SHIPPED / 'model.json').is_file():
      folder = None
    if folder:
      folders['weights'] = folder
  faces = Anonymizer.from_pretrained(
    folder,
    detector=detector,
    # without networks of faces those beside bodies are filled
    method='fill' if replacer and not folder else args.method,
    trust=Trust(score=flags.TRUST if args.trust is None else args.trust),
    key=key,
    **covers,
  )
  return BodyAnonymizer(faces, args.method, replacer, **covers), folders


def _path(text: str) -> pathlib.Path:
  return pathlib.Path(os.path.expanduser(text))  # noqa: PTH111 - raises for no `~name`
