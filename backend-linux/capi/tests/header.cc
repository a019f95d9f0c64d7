// SPDX-License-Identifier: MIT OR Apache-2.0
// The header in C++, alone, twice, and behind libbpf's.
#ifdef BEHIND_LIBBPF
#include <bpf/libbpf.h>
#endif
#include <user_ringbuf.h>
#include <user_ringbuf.h>

static_assert(sizeof(user_ring_buffer_opts) == sizeof(size_t), "as libbpf's");
static_assert(sizeof(uringbuf_state) == 16 + 9 * 8, "as the library's");

int main()
{
	user_ring_buffer *none = nullptr;
	user_ring_buffer__free(none);
	uringbuf_free(nullptr);
	return user_ring_buffer__new(-1, nullptr) == nullptr ? 0 : 1;
}
