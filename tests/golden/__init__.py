"""Runs of every released version, stopped in the middle: today's controller must bring them to their end."""
