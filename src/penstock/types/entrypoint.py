"""How a deployment names its flow."""

from enum import StrEnum


class EntrypointType(StrEnum):
    """By the file that declares it (`path/to/file.py:flow`), or by its module (`package:flow`)."""

    FILE_PATH = "file_path"
    MODULE_PATH = "module_path"
