"""Faces in every pose: are they found, and their landmarks, after as before (paper 4.2)?"""
