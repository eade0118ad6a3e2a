"""The shape of objects: pruning, defaulting, types, merge keys. Builtin kinds and CRDs alike."""
