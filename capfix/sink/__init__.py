"""Gives bytes away."""
