"""One module a command; each hands out `command`. Loaded only when called (`cli.app`)."""
