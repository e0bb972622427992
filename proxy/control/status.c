/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/status.h"

#include "control/value.h"

#include <inttypes.h>
#include <stdio.h>

static enum wire_device device_of(const struct view *view)
{
	return view->session ? session_device(view->session) : WIRE_DEVICE_UNKNOWN;
}

static json_t *bit_name(enum wire_space space, enum wire_device device, unsigned int bit)
{
	const char *name = wire_bit_name(space, device, bit);

	return name ? json_string(name) : json_sprintf("bit%u", bit);
}

static json_t *bit_names(enum wire_space space, enum wire_device device, uint64_t bits)
{
	json_t *list = json_array();

	for (unsigned int bit = 0; bit < 64; bit++)
		if (bits & WIRE_BIT(bit))
			value_append(&list, bit_name(space, device, bit));
	return list;
}

static json_t *hex(uint64_t bits)
{
	return json_sprintf("0x%" PRIx64, bits);
}

static json_t *peer(const struct view_peer *from, enum wire_device device, uint64_t virtio,
		    uint64_t protocol)
{
	json_t *object = json_object();

	value_put(&object, "connected", json_boolean(from->connected));
	value_put(&object, "path", value_text(from->path));
	value_put(&object, "pid", from->pid ? json_integer(from->pid) : json_null());
	value_put(&object, "features", bit_names(WIRE_SPACE_VIRTIO, device, virtio));
	value_put(&object, "protocol_features", bit_names(WIRE_SPACE_PROTOCOL, device, protocol));
	return object;
}

static void put_peers(json_t **object, const struct view *view)
{
	const struct session *session = view->session;
	enum wire_device device = device_of(view);

	value_put(object, "frontend",
		  peer(&view->frontend, device, session ? session->virtio.acked : 0,
		       session ? session->protocol.acked : 0));
	value_put(object, "backend",
		  peer(&view->backend, device, session ? session->virtio.offered : 0,
		       session ? session->protocol.offered : 0));
}

static void put_count(json_t **messages, const char *name, uint64_t forth, uint64_t back)
{
	json_t *object;

	if (forth == 0 && back == 0)
		return;
	object = json_object();
	value_put(&object, "front-to-back", value_number(forth));
	value_put(&object, "back-to-front", value_number(back));
	value_put(messages, name, object);
}

/* No name of the back-end channel is one of the main channel: all begin with BACKEND_. */
static json_t *messages_of(const struct view_counts *counts)
{
	const uint64_t(*main)[WIRE_FRONT_COUNT + 1] = counts->messages[WIRE_MAIN];
	const uint64_t(*back)[WIRE_FRONT_COUNT + 1] = counts->messages[WIRE_BACKEND];
	const unsigned int unknown = WIRE_FRONT_COUNT;
	json_t *messages = json_object();

	for (uint32_t id = 0; id < WIRE_FRONT_COUNT; id++) {
		const struct wire_row *row = wire_row(WIRE_MAIN, id);

		if (row)
			put_count(&messages, row->name, main[WIRE_FRONT_TO_BACK][id],
				  main[WIRE_BACK_TO_FRONT][id]);
	}
	for (uint32_t id = 0; id < WIRE_BACK_COUNT; id++) {
		const struct wire_row *row = wire_row(WIRE_BACKEND, id);

		if (row)
			put_count(&messages, row->name, back[WIRE_FRONT_TO_BACK][id],
				  back[WIRE_BACK_TO_FRONT][id]);
	}
	put_count(&messages, "unknown",
		  main[WIRE_FRONT_TO_BACK][unknown] + back[WIRE_FRONT_TO_BACK][unknown],
		  main[WIRE_BACK_TO_FRONT][unknown] + back[WIRE_BACK_TO_FRONT][unknown]);
	return messages;
}

static bool relayed(const struct queue_state *queue)
{
	/* What is parked waits to be relayed to the next back-end. */
	return queue->path.state == PATH_SHADOW || queue->path.state == PATH_DRAINING ||
	       queue->parked;
}

