"""The builtin kinds: their defaults, their validation, what may not change."""
