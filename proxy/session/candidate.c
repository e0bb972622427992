/* SPDX-License-Identifier: BSD-3-Clause */
#include "session/candidate.h"

#include "base/bytes.h"
#include "wire/encode.h"
#include "wire/validate.h"

#include <errno.h>
#include <stdio.h>

#define NAMES_MAX   512
#define CONFIG_HEAD 12u

void candidate_init(struct candidate *candidate, const struct session *session)
{
	*candidate = (struct candidate){
	    .device = session_device(session),
	    /* Before the guest's driver chose, it may still choose all that was shown. */
	    .virtio = session->features_set ? session->virtio.passed
					    : session->virtio.shown & session->virtio.offered,
	    .protocol = session->protocol.passed,
	    .rings = session->queue_num,
	    .slots = regions_live(&session->regions) + (session->arena_given ? 1 : 0),
	    .kept = session->kept,
	};
}

static bool agreed(const struct candidate *candidate, enum wire_protocol_bit bit)
{
	return (candidate->protocol & WIRE_BIT(bit)) != 0;
}

/* Whether a question is worth asking; a front-end that never got so far has no claim. */
static bool wanted(const struct candidate *candidate, uint32_t id)
{
	switch (id) {
	case WIRE_SET_OWNER:
		return candidate->kept.owner;
	case WIRE_GET_PROTOCOL_FEATURES:
		return candidate->protocol != 0;
	case WIRE_SET_PROTOCOL_FEATURES:
		return candidate->protocol != 0;
	case WIRE_GET_QUEUE_NUM:
		return agreed(candidate, WIRE_PF_MQ) && candidate->rings != 0;
	case WIRE_GET_MAX_MEM_SLOTS:
		return agreed(candidate, WIRE_PF_CONFIGURE_MEM_SLOTS) && candidate->slots != 0;
	case WIRE_GET_CONFIG:
		return agreed(candidate, WIRE_PF_CONFIG) && candidate->kept.config_size != 0;
	}
	return true;
}

static struct wire_message *make(const struct candidate *candidate, uint32_t id)
{
	const struct kept *kept = &candidate->kept;

	switch (id) {
	case WIRE_SET_PROTOCOL_FEATURES:
		return wire_request_u64(id, 0, candidate->protocol);
	case WIRE_GET_CONFIG:
		return wire_request_config(id, 0, kept->config_offset, kept->config_size, 0,
					   kept->config);
	}
	return wire_request(id, 0);
}

int candidate_next(struct candidate *candidate, struct wire_message *messages[CANDIDATE_BURST])
{
	/* By rank: a test compares. */
	static const uint32_t steps[] = {
	    WIRE_GET_FEATURES,
	    WIRE_SET_OWNER,
	    WIRE_GET_PROTOCOL_FEATURES,
	    WIRE_SET_PROTOCOL_FEATURES,
	    WIRE_GET_QUEUE_NUM,
	    WIRE_GET_MAX_MEM_SLOTS,
	    WIRE_GET_CONFIG,
	    WIRE_GET_FEATURES, /* the answer to all before */
	};
	int count = 0;

	while (candidate->step < sizeof(steps) / sizeof(steps[0])) {
		uint32_t id = steps[candidate->step++];

		if (!wanted(candidate, id))
			continue;
		messages[count] = make(candidate, id);
		if (!messages[count])
			return -ENOMEM;
		count++;
		candidate->asked = id;
		if (wire_row(WIRE_MAIN, id)->reply == WIRE_REPLY_ALWAYS)
			break;
	}
	return count;
}

static enum candidate_state unfit_bits(const struct candidate *candidate, enum wire_space space,
				       uint64_t missing, struct diag *diag)
{
	char names[NAMES_MAX];

	if (!missing)
		return CANDIDATE_ASKED;
	wire_bits_print(space, candidate->device, missing, names, sizeof(names));
	diag_set(diag, CANDIDATE_UNFIT,
		 "it lacks %s features that were agreed with the front-end: %s: start one that "
		 "offers them",
		 space == WIRE_SPACE_VIRTIO ? "virtio" : "protocol", names);
	return CANDIDATE_UNFIT;
}

static enum candidate_state check_least(const char *what, uint64_t has, uint64_t needed,
					struct diag *diag)
{
	if (has >= needed)
		return CANDIDATE_ASKED;
	diag_set(diag, CANDIDATE_UNFIT, "it has %llu %s, and %llu are in use",
		 (unsigned long long)has, what, (unsigned long long)needed);
	return CANDIDATE_UNFIT;
}

/* What the front-end wrote will be written again: only the rest is the back-end's own. */
static enum candidate_state check_config(const struct candidate *candidate,
					 const struct wire_message *reply, struct diag *diag)
{
	const struct kept *kept = &candidate->kept;

	if (reply->header.size < CONFIG_HEAD + kept->config_size) {
		diag_set(diag, CANDIDATE_UNFIT, "its config space has not the %u bytes in use",
			 kept->config_size);
		return CANDIDATE_UNFIT;
	}
	for (uint32_t i = 0; i < kept->config_size; i++) {
		uint32_t at = kept->config_offset + i;

		if (kept->is_written[at] || reply->payload[CONFIG_HEAD + i] == kept->config[i])
			continue;
		diag_set(diag, CANDIDATE_UNFIT,
			 "its config space differs at byte %u (0x%02x, the guest read 0x%02x): is "
			 "it another disk, or another size?",
			 at, reply->payload[CONFIG_HEAD + i], kept->config[i]);
		return CANDIDATE_UNFIT;
	}
	return CANDIDATE_ASKED;
}

static enum candidate_state compare(struct candidate *candidate, const struct wire_message *reply,
				    struct diag *diag)
{
	uint64_t value = reply->header.size == 8 ? bytes_load64(reply->payload) : 0;

	switch (reply->header.id) {
	case WIRE_GET_FEATURES:
		candidate->agreement.virtio_offered = value;
		return unfit_bits(candidate, WIRE_SPACE_VIRTIO, candidate->virtio & ~value, diag);
	case WIRE_GET_PROTOCOL_FEATURES:
		candidate->agreement.protocol_acked = candidate->protocol;
		return unfit_bits(candidate, WIRE_SPACE_PROTOCOL, candidate->protocol & ~value,
				  diag);
	case WIRE_GET_QUEUE_NUM:
		return check_least("rings", value, candidate->rings, diag);
	case WIRE_GET_MAX_MEM_SLOTS:
		return check_least("memory slots", value, candidate->slots, diag);
	case WIRE_GET_CONFIG:
		return check_config(candidate, reply, diag);
	}
	return CANDIDATE_ASKED;
}

enum candidate_state candidate_reply(struct candidate *candidate, const struct wire_message *reply,
				     struct diag *diag)
{
	char name[WIRE_NAME_MAX];

	if (!wire_is_reply(reply) || reply->header.id != candidate->asked) {
		diag_set(diag, CANDIDATE_UNFIT, "it answered %s with message id %u",
			 wire_name(WIRE_MAIN, candidate->asked, name), reply->header.id);
		return CANDIDATE_UNFIT;
	}
	if (wire_check_reply(WIRE_MAIN, &candidate->agreement, 0, reply, diag) == WIRE_FAULT)
		return CANDIDATE_UNFIT;
	return compare(candidate, reply, diag);
}
