/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is offered, acknowledged and passed on.
 *
 * Invariant: the front-end is shown only what wire/offers.h lets through,
 * and the back-end is told only bits it offered and the front-end was shown:
 * QEMU's blk and fs devices acknowledge bits they never asked the back-end
 * about, which DPDK and Rust back-ends refuse.
 */
#include "session/stage.h"

#include "base/bytes.h"
#include "session/effects.h"
#include "session/kinds.h"
#include "session/path.h"

#define NAMES_MAX 1024

/*
 * The inflight record is kept here where the back-end keeps none and would lose
 * what is in flight when it dies, and for rings that are relayed anyway: its own
 * would be of the wrong ring.
 */
static void decide_record(struct session *session)
{
	struct feature_set *set = &session->protocol;
	const uint64_t bit = WIRE_BIT(WIRE_PF_INFLIGHT_SHMFD);
	bool lacks = !(set->offered & bit);
	bool hidden = (session->config.offers.hide_protocol & bit) != 0;

	/* One the back-end keeps would hold the rings out of the data path when a log needs them
	 * in it. */
	session->record_ours = path_possible(session) &&
			       (session->mode == MODE_SHADOW || (session->log_ours && !lacks) ||
				(session->mode == MODE_AUTO && lacks && kinds_shielded(session) &&
				 session->config.keep_record));
	if (session->record_ours && !hidden)
		set->shown |= bit;
}

static bool logs(const struct session *session)
{
	return (session->virtio.offered & WIRE_BIT(WIRE_F_VHOST_F_LOG_ALL)) &&
	       (session->protocol.offered & WIRE_BIT(WIRE_PF_LOG_SHMFD));
}

/*
 * The dirty log is kept here where the back-end can not: without it QEMU refuses to
 * migrate. Decided when all the back-end offers is known, so the first GET_FEATURES
 * does not show LOG_ALL; QEMU asks again after the protocol features, and takes that.
 */
static void decide_log(struct session *session)
{
	const struct session_config *config = &session->config;
	const struct offers *offers = &config->offers;
	bool hidden = (offers->hide_virtio & WIRE_BIT(WIRE_F_VHOST_F_LOG_ALL)) ||
		      (offers->hide_protocol & WIRE_BIT(WIRE_PF_LOG_SHMFD));

	/* Once offered it stays. */
	if (!session->log_ours)
		session->log_ours = session->virtio.known && session->protocol.known && !hidden &&
				    path_possible(session) &&
				    (config->log == LOG_OURS ||
				     (config->log == LOG_WHERE_LACKING && !logs(session)));
	if (!session->log_ours)
		return;
	session->virtio.shown |= WIRE_BIT(WIRE_F_VHOST_F_LOG_ALL);
	session->protocol.shown |= WIRE_BIT(WIRE_PF_LOG_SHMFD);
}

static void show(struct session *session, struct feature_set *set, enum wire_space space,
		 uint64_t offered)
{
	set->known = true;
	set->offered = offered;
	set->shown = offered & ~offers_hidden(&session->config.offers, space, offered);
	decide_log(session);
	if (space == WIRE_SPACE_PROTOCOL)
		decide_record(session);
}

/* A connection that skips the questions (QEMU 7.2 after a lost one) shows nothing to compare with.
 */
static void acknowledge(struct session *session, struct feature_set *set, enum wire_space space,
			struct wire_message *request)
{
	uint64_t value = bytes_load64(request->payload);
	uint64_t agreed = set->known ? value & set->shown : value;
	uint64_t left_out = value & ~agreed;
	char names[NAMES_MAX];

	/* Told once: the same comes again for each queue pair, and with LOG_ALL. */
	if (left_out && left_out != (set->acked & ~set->agreed)) {
		wire_bits_print(space, session_device(session), left_out, names, sizeof(names));
		stage_log(session, LEVEL_WARN,
			  "the front-end acknowledged %s features it was not offered, they are "
			  "left out: %s",
			  space == WIRE_SPACE_VIRTIO ? "virtio" : "protocol", names);
	}
	set->acked = value;
	set->agreed = agreed;
	/* What is done in the back-end's place is not its business. */
	set->passed = set->known ? agreed & set->offered : agreed;
	if (space == WIRE_SPACE_PROTOCOL && session->record_ours)
		set->passed &= ~WIRE_BIT(WIRE_PF_INFLIGHT_SHMFD);
	else if (space == WIRE_SPACE_PROTOCOL && path_possible(session) &&
		 session_device(session) != WIRE_DEVICE_NET)
		/* Its own record, which outlives it here whether or not the front-end asks. */
		set->passed |= set->offered & WIRE_BIT(WIRE_PF_INFLIGHT_SHMFD);
	if (space == WIRE_SPACE_VIRTIO && session->log_ours)
		set->passed &= ~WIRE_BIT(WIRE_F_VHOST_F_LOG_ALL);
	bytes_store64(request->payload, set->passed);
}

static void forget(struct session *session)
{
	session->features_set = false;
	session->agreement.virtio_acked = 0;
}

