"""What FASSEG's file names say: person, series and yaw (`v3_p03_s1_yaw-60`)."""

import re

_MULTI_POSE = re.compile(r'v3_p(\d+)_s\d+_yaw([+-]\d+)')


def person_of(name: str) -> int:
  """Returns the person's number, -1 where the name does not say it (the frontal part V2)."""
  found = _MULTI_POSE.match(name)
  return int(found[1]) if found else -1


def yaw_of(name: str) -> int | None:
  """Returns the yaw in degrees, None where the name does not say it (the frontal part V2)."""
  found = _MULTI_POSE.match(name)
  return int(found[2]) if found else None