static bool moving(const struct queue_state *queue)
{
	return queue->path.state == PATH_DRAINING || queue->path.state == PATH_QUIETING ||
	       queue->path.state == PATH_LEAVING || queue->path.state == PATH_SETTLING;
}

/* The figures are of what the daemon relayed: a direct ring adds none, whatever the back-end does.
 */
static json_t *queue_summary(const struct view *view, unsigned int index)
{
	const struct queue_state *queue = &view->session->queues[index];
	bool packed = session_packed(view->session);
	struct view_ring none = {.kicks = 0};
	const struct view_ring *ring = view->rings ? &view->rings[index] : &none;
	json_t *object = json_object();

	value_put(&object, "index", json_integer(index));
	value_put(&object, "format", json_string(packed ? "packed" : "split"));
	value_put(&object, "size", json_integer(queue->size));
	value_put(&object, "enabled", json_boolean(queue->enabled));
	value_put(&object, "started", json_boolean(queue->started));
	value_put(&object, "path", json_string(relayed(queue) ? "shadow" : "direct"));
	value_put(&object, "moving", json_boolean(moving(queue)));
	value_put(&object, "moves", value_number(queue->moves));
	value_put(&object, "longest_pause_us", value_number(queue->longest_pause_us));
	value_put(&object, "kicks", value_number(ring->kicks));
	value_put(&object, "calls", value_number(ring->calls));
	value_put(&object, "relayed", value_number(ring->relayed));
	value_put(&object, "inflight", json_integer(ring->inflight + queue->parked));
	value_put(&object, "bytes_written", value_number(ring->bytes_written));
	return object;
}

static json_t *queue_full(const struct view *view, unsigned int index)
{
	const struct queue_state *queue = &view->session->queues[index];
	json_t *object = queue_summary(view, index);

	value_put(&object, "base", json_integer(queue->base));
	value_put(&object, "flags", json_integer(queue->flags));
	value_put(&object, "desc", value_number(queue->desc));
	value_put(&object, "avail", value_number(queue->avail));
	value_put(&object, "used", value_number(queue->used));
	value_put(&object, "log", value_number(queue->log));
	value_put(&object, "kick_fd", json_boolean(queue->has_kick));
	value_put(&object, "call_fd", json_boolean(queue->has_call));
	value_put(&object, "err_fd", json_boolean(queue->has_err));
	value_put(&object, "enable_held", json_boolean(queue->enable_held));
	return object;
}

static json_t *queues_of(const struct view *view,
			 json_t *(*make)(const struct view *, unsigned int))
{
	const struct session *session = view->session;
	json_t *list = json_array();

	for (unsigned int i = 0; session && i < WIRE_QUEUES_MAX; i++)
		if (session->queues[i].seen)
			value_append(&list, make(view, i));
	return list;
}

json_t *status_queues(const struct view *view)
{
	const struct session *session = view->session;
	bool iova = session && session_agreed(session, WIRE_F_ACCESS_PLATFORM);
	json_t *object = json_object();

	value_put(&object, "queues", queues_of(view, queue_full));
	value_put(&object, "addresses", json_string(iova ? "iova" : "user"));
	/* What the back-end said it has; null until it was asked. */
	value_put(&object, "queue_num",
		  session && session->queue_num ? value_number(session->queue_num) : json_null());
	return object;
}

/* Rings on the move, and of the last move those that could not leave. */
static void put_moves(json_t **object, const struct session *session)
{
	value_put(object, "moving", json_integer(session ? session->holding : 0));
	value_put(object, "stayed", json_integer(session ? session->stayed : 0));
}

json_t *status_path(const struct view *view)
{
	json_t *object = json_object();

	put_moves(&object, view->session);
	return object;
}

json_t *status_rate(const struct view *view)
{
	json_t *object = json_object();

	value_put(&object, "measuring", json_true());
	return object;
}

