"""Shared parts of the studies."""
