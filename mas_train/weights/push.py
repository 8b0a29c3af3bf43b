"""Weights folders on the Hugging Face Hub: signing in, a repository, the upload (`mas-export --push`)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mas_labels.errors import ConfigError
from mas_labels.system.extras import load_extra


@dataclass(frozen=True)
class HubAccount:
    """An account on the Hub that the token in use belongs to."""

    api: Any
    """A `huggingface_hub.HfApi`."""
    name: str

    @classmethod
    def sign_in(cls) -> HubAccount:
        """Ask the Hub whose token this is; the token is huggingface_hub's: ``HF_TOKEN`` or ``hf auth login``.

        Raises
        ------
        MissingDependencyError
            If huggingface_hub is not installed.
        ConfigError
            If there is no token, or the Hub refuses it or cannot be reached.
        """
        huggingface_hub = load_extra("huggingface_hub", "--push needs", "hub")
        if not huggingface_hub.get_token():
            raise ConfigError(
                "--push needs a token of the Hugging Face Hub: run hf auth login, or set HF_TOKEN"
            )
        api = huggingface_hub.HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
        try:
            return cls(api, str(api.whoami()["name"]))
        except Exception as error:  # requests' or httpx's, by the version of huggingface_hub
            raise _refused(api, error, "sign in") from error

    def upload(self, folder: Path, repository: str) -> str:
        """Upload a weights folder to a repository, which is made, private, if there is none.

        Returns
        -------
        str
            The repository's address.

        Raises
        ------
        ConfigError
            If the Hub refuses, or cannot be reached; the folder stays as it is.
        """
        try:
            address = self.api.create_repo(repository, private=True, exist_ok=True)
            self.api.upload_folder(repo_id=repository, folder_path=folder, commit_message="mas-export")
        except Exception as error:  # as in `sign_in`
            doing = f"upload {folder} to {repository} as {self.name}"
            raise _refused(self.api, error, doing) from error
        return str(address)


def _refused(api: Any, error: Exception, doing: str) -> ConfigError:
    """Return the error for a call that failed, with the remedy by its status."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    said = getattr(error, "server_message", None) or str(error) or type(error).__name__
    reason = str(said).splitlines()[0]
    if status in (401, 403):
        remedy = "take a token that may write there: hf auth login, or HF_TOKEN"
    elif status is None and not isinstance(error, ValueError):
        remedy = "check the network (and HF_ENDPOINT), then give the same command again"
    else:
        remedy = "correct that, then give the same command again"
    return ConfigError(f"cannot {doing} at {api.endpoint} ({reason}): {remedy}")
