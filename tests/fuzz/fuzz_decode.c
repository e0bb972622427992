/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any message under any agreement through everything that looks at messages.
 *
 * Input: struct setting, then the payload. Held to: a message that passes has a
 * ring the device has and no more descriptors than its row allows; one that
 * does not is refused in one line with its name; printing and visiting stay
 * inside message and text, which the sanitizers watch too.
 */
#include "fuzz.h"

#include "wire/features.h"
#include "wire/print.h"
#include "wire/validate.h"

struct setting {
	uint8_t channel; /* bit 0 */
	uint8_t fds;
	uint8_t rings;
	uint8_t listening; /* bit 0 */
	uint8_t device;
	uint8_t need_reply;   /* bit 3, of the request that a reply answers */
	uint8_t text_size[2]; /* room for the printed line */
	uint32_t id;
	uint32_t flags;
	uint64_t virtio_offered;
	uint64_t virtio_acked;
	uint64_t protocol_acked;
};

struct walk {
	const struct wire_message *message;
	enum wire_device device;
};

static void check_value(const struct wire_value *value, void *context)
{
	const struct walk *walk = context;
	const struct wire_message *message = walk->message;
	char text[96];

	FUZZ_CHECK(value->bytes >= message->payload);
	FUZZ_CHECK(value->bytes + value->size <= message->payload + message->header.size);
	FUZZ_CHECK(value->size <= value->field->width);
	text[0] = '\0';
	wire_value_print(value, walk->device, text, sizeof(text));
	FUZZ_CHECK(strlen(text) < sizeof(text));
}

static void check_print(enum wire_channel channel, const struct setting *setting,
			const struct wire_message *message)
{
	struct walk walk = {message, setting->device % WIRE_DEVICE_COUNT};
	size_t size = 1u + setting->text_size[0] + 16u * setting->text_size[1];
	char *text = malloc(size);

	FUZZ_CHECK(text);
	wire_visit(channel, message, check_value, &walk);
	wire_print(channel, walk.device, message, text, size);
	FUZZ_CHECK(strlen(text) < size);
	free(text);
}

static void check_refusal(const struct wire_row *row, const struct diag *diag)
{
	FUZZ_CHECK(!strchr(diag->text, '\n'));
	if (row->id != WIRE_NONE)
		FUZZ_CHECK(strstr(diag->text, row->name));
	else
		FUZZ_CHECK(diag->text[0] != '\0');
}

static void check_fine(const struct wire_row *row, const struct wire_agreement *agreement,
		       const struct wire_message *message)
{
	const struct wire_payload *payload = wire_payload(row->payload);
	unsigned int rings = agreement->rings ? agreement->rings : WIRE_QUEUES_MAX;

	FUZZ_CHECK(!(message->header.flags & ~WIRE_FLAGS_KNOWN));
	FUZZ_CHECK(message->header.size <= payload->most || row->id == WIRE_NONE);
	FUZZ_CHECK(message->fds.count <= WIRE_REGIONS_MAX);
	if (message->header.size >= payload->least && row->queue != WIRE_QUEUE_NOWHERE) {
		int index = wire_queue_index(row, message);

		FUZZ_CHECK(index >= 0 && (unsigned int)index < rings);
	}
}

static void check_request(enum wire_channel channel, const struct wire_agreement *agreement,
			  const struct wire_message *message)
{
	const struct wire_row *row = wire_row(channel, message->header.id);
	struct diag diag = {""};
	int verdict = wire_check_request(channel, agreement, message, &diag);
	enum wire_expect expect = wire_reply_expected(channel, agreement, message);

	FUZZ_CHECK((verdict == WIRE_UNKNOWN) == (row == NULL));
	FUZZ_CHECK(expect <= WIRE_EXPECT_REPLY);
	if (verdict == WIRE_FAULT)
		check_refusal(row, &diag);
	else if (verdict == WIRE_FINE)
		check_fine(row, agreement, message);
}

static void check_reply(enum wire_channel channel, const struct wire_agreement *agreement,
			uint32_t request_flags, const struct wire_message *message)
{
	const struct wire_row *row = wire_row(channel, message->header.id);
	struct diag diag = {""};
	int verdict = wire_check_reply(channel, agreement, request_flags, message, &diag);

	FUZZ_CHECK((verdict == WIRE_UNKNOWN) == (row == NULL));
	if (verdict == WIRE_FAULT)
		check_refusal(row, &diag);
	else if (verdict == WIRE_FINE)
		FUZZ_CHECK(message->fds.count <= row->reply_fds);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = {data, size};
	struct wire_agreement agreement;
	struct wire_message *message;
	enum wire_channel channel;
	struct setting setting;

	fuzz_take(&input, &setting, sizeof(setting));
	channel = setting.channel & 1 ? WIRE_BACKEND : WIRE_MAIN;
	agreement = (struct wire_agreement){
	    .virtio_offered = setting.virtio_offered,
	    .virtio_acked = setting.virtio_acked,
	    .protocol_acked = setting.protocol_acked,
	    .rings = setting.rings,
	    .postcopy_listening = setting.listening & 1,
	};
	if (input.left > WIRE_PAYLOAD_MAX)
		input.left = WIRE_PAYLOAD_MAX;
	message = wire_message_new(setting.id, setting.flags, (uint32_t)input.left);
	FUZZ_CHECK(message);
	fuzz_take(&input, message->payload, message->header.size);
	for (unsigned int i = 0; i < setting.fds % (FDSET_MAX + 1u); i++) {
		struct fd_entry entry = {.fd = 5000 + (int)i};

		FUZZ_CHECK(fdset_push(&message->fds, &entry) == 0);
	}
	check_request(channel, &agreement, message);
	check_reply(channel, &agreement, setting.need_reply, message);
	check_print(channel, &setting, message);
	wire_message_free(message);
	return 0;
}
