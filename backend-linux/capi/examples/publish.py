#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Publishes its arguments into a pinned ring, without a compiler: python3 publish.py /sys/fs/bpf/ring hello from Python"""
import ctypes
import os
import sys

lib = ctypes.CDLL("libuser_ringbuf.so.0.1", use_errno=True)
lib.uringbuf_map_open.argtypes = [ctypes.c_char_p]
lib.uringbuf_new.restype = ctypes.c_void_p
lib.uringbuf_new.argtypes = [ctypes.c_int, ctypes.c_void_p]
lib.uringbuf_reserve_blocking.restype = ctypes.c_void_p
lib.uringbuf_reserve_blocking.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int]
lib.uringbuf_submit.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
lib.uringbuf_push.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
lib.uringbuf_free.argtypes = [ctypes.c_void_p]


def checked(answer, what):
    """The answer of a function that returns NULL or -1 when it fails."""
    if answer is None or answer == -1:
        errno = ctypes.get_errno()
        raise OSError(errno, f"{what}: {os.strerror(errno)}")
    return answer


if len(sys.argv) < 3:
    sys.exit(f"usage: {sys.argv[0]} PIN SAMPLE...")
pin, first, *rest = (argument.encode() for argument in sys.argv[1:])
map_fd = checked(lib.uringbuf_map_open(pin), "uringbuf_map_open")
ring = checked(lib.uringbuf_new(map_fd, None), "uringbuf_new")
# In place, waiting up to a second for room.
sample = checked(lib.uringbuf_reserve_blocking(ring, len(first), 1000), "uringbuf_reserve_blocking")
ctypes.memmove(sample, first, len(first))
checked(lib.uringbuf_submit(ring, sample), "uringbuf_submit")
for each in rest:
    checked(lib.uringbuf_push(ring, each, len(each)), "uringbuf_push")
print(f"published {1 + len(rest)} samples")
lib.uringbuf_free(ring)
os.close(map_fd)
