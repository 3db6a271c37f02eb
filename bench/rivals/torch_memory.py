"""PyTorch's memory while it is timed."""
import ctypes

TRIM_THRESHOLD, MMAP_MAX = -1, -4  # mallopt's numbers, of malloc.h


def keep_memory():
    """Makes malloc keep what it was given, as Gradus does. Otherwise each step gives its large tensors back to the
    system and takes them anew, and where page faults are expensive, as on some virtual machines, that is most of it."""
    libc = ctypes.CDLL(None)
    if not (libc.mallopt(MMAP_MAX, 0) and libc.mallopt(TRIM_THRESHOLD, 2**31 - 1)):
        raise OSError("mallopt refused its options")
