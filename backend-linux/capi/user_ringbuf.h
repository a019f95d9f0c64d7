/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * libuser_ringbuf: publish samples from user space into a BPF program through a BPF_MAP_TYPE_USER_RINGBUF map.
 *
 * The first half of this file declares libbpf's six user_ring_buffer functions, which this library exports under the
 * same names and with the same contract. A program that was built against libbpf uses these instead of libbpf's if
 * the library is preloaded (LD_PRELOAD=libuser_ringbuf.so) or comes before -lbpf on the linker's command line. The
 * second half declares the same functions with the prefix uringbuf_, for programs that link libbpf.a statically, and
 * functions that libbpf does not offer. Needs a 64-bit kernel, Linux 6.1 or newer; the library needs only libc.
 *
 * Rules
 *
 *  - The caller serialises reservations and pushes on one ring, through all handles in all processes, with one lock.
 *    uringbuf_claim() and waiting for room need the same lock. Submit and discard need no lock: any thread may call
 *    them, in any order, concurrently with a reservation.
 *  - The kernel sees a sample from its reservation on, as a busy record. It stops there, and everything behind the
 *    record waits until the sample is submitted or discarded.
 *  - The pointer to a sample is aligned to 8 bytes. It stays readable after submit, until the handle is freed, but may
 *    then read bytes of a later sample.
 *  - Any number of handles may be open on one ring, and a forked child may go on using its parent's. Handles remember
 *    nothing: each reservation reads both positions anew. Records of other producers, busy ones included, are left
 *    alone.
 *  - The map's file descriptor may be closed as soon as a handle is open on it.
 *
 * Errors
 *
 * Functions that fail return NULL or -1 and set errno to the value that libbpf sets, if libbpf has the function. They
 * differ from libbpf on purpose in these cases:
 *
 *  - A sample of 2^24 bytes or more fails with E2BIG. libbpf reserves it, and every drain then returns -E2BIG.
 *  - Positions that are impossible in a ring of this size fail with EUCLEAN. libbpf writes beyond the free space.
 *  - reserve_blocking with a timeout of -1 waits until there is room. libbpf returns ENOSPC on a partly full ring.
 *  - Waiting sleeps. libbpf uses a whole CPU while the ring is partly full.
 *  - A NULL handle, a pointer that reserve did not return, and a sample that was already submitted or discarded fail
 *    with EINVAL, as far as they can be detected. libbpf writes to the ring, or crashes.
 *  - If a security policy forbids bpf(2), a handle is opened by reading /proc/self/fdinfo instead.
 *  - On a 32-bit kernel, opening a handle fails with EOPNOTSUPP.
 *  - Nothing is printed. libbpf warns on stderr.
 */
#ifndef USER_RINGBUF_H
#define USER_RINGBUF_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * libbpf's names. They are left out if <bpf/libbpf.h>, which declares the same, was included before: include it first.
 * Define URINGBUF_NO_LIBBPF_NAMES to leave them out altogether.
 */
#if !defined(__LIBBPF_LIBBPF_H) && !defined(URINGBUF_NO_LIBBPF_NAMES)

struct user_ring_buffer;

struct user_ring_buffer_opts {
	size_t sz; /* size of this struct, for forward/backward compatibility */
};

/*
 * Opens a handle on the map. opts may be NULL; otherwise sz must be at least the size of a size_t, and all bytes
 * beyond the known members must be zero. Returns NULL on failure, with errno EINVAL (wrong opts, or not a user ring
 * buffer), EBADFD (not open), EMFILE, ENFILE, ENOMEM, E2BIG (the ring does not fit the address space), EPERM, or
 * another error of the kernel's. Nothing stays open or mapped after a failure.
 */
struct user_ring_buffer *user_ring_buffer__new(int map_fd, const struct user_ring_buffer_opts *opts);

/*
 * Reserves a sample of size bytes, which may be 0. Returns NULL on failure, with errno E2BIG (the ring can never hold
 * it, or the kernel would not take it), ENOSPC (no room until the kernel drains) or EUCLEAN (the positions are wrong).
 */
void *user_ring_buffer__reserve(struct user_ring_buffer *rb, uint32_t size);

/*
 * Like user_ring_buffer__reserve, but waits up to timeout_ms milliseconds for room: -1 waits without limit, 0 does not
 * wait. When the time is up it tries once more and, if there is still no room, fails with ENOSPC. A timeout below -1
 * fails with EINVAL. A handled signal ends the wait with EINTR. Room is found at once if the consumer's drains wake,
 * and within 20 ms if it drains with BPF_RB_NO_WAKEUP.
 */
void *user_ring_buffer__reserve_blocking(struct user_ring_buffer *rb, uint32_t size, int timeout_ms);

/* Hands a sample to the kernel. If no reserved sample is at this address, only sets errno to EINVAL. */
void user_ring_buffer__submit(struct user_ring_buffer *rb, void *sample);

/*
 * Makes the kernel skip a sample. Discarding makes no room by itself: the room is free once the kernel has drained past
 * the record. If no reserved sample is at this address, only sets errno to EINVAL.
 */
void user_ring_buffer__discard(struct user_ring_buffer *rb, void *sample);

/* Closes a handle; NULL is allowed. Samples that are still reserved stay in the ring, busy. */
void user_ring_buffer__free(struct user_ring_buffer *rb);

#endif

/*
 * The same functions under our own prefix. A struct uringbuf is not libbpf's struct user_ring_buffer: don't mix them.
 */

struct uringbuf;

struct uringbuf_opts {
	size_t sz; /* size of this struct, for forward/backward compatibility */
};

