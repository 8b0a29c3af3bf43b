"""Builds the TV-L1 extension: the same source once for each instruction set, chosen when it runs."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import ClassVar

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

NATIVE = Path("mas_labels") / "native"
HEADERS = [str(path) for path in sorted(NATIVE.glob("*.h"))]

# No -ffast-math and no contraction: every build must give the same bits.
COMMON_FLAGS = [
    "-std=c++17",
    "-O3",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fvisibility=hidden",
    "-Wno-maybe-uninitialized",
    "-Wno-uninitialized",
]
INSTRUCTION_SETS = {
    "portable": [],
    "avx2": ["-DMAS_ISA_AVX2", "-mavx2", "-mfma"],
    "avx512": ["-DMAS_ISA_AVX512", "-mavx512f", "-mavx512vl", "-mavx512dq", "-mavx512bw", "-mavx2", "-mfma"],
}

NOT_BUILT = """\
mas_labels.tvl1 was NOT built: {reason}
The rest is installed and works; `tvl1` flow stops with a message until the extension is there.
Needed: a C++17 compiler, GCC or Clang (Debian: apt install g++; conda: conda install cxx-compiler),
on x86-64 or 64-bit ARM.
Then: pip install --force-reinstall --no-deps . (or, in a checkout, python setup.py build_ext --inplace)
"""


class BuildTvl1(build_ext):
    """Compiles tvl1.cpp once for each instruction set; without a compiler says so and goes on."""

    sanitize: ClassVar[list[str]] = os.environ.get("MAS_SANITIZE", "").split()

    def build_extension(self, ext: Extension) -> None:
        """Compile and link `ext`, or print what is missing."""
        try:
            ext.extra_objects = self._compile_kernels()
            super().build_extension(ext)
        except Exception as error:
            if os.environ.get("MAS_REQUIRE_TVL1"):  # wheels must not be made without it
                raise
            print(NOT_BUILT.format(reason=error), file=sys.stderr)

    def _compile_kernels(self) -> list[str]:
        on_x86 = platform.machine().lower() in ("x86_64", "amd64")
        objects: list[str] = []
        for isa, flags in INSTRUCTION_SETS.items():
            if isa == "portable" or on_x86:
                names = [f"-DMAS_KERNEL=tvl1_{isa}", f'-DMAS_ISA_NAME="{isa}"']
                objects += self.compiler.compile(
                    [str(NATIVE / "tvl1.cpp")],
                    output_dir=str(Path(self.build_temp) / isa),
                    extra_postargs=[*COMMON_FLAGS, *flags, *names, *self.sanitize],
                    depends=HEADERS,
                )
        return objects


extension = Extension(
    "mas_labels._tvl1",
    sources=[str(NATIVE / "binding.cpp")],
    depends=HEADERS,
    extra_compile_args=[*COMMON_FLAGS, *BuildTvl1.sanitize],
    extra_link_args=BuildTvl1.sanitize,
    language="c++",
    optional=True,
)

setup(ext_modules=[extension], cmdclass={"build_ext": BuildTvl1})
