"""Run the AVX-512 kernels without a processor that has AVX-512: in the emulator Bochs.

    python tests/native/avx512/run_emulated.py

builds ``compare.cpp`` with the AVX-512 and AVX2 kernels as the only program of a small Linux machine, starts
it, and prints its output. Needs Debian's packages g++, bochs, bochsbios, vgabios, xorriso, isolinux,
syslinux-common, cpio and linux-image-cloud-amd64, and five minutes. Ends with status 1 if bits differ or the
machine does not finish.
"""

from __future__ import annotations

import contextlib
import io
import os
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[3]
NATIVE = ROOT / "mas_labels" / "native"
ISOLINUX = Path("/usr/lib/ISOLINUX/isolinux.bin")
LDLINUX = Path("/usr/lib/syslinux/modules/bios/ldlinux.c32")
BIOS = Path("/usr/share/bochs")
TIMEOUT_SECONDS = 3000
AGREE, DIFFER = "AVX-512 AND AVX2 AGREE", "AVX-512 AND AVX2 DIFFER"

# Bits 321 and 323 are XSAVEC and XSAVES: Bochs does not report them as Linux expects.
BOOT_MENU = """\
default compare
prompt 0
label compare
 kernel /vmlinuz
 append initrd=/initrd console=ttyS0 quiet mitigations=off tsc=unstable clearcpuid=321,323
"""
MACHINE = """\
cpu: model=corei7_skylake_x, count=1, ips=100000000, ignore_bad_msrs=1
memory: guest=256, host=256
romimage: file={bios}/BIOS-bochs-latest
vgaromimage: file={bios}/VGABIOS-lgpl-latest
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path={folder}/boot.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev={folder}/serial
display_library: rfb, options="timeout=0"
log: {folder}/log
error: action=ignore
info: action=ignore
"""


def kernel_image() -> Path:
    """Return the newest installed kernel."""
    images = sorted(Path("/boot").glob("vmlinuz-*-cloud-amd64"))
    missing = [str(path) for path in (ISOLINUX, LDLINUX, BIOS) if not path.exists()]
    missing += [name for name in ("g++", "bochs", "xorriso", "cpio") if not shutil.which(name)]
    missing += [] if images else ["/boot/vmlinuz-*-cloud-amd64"]
    if missing:
        raise SystemExit(
            f"error: not found: {', '.join(missing)}; install Debian's packages g++ bochs bochsbios vgabios "
            "xorriso isolinux syslinux-common cpio linux-image-cloud-amd64"
        )
    return images[-1]


def build_program(program: Path) -> None:
    """Compile all kernels for both instruction sets with setup.py's flags; link them with compare.cpp."""
    sys.argv[1:] = ["--name"]  # the command line of setup.py: print the name, build nothing
    with contextlib.redirect_stdout(io.StringIO()):
        setup = runpy.run_path(str(ROOT / "setup.py"))
    objects = []
    for kernel in ("tvl1", "labels", "resize", "checksum"):
        for isa in ("avx2", "avx512"):
            objects.append(str(program.with_name(f"{kernel}_{isa}.o")))
            names = [f"-DMAS_KERNEL={kernel}_{isa}", f'-DMAS_ISA_NAME="{isa}"']
            source = NATIVE / kernel / f"{kernel}.cpp"
            flags = [
                "-I",
                str(NATIVE / "common"),
                *setup["COMMON_FLAGS"],
                *setup["INSTRUCTION_SETS"][isa],
                *names,
            ]
            subprocess.run(["g++", *flags, "-c", source, "-o", objects[-1]], check=True)
    source = Path(__file__).with_name("compare.cpp")
    folders = [f"-I{NATIVE / folder}" for folder in ("common", "tvl1", "labels", "resize", "checksum")]
    flags = ["-std=c++17", "-O1", "-static", "-s", *folders]
    subprocess.run(["g++", *flags, source, *objects, "-o", program], check=True)


def build_disc(folder: Path, kernel: Path) -> None:
    """Write a disc image that starts the program as the first process of the machine."""
    root, disc = folder / "root", folder / "disc"
    root.mkdir()
    (disc / "isolinux").mkdir(parents=True)
    build_program(folder / "compare")
    shutil.copy(folder / "compare", root / "init")
    with (disc / "initrd").open("wb") as out:
        subprocess.run(
            ["cpio", "-o", "-H", "newc", "--quiet"], input=b"init\n", stdout=out, cwd=root, check=True
        )
    shutil.copy(kernel, disc / "vmlinuz")
    for part in (ISOLINUX, LDLINUX):
        shutil.copy(part, disc / "isolinux")
    (disc / "isolinux" / "isolinux.cfg").write_text(BOOT_MENU)
    command: list[str | Path] = ["xorriso", "-as", "mkisofs", "-quiet", "-o", folder / "boot.iso"]
    command += ["-b", "isolinux/isolinux.bin", "-c", "isolinux/boot.cat"]
    command += ["-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", disc]
    subprocess.run(command, check=True)


def run_machine(folder: Path) -> bool:
    """Start the machine, print its output, and return whether the bits agree."""
    serial = folder / "serial"
    serial.touch()
    (folder / "machine").write_text(MACHINE.format(bios=BIOS, folder=folder))
    (folder / "go").write_text("c\n")  # Debian's Bochs starts in its debugger: continue
    command: list[str | Path] = ["bochs", "-q", "-f", folder / "machine", "-rc", folder / "go"]
    none = subprocess.DEVNULL
    with (
        subprocess.Popen(command, stdin=none, stdout=none, stderr=none, start_new_session=True) as bochs,
        serial.open(errors="replace") as lines,
    ):
        end = time.monotonic() + TIMEOUT_SECONDS
        text = ""
        while AGREE not in text and DIFFER not in text and time.monotonic() < end and bochs.poll() is None:
            time.sleep(1)
            news = lines.read()
            print(news, end="", flush=True)
            text += news
        os.killpg(bochs.pid, signal.SIGKILL)
    return AGREE in text


def main() -> None:
    """Build the program, run it, and exit with its status."""
    kernel = kernel_image()
    with tempfile.TemporaryDirectory() as folder:
        build_disc(Path(folder), kernel)
        if not run_machine(Path(folder)):
            raise SystemExit("error: the results of the emulated machine differ; see its output above")


if __name__ == "__main__":
    main()
