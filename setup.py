"""Builds the extension modules: each kernel once per instruction set, selected at run time."""

from __future__ import annotations

import os
import runpy
import sys
import sysconfig
from pathlib import Path
from typing import ClassVar

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

NATIVE = Path("mas_labels") / "native"
INCLUDES = [str(NATIVE / "common")]
HEADERS = [str(path) for path in sorted(NATIVE.glob("*/*.h"))]

# One build serves Python 3.11 and later: it keeps to the limited API, which free-threaded Pythons lack.
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
LIMITED_API = [] if FREE_THREADED else [("Py_LIMITED_API", "0x030b0000")]
WHEEL = {} if FREE_THREADED else {"py_limited_api": "cp311"}

# Neither -ffast-math nor contraction: every build must give the same bits. Python's own flags have -fwrapv,
# which makes labels slower; nothing relies on it: `make test-sanitize` finds signed integers that overflow.
COMMON_FLAGS = [
    "-std=c++17",
    "-O3",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fno-wrapv",
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
{name} was NOT built: {reason}
The rest is installed. Without it {loss}.
Needed: a C++17 compiler, GCC or Clang (Debian: apt install g++; conda: conda install cxx-compiler),
on x86-64 or 64-bit ARM.
Then: pip install --force-reinstall --no-deps . (or, in a checkout, python setup.py build_ext --inplace)
"""
LOSSES = runpy.run_path("mas_labels/system/kernels.py")["LOSSES"]


class BuildKernels(build_ext):
    """Compiles a kernel once for each instruction set; without a compiler, prints a message and continues."""

    sanitize: ClassVar[list[str]] = os.environ.get("MAS_SANITIZE", "").split()

    def build_extension(self, ext: Extension) -> None:
        """Compile and link `ext`, or print the reason why it cannot be built."""
        kernel = ext.name.rpartition("._")[2]
        try:
            on_x86 = self.plat_name.endswith(("x86_64", "amd64"))
            ext.extra_objects = self._compile_kernels(kernel, on_x86)
            ext.define_macros += [("MAS_AVX", None)] if on_x86 else []
            super().build_extension(ext)
        except Exception as error:
            if os.environ.get("MAS_REQUIRE_NATIVE"):  # wheels must not be made without it
                raise
            print(NOT_BUILT.format(name=ext.name, reason=error, loss=LOSSES[kernel]), file=sys.stderr)

    def _compile_kernels(self, kernel: str, on_x86: bool) -> list[str]:
        objects: list[str] = []
        for isa, flags in INSTRUCTION_SETS.items():
            if isa == "portable" or on_x86:
                names = [f"-DMAS_KERNEL={kernel}_{isa}", f'-DMAS_ISA_NAME="{isa}"']
                objects += self.compiler.compile(
                    [str(NATIVE / kernel / f"{kernel}.cpp")],
                    output_dir=str(Path(self.build_temp) / isa),
                    extra_postargs=[*COMMON_FLAGS, *flags, *names, *self.sanitize],
                    include_dirs=INCLUDES,
                    depends=HEADERS,
                )
        return objects

    def copy_extensions_to_source(self) -> None:
        """Put the extensions into the checkout, in place of builds for one Python, which imports prefer."""
        super().copy_extensions_to_source()
        for built in NATIVE.parent.glob("_*.abi3.so"):
            for older in built.parent.glob(f"{built.name.split('.')[0]}.cpython-3[0-9][0-9]-*.so"):
                older.unlink()


extensions = [
    Extension(
        f"mas_labels._{kernel}",
        sources=[str(NATIVE / kernel / f"{kernel}_binding.cpp")],
        include_dirs=INCLUDES,
        define_macros=[*LIMITED_API],
        py_limited_api=not FREE_THREADED,
        depends=HEADERS,
        extra_compile_args=[*COMMON_FLAGS, *BuildKernels.sanitize],
        extra_link_args=BuildKernels.sanitize,
        language="c++",
        optional=True,
    )
    for kernel in LOSSES
]

setup(ext_modules=extensions, cmdclass={"build_ext": BuildKernels}, options={"bdist_wheel": WHEEL})
