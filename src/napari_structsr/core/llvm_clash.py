"""Two copies of LLVM in one program: that of OpenGL drivers, and that of triton.

Mesa's software and AMD drivers load LLVM as soon as a canvas is drawn. triton, which
torch imports for its optimizers where it is installed, brings a copy of its own, and
loading it beside the first one ends the program without a word (a segmentation fault
in the initialisers of libtriton). It is only needed to compile networks for GPUs.

Optimizers of torch import triton, and torchvision does, which spandrel imports. So jobs
of the viewer call this, and so does whatever uses those: the console of napari runs in
the same program.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

logger = logging.getLogger(__name__)

_MAPS = Path("/proc/self/maps")


def keep_triton_out() -> None:
    """Let torch find no triton where loading it would end the program."""
    if "triton" in sys.modules or not _MAPS.exists():
        return
    if "libLLVM" in _MAPS.read_text(errors="replace"):
        logger.info("the OpenGL driver has loaded LLVM: triton is left out")
        sys.modules["triton"] = None  # type: ignore[assignment]
