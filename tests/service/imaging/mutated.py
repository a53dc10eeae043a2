"""Damaged copies of good image files: bytes, lengths, counts, and parts; the same seed makes the same copies.

    python -m tests.service.imaging.mutated --count 20000 --seed 1

reads so many of them and reports what was slow, took more memory than estimated, or failed in another way than by
`UndecodableImage` or `TooManyPixels`. Needs Linux.
"""

import argparse
import random
import struct
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from fer_service.contract.errors import TooManyPixels, UndecodableImage
from fer_service.imaging.decode import decode
from fer_service.imaging.encoded import open_image

from tests.service.imaging.samples import samples
from tests.service.imaging.segments import restructured

MAX_PIXELS = 50_000_000
SECONDS = 3.0
MEGABYTES = 50
_NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def mutated(source: random.Random, data: bytes) -> bytes:
    """Return a copy with one to three changes."""
    copy = bytearray(data)
    for _ in range(source.choice((1, 1, 2, 3))):
        # Headers and tables are at the begin of most formats, and at the end of some.
        limit = source.choice((64, 400, len(copy), len(copy)))
        at = source.randrange(min(limit, len(copy)))
        if source.random() < 0.1:
            at = len(copy) - 1 - at
        _change(source, copy, at)
        if not copy:
            return b""
    return bytes(copy)


def _change(source: random.Random, copy: bytearray, at: int) -> None:
    size = source.choice((1, 2, 4, 40, 400))
    match source.randrange(8):
        case 0:
            copy[at] ^= 1 << source.randrange(8)
        case 1 | 2 | 3:
            number = struct.pack(source.choice((">", "<")) + "I", source.choice(_NUMBERS))
            part = source.choice((1, 2, 3, 4))
            copy[at : at + part] = number[:part] if source.random() < 0.5 else number[-part:]
        case 4:
            copy[at] = (copy[at] + source.choice((-1, 1, 16))) % 256
        case 5:
            del copy[at : at + size]
        case 6:
            copy[at:at] = copy[at : at + size]
        case _:
            if source.random() < 0.5:
                del copy[at:]
            else:
                copy[at : at + size] = source.randbytes(size)


def copies(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of damaged copies of all samples in turn."""
    source, names = random.Random(seed), list(samples())
    for number in range(count):
        name = names[number % len(names)]
        yield name, damaged(source, name)


def damaged(source: random.Random, name: str) -> bytes:
    """Return a damaged copy of a sample: other bytes, or its parts in another order, or both."""
    files = samples()
    data, kind = files[name], source.randrange(4)
    if kind < 2:
        # Half of the parts of other files come from files of the same format.
        others = [other for other in files if other.split()[0] == name.split()[0] or source.random() < 0.2]
        data = restructured(source, data, files[source.choice(others)])
    return mutated(source, data) if data and kind else data


def verdict(data: bytes) -> tuple[str, str]:
    """Open and decode a file; return the outcome, and a complaint or an empty text."""
    before, began = _reset(), time.perf_counter()
    estimate, outcome, complaint = 0, "read", ""
    try:
        image = open_image(data, MAX_PIXELS)
        estimate, outcome = image.header.memory, "read"
        decode(image.data, image.header)
    except (UndecodableImage, TooManyPixels) as error:
        outcome = "decoder refused" if estimate else type(error).__name__
    except Exception as error:  # that is what the campaign looks for
        outcome, complaint = "defect", repr(error)
    seconds = time.perf_counter() - began
    megabytes = (_status("VmHWM") - before) / 1024
    if seconds > SECONDS:
        complaint = f"{seconds:.1f} s"
    elif megabytes > estimate / 1e6 + MEGABYTES:
        complaint = f"{megabytes:.0f} MB, estimated {estimate / 1e6:.0f} MB"
    return outcome, complaint


def _reset() -> int:
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _status("VmRSS")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1, help="Seed of the changes.")
    parser.add_argument("--count", type=int, default=20_000, help="Number of copies.")
    parser.add_argument("--keep", type=Path, help="Write the copies with a complaint to this folder.")
    arguments = parser.parse_args()
    outcomes, complaints = Counter[str](), 0
    for number, (name, data) in enumerate(copies(arguments.seed, arguments.count)):
        outcome, complaint = verdict(data)
        outcomes[outcome] += 1
        if complaint:
            complaints += 1
            print(f"{number}: {name}: {complaint}", flush=True)
            if arguments.keep:
                (arguments.keep / f"{arguments.seed}-{number}").write_bytes(data)
    print(dict(outcomes), f"{complaints} complaints")
    sys.exit(bool(complaints))


if __name__ == "__main__":
    main()