struct uringbuf *uringbuf_new(int map_fd, const struct uringbuf_opts *opts);
void *uringbuf_reserve(struct uringbuf *rb, uint32_t size);
/* Also fails with ECANCELED, if the wait was cancelled. */
void *uringbuf_reserve_blocking(struct uringbuf *rb, uint32_t size, int timeout_ms);
/* These two return 0, or -1 with errno EINVAL. */
int uringbuf_submit(struct uringbuf *rb, void *sample);
int uringbuf_discard(struct uringbuf *rb, void *sample);
void uringbuf_free(struct uringbuf *rb);

/*
 * Functions that libbpf does not offer.
 */

/*
 * Copies size bytes into the ring and publishes them in one step. Nothing is visible before, so a process that dies
 * meanwhile leaves no trace. Faster than reserve, copy and submit. The bytes must not lie in the ring. Returns 0, or -1
 * with the errno values of uringbuf_reserve, or EINVAL if data is NULL and size is not 0.
 */
int uringbuf_push(struct uringbuf *rb, const void *data, size_t size);

/*
 * Copies count samples into the ring and publishes all of them at once, or none. Returns 0, or -1 with the errno values
 * of uringbuf_push; E2BIG also means that the ring can never hold all of them together.
 */
int uringbuf_push_batch(struct uringbuf *rb, const struct iovec *samples, size_t count);

/*
 * Submits the first size bytes of a sample. The kernel skips the rest of the record. Returns 0, or -1 with errno EINVAL
 * if size is more than was reserved, in which case the sample stays reserved, or if no reserved sample is at this
 * address.
 */
int uringbuf_submit_len(struct uringbuf *rb, void *sample, uint32_t size);

/* Returns the position where everything reserved or pushed so far ends, in bytes since the map was made; 0 for NULL. */
uint64_t uringbuf_position(const struct uringbuf *rb);

/*
 * Waits up to timeout_ms milliseconds (-1 waits without limit, 0 does not wait) until the kernel has consumed
 * everything before position, a value that uringbuf_position returned. Returns 0, or -1 with errno ETIMEDOUT, EINTR,
 * ECANCELED, EINVAL (a position ahead of what was reserved, or a timeout below -1) or EUCLEAN. Needs no lock.
 */
int uringbuf_wait_consumed(struct uringbuf *rb, uint64_t position, int timeout_ms);

/*
 * Ends all waits on this handle, current and future, with ECANCELED, until uringbuf_resume. A call that finds room at
 * once still succeeds. Any thread may call it, and so may a signal handler. Takes effect at once, or within 20 ms if
 * the process has no file descriptor left.
 */
void uringbuf_cancel(struct uringbuf *rb);
void uringbuf_resume(struct uringbuf *rb);

/*
 * Claims the ring for this process on the whole machine. Producers that ask for the claim, such as the user-ringbuf
 * command and Rust producers, are then refused. Producers that don't ask, such as libbpf and handles without a claim,
 * are not kept out. map_fd is the map that the handle was opened on. The claim ends with the handle or the process.
 * Returns 0, or -1 with errno EBUSY if another handle or process has the claim, or an error of uringbuf_new.
 */
int uringbuf_claim(struct uringbuf *rb, int map_fd);

/*
 * Makes a map of size bytes, rounded up to a power-of-two number of pages. name may be NULL, or has at most 15 letters,
 * digits, '_' and '.'. Returns a close-on-exec file descriptor, or -1 with errno EINVAL, E2BIG (more than 2 GiB),
 * ENAMETOOLONG, EPERM (needs CAP_BPF), ENOMEM or EOPNOTSUPP (before Linux 6.1).
 */
int uringbuf_map_create(const char *name, uint64_t size);

/*
 * Opens a map that is pinned on a bpffs. Returns a close-on-exec file descriptor, or -1 with errno ENOENT, EACCES (also
 * for a path outside any bpffs), ENAMETOOLONG or EINVAL (not a user ring buffer, or path is NULL).
 */
int uringbuf_map_open(const char *path);

/* The state of a ring. */
enum uringbuf_verdict {
	URINGBUF_EMPTY = 0,     /* it is empty */
	URINGBUF_FLOWING = 1,   /* the kernel can take everything that is in it */
	URINGBUF_HELD = 2,      /* a busy record holds it up: about to be submitted, or its producer died */
	URINGBUF_JAMMED = 3,    /* every drain that reaches the obstacle returns an error */
	URINGBUF_MISPLACED = 4, /* the positions are wrong */
};

struct uringbuf_state {
	size_t sz;           /* size of this struct: set it before the call */
	int verdict;         /* enum uringbuf_verdict */
	int kernel_errno;    /* EINVAL or E2BIG, if a drain returns it at the obstacle; else 0 */
	uint64_t ring_size;  /* bytes */
	uint64_t consumer;   /* positions, in bytes since the map was made */
	uint64_t producer;
	uint64_t obstacle;   /* position of the record that the kernel can't pass; the consumer position if there is none */
	uint64_t submitted;  /* records in the ring */
	uint64_t busy;
	uint64_t discarded;
	uint64_t damaged;
	uint64_t ready;      /* records that the kernel takes before it reaches the obstacle */
};

/*
 * Looks at a ring without changing it, and fills in as much of state as its sz says. Returns 0, or -1 with the errno
 * values of uringbuf_new. `user-ringbuf inspect` shows more; `user-ringbuf repair` frees a ring that is held up or
 * jammed.
 */
int uringbuf_inspect(int map_fd, struct uringbuf_state *state);

#ifdef __cplusplus
}
#endif

#endif /* USER_RINGBUF_H */
