"""Anonymized clips beside their sources: do they flicker, tremble, and keep one new face?"""
