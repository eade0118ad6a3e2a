"""Every knob, once, frozen.

Belongs here: what can be set, its default and meaning, and how it is read: defaults < preset < file
< environment < flags. This is the only room that reads the process's environment. Settings are
handed down as arguments. Does not belong here: what a knob does.
"""

from kubernaut.settings.loading import Knob, Loaded, environment, load_settings
from kubernaut.settings.reading import SettingsError
from kubernaut.settings.tree import (
    PRESETS,
    ClusterSettings,
    ControllerSettings,
    ExecutionSettings,
    LeaderElectionSettings,
    LoggingSettings,
    ProbeSettings,
    RegistrySettings,
    RetentionSettings,
    Settings,
)

__all__ = [
    "PRESETS",
    "ClusterSettings",
    "ControllerSettings",
    "ExecutionSettings",
    "Knob",
    "LeaderElectionSettings",
    "Loaded",
    "LoggingSettings",
    "ProbeSettings",
    "RegistrySettings",
    "RetentionSettings",
    "Settings",
    "SettingsError",
    "environment",
    "load_settings",
]
