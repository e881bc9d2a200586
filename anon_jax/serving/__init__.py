"""The local page, `anon-jax serve`: pictures are dropped, looked at, corrected and downloaded.

What a stranger could reach of it is in `guard` and `limits`; nothing that was dropped outlives it.
"""
