"""Attacks on anonymized pictures: who can be linked again, by whom, and by what."""