json_t *status_backend(const struct view *view)
{
	json_t *object = json_object();

	/* BACKEND_BACK or BACKEND_UNFIT tells how it ends. */
	value_put(&object, "swapping", json_boolean(view->session != NULL));
	return object;
}

static json_t *synthesized(const struct session *session)
{
	json_t *list = json_array();

	if (session && session->record_ours)
		value_append(&list, json_string("inflight"));
	if (session && session->log_ours)
		value_append(&list, json_string("log"));
	return list;
}

/* By the daemon: what a back-end marks in its own log is not to be seen from here. */
static uint64_t pages_marked(const struct view *view)
{
	uint64_t pages = 0;

	for (unsigned int i = 0; view->rings && i < WIRE_QUEUES_MAX; i++)
		pages += view->rings[i].pages_marked;
	return pages;
}

static json_t *log_summary(const struct view *view)
{
	const struct session *session = view->session;
	bool based = session && session->dirty.based;
	bool on = session && session->dirty.sm.state == DIRTY_ON;
	const char *source = based && session->log_ours ? "ferry" : "backend";
	json_t *object = json_object();

	value_put(&object, "active", json_boolean(on));
	value_put(&object, "size", value_number(based ? session->dirty.size : 0));
	value_put(&object, "pages_marked", value_number(pages_marked(view)));
	value_put(&object, "source", based ? json_string(source) : json_null());
	return object;
}

json_t *status_log(const struct view *view)
{
	const struct session *session = view->session;
	const struct dirty *dirty = session && session->dirty.based ? &session->dirty : NULL;
	json_t *object = log_summary(view);

	value_put(&object, "state", json_string(session ? sm_name(&session->dirty.sm) : "off"));
	value_put(&object, "offset", value_number(dirty ? dirty->offset : 0));
	value_put(&object, "inode", value_number(dirty ? dirty->file.inode : 0));
	value_put(&object, "file_size", value_number(dirty ? dirty->file.size : 0));
	return object;
}

/* The back-end keeps the IOTLB: the daemon has no entries and answers no miss. */
static json_t *iotlb_summary(const struct session *session)
{
	static const struct iotlb_counts none;
	const struct iotlb_counts *counts = session ? &session->iotlb : &none;
	json_t *object = json_object();

	value_put(&object, "entries", json_integer(0));
	value_put(&object, "hits", json_integer(0));
	value_put(&object, "misses", value_number(counts->misses));
	value_put(&object, "invalidations", value_number(counts->invalidations));
	return object;
}

json_t *status_iotlb(const struct view *view)
{
	const struct session *session = view->session;
	json_t *object = iotlb_summary(session);

	value_put(&object, "updates", value_number(session ? session->iotlb.updates : 0));
	value_put(&object, "failures", value_number(session ? session->iotlb.failures : 0));
	value_put(&object, "active",
		  json_boolean(session && session_agreed(session, WIRE_F_ACCESS_PLATFORM)));
	return object;
}

static json_t *postcopy_summary(const struct session *session)
{
	json_t *object = json_object();

	value_put(&object, "state", json_string(session ? sm_name(&session->postcopy.sm) : "off"));
	value_put(&object, "faults", json_integer(0));
	value_put(&object, "pages_waited", json_integer(0));
	value_put(&object, "longest_wait_us", json_integer(0));
	return object;
}

json_t *status_summary(const struct view *view)
{
	json_t *object = json_object();

	value_put(&object, "state", json_string(view->state));
	value_put(&object, "version", json_string(FERRY_VERSION));
	value_put(&object, "uptime_s", json_real(view->uptime_s));
	value_put(&object, "device", json_string(wire_device_name(device_of(view))));
	put_peers(&object, view);
	value_put(&object, "synthesized", synthesized(view->session));
	value_put(&object, "reconnects", value_number(view->reconnects));
	value_put(&object, "replays", value_number(view->replays));
	value_put(&object, "last_outage_us", value_number(view->last_outage_us));
	value_put(&object, "messages", messages_of(view->counts));
	put_moves(&object, view->session);
	value_put(&object, "queues", queues_of(view, queue_summary));
	value_put(&object, "log", log_summary(view));
	value_put(&object, "postcopy", postcopy_summary(view->session));
	value_put(&object, "iotlb", iotlb_summary(view->session));
	value_put(&object, "rss_kb", value_number(view->rss_kb));
	return object;
}

