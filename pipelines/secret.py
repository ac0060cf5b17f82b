"""Secrets: given as a setting or in a file that holds it alone."""

from pathlib import Path

from schemas.errors import SettingsError


def secret(value: str, file: Path | None, name: str) -> str:
    """The secret, from the setting or from its file; empty where there is neither.

    Args:
        value: of the setting.
        file: of the setting with `_file` behind its name.
        name: of the setting, as `lake.secret_key`.

    Raises:
        SettingsError: there are both, or the file can't be read.
    """
    if file is None:
        return value
    if value:
        raise SettingsError(f"{name} and {name}_file are both set; a key is in one of them")
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{name}_file {file}: can't be read: {error}") from error
