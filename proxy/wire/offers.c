/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire/offers.h"

#include <stddef.h>

enum hide_when {
	HIDE_ALWAYS,
	HIDE_UNLESS_WATCHING, /* harmless as long as no ring will ever be moved */
};

static const struct hide_row {
	enum wire_space space;
	unsigned int bit;
	enum hide_when when;
	const char *reason;
} rows[] = {
    {WIRE_SPACE_PROTOCOL, WIRE_PF_BACKEND_SEND_FD, HIDE_UNLESS_WATCHING,
     "serves only HOST_NOTIFIER and SHMEM"},
    {WIRE_SPACE_PROTOCOL, WIRE_PF_HOST_NOTIFIER, HIDE_UNLESS_WATCHING,
     "the guest would ring the device past a relayed ring"},
    {WIRE_SPACE_PROTOCOL, WIRE_PF_INBAND_NOTIFICATIONS, HIDE_ALWAYS,
     "QEMU acknowledges it by number and does not implement it"},
    {WIRE_SPACE_PROTOCOL, WIRE_PF_XEN_MMAP, HIDE_ALWAYS,
     "QEMU 8.2 and later acknowledge it by number; it changes the size of a region"},
    {WIRE_SPACE_PROTOCOL, WIRE_PF_SHARED_OBJECT, HIDE_UNLESS_WATCHING,
     "gives the back-end buffers a relayed ring does not know"},
    {WIRE_SPACE_PROTOCOL, WIRE_PF_GPA_ADDRESSES, HIDE_ALWAYS,
     "changes what addresses mean, and older Rust back-ends use bit 21 for SHMEM"},
    {WIRE_SPACE_PROTOCOL, WIRE_PF_SHMEM, HIDE_UNLESS_WATCHING,
     "maps memory a relayed ring does not know"},
    {WIRE_SPACE_PROTOCOL, WIRE_PF_GET_VRING_BASE_SKIP_DRAIN, HIDE_ALWAYS,
     "in no release of a front-end"},
    {WIRE_SPACE_VIRTIO, WIRE_F_ORDER_PLATFORM, HIDE_ALWAYS,
     "concerns hardware; QEMU offers it to no vhost-user guest"},
    {WIRE_SPACE_VIRTIO, WIRE_F_NOTIFICATION_DATA, HIDE_ALWAYS, "an eventfd can not carry the data"},
    {WIRE_SPACE_VIRTIO, WIRE_F_ADMIN_VQ, HIDE_ALWAYS,
     "no vhost-user message configures an administration queue"},
};

static const struct hide_row *row_of(enum wire_space space, unsigned int bit)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].space == space && rows[i].bit == bit)
			return &rows[i];
	return NULL;
}

const char *offers_reason(const struct offers *offers, enum wire_space space, unsigned int bit)
{
	bool virtio = space == WIRE_SPACE_VIRTIO;
	uint64_t asked = virtio ? offers->hide_virtio : offers->hide_protocol;
	uint64_t known = virtio ? wire_virtio_known() : wire_protocol_known();
	const struct hide_row *row = row_of(space, bit);

	if (asked & WIRE_BIT(bit))
		return "asked for by --hide";
	if (!(known & WIRE_BIT(bit)))
		return "not known to this version";
	if (row && (row->when == HIDE_ALWAYS || !offers->watch_only))
		return row->reason;
	return NULL;
}

uint64_t offers_hidden(const struct offers *offers, enum wire_space space, uint64_t offered)
{
	uint64_t hidden = 0;

	for (unsigned int bit = 0; bit < 64; bit++)
		if ((offered & WIRE_BIT(bit)) && offers_reason(offers, space, bit))
			hidden |= WIRE_BIT(bit);
	return hidden;
}