static json_t *bit_set(enum wire_space space, enum wire_device device, uint64_t bits)
{
	json_t *object = json_object();

	value_put(&object, "hex", hex(bits));
	value_put(&object, "names", bit_names(space, device, bits));
	return object;
}

static json_t *hidden_set(const struct offers *offers, enum wire_space space,
			  enum wire_device device, uint64_t bits)
{
	json_t *object = bit_set(space, device, bits);
	json_t *list = json_array();

	for (unsigned int bit = 0; bit < 64; bit++) {
		json_t *row;

		if (!(bits & WIRE_BIT(bit)))
			continue;
		row = json_object();
		value_put(&row, "bit", json_integer(bit));
		value_put(&row, "name", bit_name(space, device, bit));
		value_put(&row, "reason", value_text(offers_reason(offers, space, bit)));
		value_append(&list, row);
	}
	value_put(&object, "bits", list);
	return object;
}

static json_t *feature_space(const struct view *view, enum wire_space space)
{
	static const struct feature_set none;
	static const struct offers no_offers;
	const struct session *session = view->session;
	enum wire_device device = device_of(view);
	const struct feature_set *set = &none;
	json_t *object = json_object();

	if (session)
		set = space == WIRE_SPACE_VIRTIO ? &session->virtio : &session->protocol;
	value_put(&object, "known", json_boolean(set->known));
	value_put(&object, "offered", bit_set(space, device, set->offered));
	value_put(&object, "shown", bit_set(space, device, set->shown));
	value_put(&object, "acknowledged", bit_set(space, device, set->acked));
	value_put(&object, "passed", bit_set(space, device, set->passed));
	value_put(&object, "hidden",
		  hidden_set(session ? &session->config.offers : &no_offers, space, device,
			     set->offered & ~set->shown));
	return object;
}

json_t *status_features(const struct view *view)
{
	json_t *object = json_object();

	value_put(&object, "device", json_string(wire_device_name(device_of(view))));
	value_put(&object, "virtio", feature_space(view, WIRE_SPACE_VIRTIO));
	value_put(&object, "protocol", feature_space(view, WIRE_SPACE_PROTOCOL));
	value_put(&object, "synthesized", synthesized(view->session));
	return object;
}

static json_t *region_of(const struct region *region)
{
	json_t *object = json_object();

	value_put(&object, "gpa", value_number(region->at.gpa));
	value_put(&object, "size", value_number(region->at.size));
	value_put(&object, "uva", value_number(region->at.uva));
	value_put(&object, "mmap_offset", value_number(region->at.mmap_offset));
	value_put(&object, "inode", value_number(region->file.inode));
	value_put(&object, "file_size", value_number(region->file.size));
	return object;
}

json_t *status_memory(const struct view *view)
{
	const struct session *session = view->session;
	json_t *object = json_object();
	json_t *list = json_array();

	for (unsigned int i = 0; session && i < session->regions.count; i++)
		if (!session->regions.list[i].removed)
			value_append(&list, region_of(&session->regions.list[i]));
	value_put(&object, "regions", list);
	value_put(&object, "bytes", value_number(session ? regions_bytes(&session->regions) : 0));
	value_put(&object, "slots_used",
		  json_integer(session ? regions_live(&session->regions) : 0));
	/* What the back-end said it has; null until it was asked. */
	value_put(&object, "slots_max",
		  session && session->mem_slots ? value_number(session->mem_slots) : json_null());
	return object;
}
