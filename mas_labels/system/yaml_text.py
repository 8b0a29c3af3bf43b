"""YAML from files that people write: a key stated twice is an error, and never a lost entry."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import yaml

YAML_ERRORS: Final = (
    *(yaml.YAMLError, RecursionError),
    *(ArithmeticError, AttributeError, LookupError, TypeError, ValueError),
)
"""Errors of PyYAML on text that is not YAML; the second line: on tags such as ``!!int``."""


class UniqueKeyLoader(yaml.SafeLoader):
    """PyYAML's safe loader, which refuses a mapping that states a key more than once."""

    @classmethod
    def read(cls, text: str) -> Any:
        """Return the content of a text; raises `YAML_ERRORS`."""
        loader = cls(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Construct a mapping; a `yaml.YAMLError` names the keys that are repeated."""
        counts = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        if repeated := [name for name, count in counts.items() if count > 1]:
            raise yaml.constructor.ConstructorError(
                None, None, f"stated more than once: {', '.join(repeated)}", node.start_mark
            )
        return super().construct_mapping(node, deep)
