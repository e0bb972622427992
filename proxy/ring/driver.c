/* SPDX-License-Identifier: BSD-3-Clause */
#include "ring/driver.h"

int driver_init(struct driver *driver, enum ring_format format, const struct ring_areas *areas,
		unsigned int num, bool event_idx, uint32_t base, struct diag *diag)
{
	driver->format = format;
	if (format == RING_SPLIT)
		return split_driver_init(&driver->split, areas, num, event_idx, (uint16_t)base,
					 diag);
	return packed_driver_init(&driver->packed, areas, num, event_idx, (uint16_t)base, diag);
}

void driver_deinit(struct driver *driver)
{
	if (driver->format == RING_SPLIT)
		split_driver_deinit(&driver->split);
	else
		packed_driver_deinit(&driver->packed);
}

void driver_in_order(struct driver *driver)
{
	if (driver->format == RING_SPLIT)
		split_driver_in_order(&driver->split);
	else
		packed_driver_in_order(&driver->packed);
}

int driver_add(struct driver *driver, const struct ring_buffer *buffers, unsigned int count,
	       uint64_t token)
{
	if (driver->format == RING_SPLIT)
		return split_driver_add(&driver->split, buffers, count, token);
	return packed_driver_add(&driver->packed, buffers, count, token);
}

int driver_add_table(struct driver *driver, uint64_t addr, uint32_t len, uint32_t writable,
		     uint64_t token)
{
	if (driver->format == RING_SPLIT)
		return split_driver_add_table(&driver->split, addr, len, writable, token);
	return packed_driver_add_table(&driver->packed, addr, len, writable, token);
}

int driver_add_chain(struct driver *driver, const struct ring_chain *chain, uint64_t token)
{
	if (driver->format == RING_SPLIT)
		return split_driver_add_chain(&driver->split, chain, token);
	return packed_driver_add_chain(&driver->packed, chain, token);
}

uint32_t driver_table(const struct driver *driver, void *table, const struct ring_buffer *buffers,
		      unsigned int count)
{
	if (driver->format == RING_SPLIT)
		return split_driver_table(table, buffers, count);
	return packed_driver_table(table, buffers, count);
}

void driver_publish(struct driver *driver)
{
	if (driver->format == RING_SPLIT)
		split_driver_publish(&driver->split);
	else
		packed_driver_publish(&driver->packed);
}

bool driver_kick_wanted(struct driver *driver)
{
	if (driver->format == RING_SPLIT)
		return split_driver_kick_wanted(&driver->split);
	return packed_driver_kick_wanted(&driver->packed);
}

int driver_take(struct driver *driver, struct ring_done *done, struct diag *diag)
{
	if (driver->format == RING_SPLIT)
		return split_driver_take(&driver->split, done, diag);
	return packed_driver_take(&driver->packed, done, diag);
}

int driver_collect(struct driver *driver, struct ring_done *done, struct diag *diag)
{
	if (driver->format == RING_SPLIT)
		return split_driver_collect(&driver->split, done, diag);
	return packed_driver_collect(&driver->packed, done, diag);
}

bool driver_calls(struct driver *driver, bool wanted)
{
	if (driver->format == RING_SPLIT)
		return split_driver_calls(&driver->split, wanted);
	return packed_driver_calls(&driver->packed, wanted);
}

bool driver_busy(const struct driver *driver)
{
	return driver->format == RING_SPLIT && split_driver_busy(&driver->split);
}

int driver_recall(struct driver *driver, uint32_t base, struct diag *diag)
{
	if (driver->format == RING_SPLIT)
		return split_driver_recall(&driver->split, base, diag);
	return packed_driver_recall(&driver->packed, base, diag);
}

unsigned int driver_chains(const struct driver *driver)
{
	return driver->format == RING_SPLIT ? driver->split.chains : driver->packed.chains;
}

unsigned int driver_size(const struct driver *driver)
{
	return driver->format == RING_SPLIT ? driver->split.mask + 1u : driver->packed.num;
}

bool driver_token(const struct driver *driver, unsigned int at, uint64_t *token)
{
	if (driver->format == RING_SPLIT) {
		*token = driver->split.slots[at].token;
		return driver->split.slots[at].count != 0;
	}
	*token = driver->packed.ids[at].token;
	return driver->packed.ids[at].count != 0;
}

unsigned int driver_free(const struct driver *driver)
{
	return driver->format == RING_SPLIT ? driver->split.free : driver->packed.free;
}

uint32_t driver_base(const struct driver *driver)
{
	if (driver->format == RING_SPLIT)
		return driver->split.avail_idx;
	return (uint32_t)ring_position_pack(driver->packed.avail) |
	       (uint32_t)ring_position_pack(driver->packed.used) << 16;
}
