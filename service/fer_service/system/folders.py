"""Folders of the user."""

from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """Return the service's folder in the user's cache.

    Without a home folder it is one that is not there, and not one for all users, who could put files into it.
    """
    try:
        return platformdirs.user_cache_path("fer-service")
    except RuntimeError:  # neither HOME nor an entry in the list of users
        return Path("/nonexistent", "fer-service")
