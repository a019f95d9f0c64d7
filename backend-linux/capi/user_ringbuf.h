/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * libuser_ringbuf: publish samples from user space into a BPF program through a BPF_MAP_TYPE_USER_RINGBUF map.
 *
 * The first half of this file declares libbpf's six user_ring_buffer functions, which this library exports under the
 * same names and with the same contract. A program that was built against libbpf takes these instead of libbpf's if
 * the library is preloaded (LD_PRELOAD=libuser_ringbuf.so) or stands before -lbpf on the linker's command line. The
 * second half declares the same functions with the prefix uringbuf_, for programs that link libbpf.a statically, and
 * what libbpf does not offer. Needs Linux 6.1 or newer on a 64-bit kernel; the library needs libc and nothing else.
 *
 * Rules
 *
 *  - Reservations and pushes on one ring, through all handles in all processes, take place under one lock of the
 *    caller's, and so do uringbuf_claim() and waiting for room. Submit and discard need no lock: any thread, in any
 *    order, beside a reservation.
 *  - A sample is visible to the kernel from its reservation on, as a busy record. The kernel stops there, and
 *    everything behind it waits until it is submitted or discarded.
 *  - The pointer to a sample is aligned to 8 bytes. It stays readable after submit, until the handle is freed; what
 *    it reads may then be a later sample's bytes.
 *  - Any number of handles may be open on one ring, and a forked child may go on using its parent's. Handles remember
 *    nothing: each reservation reads both positions anew. Records of others, busy ones included, are left alone.
 *  - The map's file descriptor may be closed as soon as a handle is open on it.
 *
 * Errors
 *
 * Functions that fail return NULL or -1 and set errno to the value that libbpf sets, where libbpf has the function.
 * Where they differ from libbpf, they do so on purpose:
 *
 *  - A sample of 2^24 bytes or more is E2BIG. libbpf reserves it, and the kernel then answers every drain with -E2BIG.
 *  - Positions that no ring of this size can have are EUCLEAN. libbpf writes beyond the free space.
 *  - reserve_blocking with a timeout of -1 waits until there is room. libbpf returns ENOSPC on a ring that is partly full.
 *  - Waiting sleeps. libbpf uses a whole CPU while the ring is partly full.
 *  - A NULL handle, a pointer that reserve did not return, and a sample that was already submitted or discarded are
 *    refused with EINVAL, as far as that can be seen. libbpf writes to the ring, or crashes.
 *  - Where a security policy forbids bpf(2), a handle is opened by reading /proc/self/fdinfo.
 *  - A 32-bit kernel is EOPNOTSUPP.
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
 * libbpf's names. Left out if <bpf/libbpf.h> was included before, which declares the same: include that first.
 * Define URINGBUF_NO_LIBBPF_NAMES to leave them out altogether.
 */
#if !defined(__LIBBPF_LIBBPF_H) && !defined(URINGBUF_NO_LIBBPF_NAMES)

struct user_ring_buffer;

struct user_ring_buffer_opts {
	size_t sz; /* size of this struct, for forward/backward compatibility */
};

/*
 * Opens a handle on the map. opts may be NULL; otherwise sz is at least the size of a size_t, and all bytes beyond
 * the known members are zero. Returns NULL with errno EINVAL (opts, or not a user ring buffer), EBADFD (not open),
 * EMFILE, ENFILE, ENOMEM, E2BIG (the ring does not fit the address space), EPERM and others of the kernel's. Nothing
 * stays open or mapped then.
 */
struct user_ring_buffer *user_ring_buffer__new(int map_fd, const struct user_ring_buffer_opts *opts);

/*
 * Reserves a sample of size bytes, 0 included. Returns NULL with errno E2BIG (the ring can never hold it, or the kernel
 * would not take it), ENOSPC (no room until the kernel drains) or EUCLEAN (the positions are wrong).
 */
void *user_ring_buffer__reserve(struct user_ring_buffer *rb, uint32_t size);

/*
 * As user_ring_buffer__reserve, and waits up to timeout_ms milliseconds for room: -1 without limit, 0 not at all. When
 * the time is up there is one last attempt, whose errno is returned: ENOSPC. EINVAL for a timeout below -1. A signal
 * that is handled ends the wait with EINTR. Room is found at once if the consumer wakes, and within 20 ms if it
 * drains with BPF_RB_NO_WAKEUP.
 */
void *user_ring_buffer__reserve_blocking(struct user_ring_buffer *rb, uint32_t size, int timeout_ms);

/* Hands a sample to the kernel. If there is none at this address, nothing happens but that errno becomes EINVAL. */
void user_ring_buffer__submit(struct user_ring_buffer *rb, void *sample);

/*
 * Makes the kernel skip a sample. Its room is free once the kernel has drained past it: discarding does not make room.
 * If there is no sample at this address, nothing happens but that errno becomes EINVAL.
 */
void user_ring_buffer__discard(struct user_ring_buffer *rb, void *sample);

/* Closes a handle; NULL is allowed. Samples that are still reserved stay in the ring, busy. */
void user_ring_buffer__free(struct user_ring_buffer *rb);

#endif

/*
 * The same under a prefix of our own. A struct uringbuf is not a struct user_ring_buffer of libbpf's: don't mix them.
 */

struct uringbuf;

struct uringbuf_opts {
	size_t sz; /* size of this struct, for forward/backward compatibility */
};