/*
 * An index the device can not have. The number counts all rings of a disk, pairs
 * of a network device, and with some back-ends only the request rings of scsi,
 * which has two more.
 */
static void limit_rings(struct session *session)
{
	uint64_t rings = session->queue_num;

	if (rings > WIRE_QUEUES_MAX)
		rings = WIRE_QUEUES_MAX;
	if (rings && session_device(session) != WIRE_DEVICE_BLK)
		rings = rings > 2 ? rings * 2 : rings + 2;
	session->agreement.rings = rings > WIRE_QUEUES_MAX ? WIRE_QUEUES_MAX : (unsigned int)rings;
}

static enum stage_verdict front_request(struct session *session, struct crossing *crossing)
{
	uint64_t passed = session->virtio.passed;

	switch (crossing->message->header.id) {
	case WIRE_SET_FEATURES:
		acknowledge(session, &session->virtio, WIRE_SPACE_VIRTIO, crossing->message);
		session->features_repeated =
		    session->features_set && session->virtio.passed == passed;
		session->agreement.virtio_acked = session->virtio.agreed;
		session->features_set = true;
		break;
	case WIRE_SET_PROTOCOL_FEATURES:
		acknowledge(session, &session->protocol, WIRE_SPACE_PROTOCOL, crossing->message);
		session->agreement.protocol_acked = session->protocol.agreed;
		break;
	case WIRE_RESET_DEVICE:
	case WIRE_RESET_OWNER:
		/* Rust back-ends forget the acknowledged features here and want them again. */
		forget(session);
		break;
	}
	return STAGE_PASS;
}

uint64_t stage_features_learn(struct session *session, uint32_t id, uint64_t value)
{
	switch (id) {
	case WIRE_GET_FEATURES:
		show(session, &session->virtio, WIRE_SPACE_VIRTIO, value);
		session->agreement.virtio_offered = session->virtio.offered;
		return session->virtio.shown;
	case WIRE_GET_PROTOCOL_FEATURES:
		show(session, &session->protocol, WIRE_SPACE_PROTOCOL, value);
		return session->protocol.shown;
	case WIRE_GET_QUEUE_NUM:
		session->queue_num = value;
		limit_rings(session);
		break;
	case WIRE_GET_MAX_MEM_SLOTS:
		session->mem_slots = value;
		break;
	}
	return value;
}

static enum stage_verdict back_reply(struct session *session, struct crossing *crossing)
{
	struct wire_message *reply = crossing->message;

	if (reply->header.size == sizeof(uint64_t))
		bytes_store64(reply->payload, stage_features_learn(session, reply->header.id,
								   bytes_load64(reply->payload)));
	return STAGE_PASS;
}

struct names {
	char offered[NAMES_MAX], acked[NAMES_MAX], passed[NAMES_MAX], hidden[NAMES_MAX];
};

static void name_all(const struct session *session, const struct feature_set *set,
		     enum wire_space space, struct names *names)
{
	enum wire_device device = session_device(session);

	wire_bits_print(space, device, set->offered, names->offered, NAMES_MAX);
	wire_bits_print(space, device, set->acked, names->acked, NAMES_MAX);
	wire_bits_print(space, device, set->passed, names->passed, NAMES_MAX);
	wire_bits_print(space, device, set->offered & ~set->shown, names->hidden, NAMES_MAX);
}

static const char *synthesised(const struct session *session)
{
	if (session->record_ours)
		return session->log_ours ? "INFLIGHT_SHMFD, LOG_ALL, LOG_SHMFD" : "INFLIGHT_SHMFD";
	return session->log_ours ? "LOG_ALL, LOG_SHMFD" : "none";
}

/* One line for each negotiation that differs from the last: the bits people otherwise diff by hand.
 */
static void announce(struct session *session)
{
	struct names virtio, protocol;

	if (session->announced && session->announced_virtio == session->virtio.acked &&
	    session->announced_protocol == session->protocol.acked)
		return;
	session->announced = true;
	session->announced_virtio = session->virtio.acked;
	session->announced_protocol = session->protocol.acked;
	name_all(session, &session->virtio, WIRE_SPACE_VIRTIO, &virtio);
	name_all(session, &session->protocol, WIRE_SPACE_PROTOCOL, &protocol);
	stage_log(session, LEVEL_INFO,
		  "negotiated (%s): offered: %s | %s; acknowledged: %s | %s; passed on: %s | %s; "
		  "hidden: %s | %s; synthesised: %s",
		  wire_device_name(session_device(session)), virtio.offered, protocol.offered,
		  virtio.acked, protocol.acked, virtio.passed, protocol.passed, virtio.hidden,
		  protocol.hidden, synthesised(session));
	stage_event(session, "NEGOTIATED", "{\"features\":%llu,\"protocol_features\":%llu}",
		    (unsigned long long)session->virtio.passed,
		    (unsigned long long)session->protocol.passed);
}

static void after(struct session *session, uint32_t id)
{
	if (id == WIRE_SET_FEATURES)
		announce(session);
}

const struct stage stage_features = {
    .name = "features",
    .front_request = front_request,
    .back_reply = back_reply,
    .after = after,
};
