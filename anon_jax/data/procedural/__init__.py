"""Renderers that need no data: faces with maps, landmarks and clips, and plain bodies.

It serves the quickstart, the tests and the notebooks; nothing measured on it is quoted as quality.
"""

from anon_jax.data.procedural.bodies import ProceduralBodies
from anon_jax.data.procedural.clips import Clip, render_clip
from anon_jax.data.procedural.parameters import (
  OCCLUDERS,
  Background,
  Expression,
  FaceParameters,
  Light,
  Occluder,
  sample_parameters,
)
from anon_jax.data.procedural.render import Rendered, render
from anon_jax.data.procedural.source import ProceduralClips, ProceduralFaces

__all__ = [
  'OCCLUDERS',
  'Background',
  'Clip',
  'Expression',
  'FaceParameters',
  'Light',
  'Occluder',
  'ProceduralBodies',
  'ProceduralClips',
  'ProceduralFaces',
  'Rendered',
  'render',
  'render_clip',
  'sample_parameters',
]
