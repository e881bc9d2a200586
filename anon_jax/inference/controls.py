"""Which control identities a face is painted as: nobody but the holder of a key can tell."""

import hashlib
import hmac
import re
import secrets

import numpy as np

from anon_jax.inference.errors import InferenceError

ANY = 'any'  # in the place of a control identity: draws among all, whether they suit or not
_MIXED = 3  # control identities of a drawn mixture
_PART = r'\d{1,9}(:(\d{1,9}(\.\d{0,9})?|\.\d{1,9}))?'
_MIXTURE = re.compile(f'{_PART}(,{_PART})*', re.ASCII)


def draw(
  identities: int,
  key: bytes | None = None,
  track: str = '',
  attempt: int = 0,
  among: np.ndarray | None = None,
) -> np.ndarray:
  """Draws a mixture of control identities, so that no output need imitate one real person.

  Args:
    identities: number of A's control identities.
    key: None draws from the system's cryptographic source: nobody can repeat it. With a key the
      draw is a function of HMAC-SHA256(key, track, attempt): whoever has it can repeat it.
    track: which face this is, for example 'holiday/beach.jpg 0 2'.
    attempt: how many draws for this face were turned down before.
    among: places of the control identities that suit the face, int [n]; None: all do.

  Returns:
    float32 [identities], not negative, sum 1, three of them (or all, if there are fewer) not zero.
  """
  if key is None:
    seed = secrets.randbits(256)
  else:
    message = f'{attempt}:{track}'.encode('utf-8', 'surrogateescape')
    seed = int.from_bytes(hmac.new(key, message, hashlib.sha256).digest())
  rng = np.random.Generator(np.random.PCG64(seed))
  places = np.arange(identities) if among is None else among
  mixed = min(_MIXED, len(places))
  weights = np.zeros(identities, np.float32)
  weights[rng.choice(places, mixed, replace=False)] = rng.dirichlet(np.ones(mixed))
  return weights / weights.sum()


def given(text: str, identities: int) -> np.ndarray | None:
  """Reads a mixture as `parse` does; None for '' and ANY, which leave it to a draw."""
  return None if text in ('', ANY) else parse(text, identities)


def parse(text: str, identities: int) -> np.ndarray:
  """Reads a mixture: '7', or '7:0.5,12:0.3,40:0.2' with weights that need not add up to 1.

  Returns:
    float32 [identities], sum 1.

  Raises:
    InferenceError: another form, or an identity that A does not have.
  """
  if not _MIXTURE.fullmatch(text):
    raise InferenceError(
      f'identity {text[:60]!r} is no control identity; give a number below {identities}, a '
      'mixture such as 7:0.5,12:0.5, or any.'
    )
  weights = np.zeros(identities, np.float32)
  for part in text.split(','):
    number, _, weight = part.partition(':')
    if int(number) >= identities:
      raise InferenceError(
        f'identity {text[:60]!r} names {number}, and these weights have control identities 0 to '
        f'{identities - 1}.'
      )
    weights[int(number)] += float(weight or 1)
  if not weights.sum() > 0:
    raise InferenceError(f'identity {text[:60]!r} has no weight above 0.')
  return weights / weights.sum()
