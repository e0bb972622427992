/* SPDX-License-Identifier: BSD-3-Clause */
/* The rules about memory: what was said already, and the daemon's own beside the guest's. */
#include "sim.h"

#include "base/bytes.h"
#include "wire/encode.h"

/* Rule: what a region's slot already is, is acknowledged here. */
bool model_region_repeated(struct model *model, const struct wire_message *message)
{
	int slot = peers_slot(message);
	bool add = message->header.id == WIRE_ADD_MEM_REG;
	bool repeated;

	repeated = model->slots[slot] == (add ? SLOT_LIVE : SLOT_REMOVED);
	if (add) {
		model->slots[slot] = SLOT_LIVE;
		model->slot_file[slot] = message->fds.entries[0].inode;
		repeated = repeated && !model->session->agreement.postcopy_listening;
	} else if (model->slots[slot] == SLOT_LIVE) {
		model->slots[slot] = SLOT_REMOVED;
	}
	return repeated;
}

bool model_arena_possible(const struct model *model)
{
	return !model->session->config.offers.watch_only && !model->arena_refused;
}

static struct wire_region arena(struct model *model)
{
	unsigned int rings = model->session->agreement.rings;

	if (model->arena_size == 0)
		model->arena_size = (uint64_t)(rings > 64 ? rings : 64) << 20;
	return (struct wire_region){
	    .gpa = UINT64_C(1) << 52, .size = model->arena_size, .uva = UINT64_C(1) << 44};
}

static void with_arena(struct wire_message *message)
{
	struct fd_entry file = {.fd = SESSION_FD_ARENA};

	fdset_push(&message->fds, &file);
}

/* Rule: a memory table has the daemon's rings at its end, where there is a place. */
struct wire_message *model_extended(struct model *model, struct wire_message *table)
{
	struct wire_region regions[WIRE_REGIONS_MAX];
	unsigned int count = table->fds.count;
	struct wire_message *longer;

	if (!model_arena_possible(model) || model->session->agreement.postcopy_listening)
		return table;
	model->arena_refused = count == WIRE_REGIONS_MAX;
	model->arena_given = !model->arena_refused;
	if (model->arena_refused)
		return table;
	for (unsigned int i = 0; i < count; i++)
		regions[i] = wire_table_region(table, i);
	regions[count] = arena(model);
	longer = wire_request_table(table->header.flags & WIRE_FLAG_NEED_REPLY, regions, count + 1);
	longer->fds = table->fds;
	with_arena(longer);
	wire_message_free(table);
	return longer;
}

/* Rule: before the first slot of memory comes the daemon's own. */
struct wire_message *model_arena_due(struct model *model)
{
	struct wire_message *request;
	struct wire_region at;

	if (model->arena_given || !model_arena_possible(model) ||
	    model->session->agreement.postcopy_listening)
		return NULL;
	model->arena_given = true;
	at = arena(model);
	request = wire_request_region(WIRE_ADD_MEM_REG, 0, &at);
	with_arena(request);
	return request;
}
