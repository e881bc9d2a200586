"""A process that measures what it is asked to: `python -m speed.worker KIND CORES`.

A line of JSON comes in, `{"call": NAME, "with": {...}}`, and one goes out, `{"result": {...}}` or
`{"error": MESSAGE}`. Whatever libraries print goes to the standard error.
"""

import importlib
import json
import os
import sys

from speed import usage

KINDS = ('jax', 'torch', 'data', 'scaling')


def main() -> None:
  """Answers until the input ends."""
  kind = sys.argv[1]
  if kind not in KINDS:
    raise SystemExit(f'unknown kind of worker {kind!r}; choose one of {", ".join(KINDS)}.')
  answers = os.fdopen(os.dup(1), 'w')
  os.dup2(2, 1)
  usage.take_cores(int(sys.argv[2]))
  worker = importlib.import_module(f'speed.{kind}_worker').Worker()
  for line in sys.stdin:
    asked = json.loads(line)
    try:
      answer = {'result': getattr(worker, asked['call'])(**asked['with'])}
    # what torch.compile or a missing data set stumbles over belongs into the table
    except (RuntimeError, ValueError, OSError, ImportError, AssertionError) as error:
      message = ' '.join(str(error).split())[:300]
      answer = {'error': f'{type(error).__name__}: {message}'}
    print(json.dumps(answer), file=answers, flush=True)


if __name__ == '__main__':
  main()