struct uringbuf *uringbuf_new(int map_fd, const struct uringbuf_opts *opts);
void *uringbuf_reserve(struct uringbuf *rb, uint32_t size);
/* ECANCELED besides, if the wait was cancelled. */
void *uringbuf_reserve_blocking(struct uringbuf *rb, uint32_t size, int timeout_ms);
/* These two return 0, or -1 with errno EINVAL. */
int uringbuf_submit(struct uringbuf *rb, void *sample);
int uringbuf_discard(struct uringbuf *rb, void *sample);
void uringbuf_free(struct uringbuf *rb);

/*
 * What libbpf does not offer.
 */

/*
 * Copies size bytes into the ring and publishes them in one step: nothing is visible before, so a process that dies
 * meanwhile leaves no trace. Faster than reserve, copy and submit. The bytes must not lie in the ring. Returns 0, or -1
 * with errno as uringbuf_reserve, or EINVAL if data is NULL and size is not 0.
 */
int uringbuf_push(struct uringbuf *rb, const void *data, size_t size);

/*
 * Copies count samples into the ring and publishes all of them at once, or none. Returns 0, or -1 with errno as
 * uringbuf_push; E2BIG also if the ring can never hold them together.
 */
int uringbuf_push_batch(struct uringbuf *rb, const struct iovec *samples, size_t count);

/*
 * Submits the first size bytes of a sample. The kernel skips the rest of the record. Returns 0, or -1 with errno EINVAL
 * if size is more than was reserved, in which case the sample stays reserved, or if there is no sample at this address.
 */
int uringbuf_submit_len(struct uringbuf *rb, void *sample, uint32_t size);

/* Returns where everything reserved or pushed so far ends, in bytes since the map was made; 0 for NULL. */
uint64_t uringbuf_position(const struct uringbuf *rb);

/*
 * Waits up to timeout_ms milliseconds (-1 without limit, 0 not at all) until the kernel has consumed everything before
 * position, as uringbuf_position returned it. Returns 0, or -1 with errno ETIMEDOUT, EINTR, ECANCELED, EINVAL (a
 * position that lies ahead, or a timeout below -1) or EUCLEAN. Needs no lock.
 */
int uringbuf_wait_consumed(struct uringbuf *rb, uint64_t position, int timeout_ms);

/*
 * Ends the waits on this handle, those under way and those to come, with ECANCELED, until uringbuf_resume. An attempt that
 * finds room at once still succeeds. Any thread may call it, and a signal handler. Takes effect at once, or within 20 ms if
 * the process has no file descriptor left.
 */
void uringbuf_cancel(struct uringbuf *rb);
void uringbuf_resume(struct uringbuf *rb);

/*
 * Claims the ring for this process on the whole machine: others that ask for the claim are refused, such as the
 * user-ringbuf command and Rust producers. It does not keep out those who don't ask, such as libbpf and handles
 * without a claim. map_fd is the map that the handle was opened on. The claim ends with the handle or the process.
 * Returns 0, or -1 with errno EBUSY if another handle or process has the claim, or an error of uringbuf_new.
 */
int uringbuf_claim(struct uringbuf *rb, int map_fd);

/*
 * Makes a map of size bytes, rounded up to a power-of-two number of pages. name has at most 15 letters, digits, '_' and
 * '.', and may be NULL. Returns its file descriptor, close-on-exec, or -1 with errno EINVAL, E2BIG (more than 2 GiB),
 * ENAMETOOLONG, EPERM (needs CAP_BPF), ENOMEM or EOPNOTSUPP (before Linux 6.1).
 */
int uringbuf_map_create(const char *name, uint64_t size);

/*
 * Opens a map that is pinned on a bpffs. Returns its file descriptor, close-on-exec, or -1 with errno ENOENT, EACCES (also
 * for a path outside any bpffs), ENAMETOOLONG or EINVAL (not a user ring buffer, or NULL).
 */
int uringbuf_map_open(const char *path);

/* How a ring stands. */
enum uringbuf_verdict {
	URINGBUF_EMPTY = 0,     /* nothing is in it */
	URINGBUF_FLOWING = 1,   /* the kernel can take everything that is in it */
	URINGBUF_HELD = 2,      /* a busy record holds it up: about to be submitted, or its producer died */
	URINGBUF_JAMMED = 3,    /* the kernel answers every drain that gets to the obstacle with an error */
	URINGBUF_MISPLACED = 4, /* the positions are wrong */
};

struct uringbuf_state {
	size_t sz;           /* size of this struct: set it before the call */
	int verdict;         /* enum uringbuf_verdict */
	int kernel_errno;    /* EINVAL or E2BIG if the kernel answers a drain with it, or 0 */
	uint64_t ring_size;  /* bytes */
	uint64_t consumer;   /* positions, in bytes since the map was made */
	uint64_t producer;
	uint64_t obstacle;   /* the record that the kernel does not get past; the consumer position if there is none */
	uint64_t submitted;  /* records in the ring */
	uint64_t busy;
	uint64_t discarded;
	uint64_t damaged;
	uint64_t ready;      /* records that the kernel takes before it meets the obstacle */
};

/*
 * Looks at a ring, without changing it, and fills in as much of state as its sz says. Returns 0, or -1 with errno as
 * uringbuf_new. `user-ringbuf inspect` shows more, and `user-ringbuf repair` frees a ring that is held up or jammed.
 */
int uringbuf_inspect(int map_fd, struct uringbuf_state *state);

#ifdef __cplusplus
}
#endif

#endif /* USER_RINGBUF_H */
