/* SPDX-License-Identifier: BSD-3-Clause */
#include "logging/dirty.h"

static const struct sm_state states[] = {
    [DIRTY_OFF] = {"off", SM_TO(DIRTY_BASED) | SM_TO(DIRTY_WANTED)},
    [DIRTY_BASED] = {"based", SM_TO(DIRTY_ON)},
    [DIRTY_WANTED] = {"wanted", SM_TO(DIRTY_OFF) | SM_TO(DIRTY_ON)},
    /* There is no message that takes the memory away: off again means based. */
    [DIRTY_ON] = {"on", SM_TO(DIRTY_BASED)},
};

void dirty_init(struct dirty *dirty)
{
	*dirty = (struct dirty){.sm = {.table = states, .state = DIRTY_OFF}};
}

bool dirty_base(struct dirty *dirty, uint64_t size, uint64_t offset, const struct fd_entry *file)
{
	bool repeated = dirty->based && dirty->size == size && dirty->offset == offset &&
			fd_entry_same_file(&dirty->file, file);

	dirty->based = true;
	dirty->size = size;
	dirty->offset = offset;
	dirty->file = *file;
	dirty->file.fd = -1;
	if (dirty->sm.state == DIRTY_OFF)
		sm_move(&dirty->sm, DIRTY_BASED);
	if (dirty->sm.state == DIRTY_WANTED)
		sm_move(&dirty->sm, DIRTY_ON);
	return repeated;
}

bool dirty_ordered(const struct dirty *dirty)
{
	return dirty->sm.state == DIRTY_WANTED || dirty->sm.state == DIRTY_ON;
}

void dirty_order(struct dirty *dirty, bool on)
{
	if (on)
		sm_move(&dirty->sm, dirty->based ? DIRTY_ON : DIRTY_WANTED);
	else
		sm_move(&dirty->sm, dirty->based ? DIRTY_BASED : DIRTY_OFF);
}
