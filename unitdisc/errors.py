"""Errors that are shown to a user as one line: where, what was found, what is accepted, what to do."""

from __future__ import annotations


class UnitdiscError(Exception):
    """Base of all errors a user can cause; ``exit_code`` is what the command line returns."""

    exit_code = 2


class RecipeError(UnitdiscError):
    """A recipe, override or argument is wrong."""


class PluginError(UnitdiscError):
    """A plugin is missing, broken or breaks its contract."""


class DataError(UnitdiscError):
    """A recording, image, manifest or label table is wrong."""

    exit_code = 3


class TrainingError(UnitdiscError):
    """Training gave up (non-finite values, out of memory)."""

    exit_code = 4


class StorageError(UnitdiscError):
    """A file could not be written or does not hold what it should."""

    exit_code = 5


class Interrupted(UnitdiscError):
    """The user or the system asked the run to stop; everything is saved."""

    exit_code = 130
