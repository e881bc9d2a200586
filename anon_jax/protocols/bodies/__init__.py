"""Whole bodies: are people still found, and are they still the same to whoever looks?"""
