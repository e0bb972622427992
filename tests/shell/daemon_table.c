/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon_table.h"

#include "base/bytes.h"
#include "shell/fds.h"

#include <string.h>

void table_files(struct wire_message *message, unsigned int count)
{
	message->fds.count = 0;
	for (unsigned int i = 0; i < count; i++) {
		struct fd_entry entry;

		fds_look(&entry, rig_file(1));
		assert_int_equal(fdset_push(&message->fds, &entry), 0);
	}
}

bool table_never(const struct wire_row *row)
{
	return row->gate.kind == WIRE_GATE_PROTOCOL && (RIG_NEVER & WIRE_BIT(row->gate.bit));
}

void expected_note(struct expected *expected, enum wire_channel channel,
		   const struct wire_message *message)
{
	*expected = (struct expected){
	    .channel = channel, .header = message->header, .fds = message->fds.count};
	memcpy(expected->payload, message->payload, message->header.size);
	assert_true(message->fds.count <= SAME_FDS);
	memcpy(expected->files, message->fds.entries, message->fds.count * sizeof(struct fd_entry));
}

void expected_same(const struct expected *expected, struct wire_message *message)
{
	char name[WIRE_NAME_MAX];

	wire_name(expected->channel, expected->header.id, name);
	if (memcmp(&message->header, &expected->header, sizeof(message->header)) != 0)
		fail_msg("%s sent with flags 0x%x and %u bytes: came as id %u, 0x%x, %u bytes",
			 wire_name(expected->channel, expected->header.id, name),
			 expected->header.flags, expected->header.size, message->header.id,
			 message->header.flags, message->header.size);
	if (memcmp(message->payload, expected->payload, message->header.size) != 0)
		fail_msg("%s came with another payload",
			 wire_name(expected->channel, expected->header.id, name));
	if (message->fds.count != expected->fds)
		fail_msg("%s sent with %u descriptors came with %u",
			 wire_name(expected->channel, expected->header.id, name), expected->fds,
			 message->fds.count);
	for (unsigned int i = 0; i < expected->fds; i++)
		if (!fd_entry_same_file(&message->fds.entries[i], &expected->files[i]))
			fail_msg("%s came with another file as descriptor %u",
				 wire_name(expected->channel, expected->header.id, name), i);
	message_dispose(message);
}

/* What is acknowledged and not offered would be left out on the way. */
static void fit_features(const struct wire_row *row, struct wire_message *message)
{
	if (row->payload == WIRE_PAYLOAD_VIRTIO_BITS ||
	    row->reply_payload == WIRE_PAYLOAD_VIRTIO_BITS)
		bytes_store64(message->payload, rig_virtio());
	if (row->payload == WIRE_PAYLOAD_PROTOCOL_BITS ||
	    row->reply_payload == WIRE_PAYLOAD_PROTOCOL_BITS)
		bytes_store64(message->payload, rig_protocol());
}

struct wire_message *table_request(const struct wire_row *row,
				   const struct wire_agreement *agreement)
{
	struct wire_message *message = legal_request(row, agreement);

	if (row->payload == WIRE_PAYLOAD_VIRTIO_BITS || row->payload == WIRE_PAYLOAD_PROTOCOL_BITS)
		fit_features(row, message);
	table_files(message, message->fds.count);
	return message;
}

struct wire_message *table_reply(const struct wire_row *row, const struct wire_agreement *agreement)
{
	struct wire_message *message = legal_reply(row, agreement);

	if (row->reply_payload == WIRE_PAYLOAD_VIRTIO_BITS ||
	    row->reply_payload == WIRE_PAYLOAD_PROTOCOL_BITS)
		fit_features(row, message);
	table_files(message, message->fds.count);
	return message;
}
