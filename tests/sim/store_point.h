/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Put in front of the ring's sources by the compiler (-include), in the copy of
 * them that the crash tests link: every atomic store, and that is every store to
 * shared memory that another end or a later process may act on, is announced. A
 * test that does not come back from store_point() has let the process die there.
 *
 * The sources themselves know nothing of it.
 */
#pragma once

void store_point(void);

/* A macro is not replaced within its own replacement. */
#define __atomic_store_n(to, value, order) (store_point(), __atomic_store_n((to), (value), (order)))
