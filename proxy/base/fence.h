/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The one full barrier: orders a store of ours before our load of what another
 * party stored the other way round. With less both may see the old value: on any
 * processor a load may pass a store before it, so a release is not enough.
 */
#pragma once

static inline void fence_full(void)
{
#ifdef __SANITIZE_THREAD__
	/* gcc's TSan has no fences; a read-modify-write orders as much. */
	static int dummy;

	__atomic_fetch_add(&dummy, 0, __ATOMIC_SEQ_CST);
#else
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}
