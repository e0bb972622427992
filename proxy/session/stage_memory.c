/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory map, and the repetitions of it that no back-end may see.
 */
#include "session/stage.h"

#include "base/bytes.h"
#include "session/effects.h"

#include <sys/types.h>

/* A region longer than its file faults the back-end at the first touch past the end. */
static void check_size(struct session *session, const struct wire_region *at,
		       const struct fd_entry *file)
{
	if (file->mode == 0 || file->size == 0)
		return;
	if (at->mmap_offset <= file->size && at->size <= file->size - at->mmap_offset)
		return;
	stage_log(session, LEVEL_WARN,
		  "memory region gpa 0x%llx: %llu bytes at offset %llu of a file of %llu bytes: "
		  "the back-end will fault behind its end",
		  (unsigned long long)at->gpa, (unsigned long long)at->size,
		  (unsigned long long)at->mmap_offset, (unsigned long long)file->size);
}

static void replace_table(struct session *session, const struct wire_message *message)
{
	unsigned int count = message->fds.count;

	regions_clear(&session->regions);
	for (unsigned int i = 0; i < count; i++) {
		struct wire_region at = wire_table_region(message, i);

		check_size(session, &at, &message->fds.entries[i]);
		regions_add(&session->regions, &at, &message->fds.entries[i]);
	}
}

static enum stage_verdict add(struct session *session, struct crossing *crossing)
{
	struct wire_region at = wire_slot_region(crossing->message);
	const struct fd_entry *file = &crossing->message->fds.entries[0];

	switch (regions_add(&session->regions, &at, file)) {
	case REGIONS_REPEATED:
		/* While postcopy listens, the answer is the back-end's own address: it must see it.
		 */
		if (postcopy_listening(&session->postcopy))
			return STAGE_PASS;
		return stage_acknowledge(session, crossing);
	case REGIONS_FULL:
		return stage_refuse(session, crossing,
				    "ADD_MEM_REG of a %uth region, at most %u are kept",
				    WIRE_SLOTS_MAX + 1, WIRE_SLOTS_MAX);
	}
	check_size(session, &at, file);
	return STAGE_PASS;
}

static enum stage_verdict take_out(struct session *session, struct crossing *crossing)
{
	struct wire_region at = wire_slot_region(crossing->message);

	/* A region never added is the back-end's to refuse, as without the daemon. */
	if (regions_remove(&session->regions, &at) == REGIONS_REPEATED)
		return stage_acknowledge(session, crossing);
	return STAGE_PASS;
}

static enum stage_verdict front_request(struct session *session, struct crossing *crossing)
{
	switch (crossing->message->header.id) {
	case WIRE_SET_MEM_TABLE:
		if (!crossing->acknowledges)
			replace_table(session, crossing->message);
		break;
	case WIRE_ADD_MEM_REG:
		return add(session, crossing);
	case WIRE_REM_MEM_REG:
		return take_out(session, crossing);
	}
	return STAGE_PASS;
}

/* What the back-end refused is not in force: asked again it is no repetition. */
static enum stage_verdict back_reply(struct session *session, struct crossing *crossing)
{
	const struct wire_message *reply = crossing->message;

	if (reply->header.size != sizeof(uint64_t) || bytes_load64(reply->payload) == 0)
		return STAGE_PASS;
	switch (reply->header.id) {
	case WIRE_ADD_MEM_REG:
		regions_undo_add(&session->regions, crossing->entry->region);
		break;
	case WIRE_REM_MEM_REG:
		regions_undo_remove(&session->regions, crossing->entry->region);
		break;
	}
	return STAGE_PASS;
}

const struct stage stage_memory = {
    .name = "memory",
    .front_request = front_request,
    .back_reply = back_reply,
};
