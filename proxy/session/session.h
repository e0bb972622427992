/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One front-end's connection to one back-end: what was agreed, what passed.
 *
 * The session takes whole messages and gives effects; it has no socket, no
 * clock and makes no system call. A message is checked against the table
 * (wire/validate.h), then offered to each stage in order (session/stage.h); what
 * no stage keeps is passed on as it came.
 *
 * A peer's fault ends the session by EFFECT_FAULT; nothing a peer sends may
 * fail an assertion. State changes when a message is passed on, or with its
 * reply where it has one of its own: the reply is the commit.
 *
 * One thread, the control thread.
 */
#pragma once

#include "base/diag.h"
#include "base/level.h"
#include "logging/dirty.h"
#include "base/sm.h"
#include "mem/arena.h"
#include "mem/iotlb.h"
#include "mem/regions.h"
#include "postcopy/phase.h"
#include "session/exchange.h"
#include "session/kept.h"
#include "wire/offers.h"

/* How long a ring that is to be relayed hears no kicks while the back-end completes what it has. */
#define SESSION_QUIET_MS 500u
/* The same while a migration waits for it. */
#define SESSION_LOG_QUIET_MS 20000u

/* So long a back-end that has stopped a relayed ring may take to complete what it has read. */
#define SESSION_RECALL_MS 5000u

/* Bytes of a reply to SET_LOG_BASE (payloads.def, ANY_ACK). */
#define SESSION_LOG_REPLY_MAX 16u

/* The four sockets of a session, each named by who is at its other end. */
enum session_port {
	PORT_FRONT_MAIN,
	PORT_BACK_MAIN,
	PORT_FRONT_BACKEND, /* back-end requests go out here to the front-end */
	PORT_BACK_BACKEND,
	PORT_COUNT,
};

/*
 * Descriptors the session can not hold: entries of a message it sends may have
 * these in the place of a number, and the shell puts in a copy of the real one.
 * The ring is in the entry's `inode`.
 */
enum session_fd {
	SESSION_FD_ARENA = -2,      /* the file with the daemon's own rings */
	SESSION_FD_RECORD = -3,     /* the inflight record */
	SESSION_FD_SILENT = -4,     /* an eventfd nobody writes */
	SESSION_FD_RING_KICK = -5,  /* from the daemon to the back-end */
	SESSION_FD_RING_CALL = -6,  /* from the back-end to the daemon */
	SESSION_FD_GUEST_KICK = -7, /* as EFFECT_KEEP_FD kept it */
	SESSION_FD_GUEST_CALL = -8,
	SESSION_FD_GUEST_ERR = -9,
	SESSION_FD_REGION = -10, /* the file of the region whose address is in `inode` */
	SESSION_FD_LOG = -11,    /* of SET_LOG_BASE */
	SESSION_FD_LOG_CALL = -12,
	SESSION_FD_BACK_RECORD = -14, /* the inflight record of the back-end, as it gave it */
	SESSION_FD_CHANNEL = -13,     /* a new socket whose other end is PORT_BACK_BACKEND */
};

enum effect_kind {
	EFFECT_SEND,   /* send `message` to `port`, then dispose of it */
	EFFECT_DROP,   /* dispose of `message` */
	EFFECT_SPLICE, /* SET_BACKEND_REQ_FD: keep its socket as PORT_FRONT_BACKEND, put one
			* end of a new pair in its place, the other end is PORT_BACK_BACKEND;
			* then send it to `port` */
	EFFECT_SWAP,   /* no ring is at the back-end any more: give it up for the candidate, then
			* session_back_adopted() */
	EFFECT_LOG,    /* a line for people */
	EFFECT_EVENT,  /* something the control socket's followers are told; `text` is JSON */
	EFFECT_FAULT,  /* end the session: the peer at `port` broke a rule */

	/* The data path. `queue` says which ring; `message` is only looked at, and still the
	 * session's: another effect sends or drops it. */
	EFFECT_KEEP_KICK, /* keep a copy of the message's descriptor (none: forget the last) */
	EFFECT_KEEP_CALL,
	EFFECT_KEEP_ERR,
	EFFECT_KEEP_LOG_CALL,
	EFFECT_KEEP_RECORD,
	EFFECT_MAP,        /* map the regions of SET_MEM_TABLE or ADD_MEM_REG */
	EFFECT_UNMAP,      /* unmap that of REM_MEM_REG */
	EFFECT_MAP_LOG,    /* map the log of SET_LOG_BASE */
	EFFECT_LOGGING,    /* LOG_ALL changed: what is marked of relayed rings did */
	EFFECT_RECORD_NEW, /* make an inflight record of `size` bytes */
	EFFECT_RECORD_MAP, /* map that of SET_INFLIGHT_FD */
	EFFECT_ATTACH,     /* relay this ring from now on, as its queue_state says */
	EFFECT_RETARGET,   /* the call descriptor or the log of a relayed ring changed */
	EFFECT_DRAIN,      /* take nothing more from the guest; session_drained() at the end */
	EFFECT_DETACH,     /* relay it no longer */
	EFFECT_LOSE,       /* its back-end is gone: take what is done, relay it no longer, keep the
			    * rest for `resubmit` or else complete it empty; session_ring_lost() */
	EFFECT_STAND,      /* direct, its back-end is gone: how far the ring at user address `size`
			    * is used; session_ring_stood() */
	EFFECT_HOLD,       /* the same, of a ring with idle buffers: session_quiet() when the
			    * back-end is not seen at work */
	EFFECT_RECALL,     /* the back-end has stopped at `base`: complete what it has read, take
			    * back the rest; session_drained() at the end */
	EFFECT_WATCH,      /* wait until the back-end has nothing of a direct ring in flight, for
			    * `size` milliseconds at most: session_quiet() */
	EFFECT_AWAIT,      /* the back-end has stopped a direct ring at `base`: wait as long until
			    * all before it is used: session_quiet() */
	EFFECT_NUDGE,      /* raise the guest's call and the back-end's kick once */
};

struct effect {
	enum effect_kind kind;
	enum session_port port;
	struct wire_message *message;
	unsigned int queue;
	bool resubmit; /* ATTACH, LOSE: what the record has in flight is submitted again */
	uint32_t base; /* RECALL, AWAIT: as the back-end answered GET_VRING_BASE */
	uint64_t size;
	enum level level;
	const char *event;
	char *text; /* LOG, EVENT, FAULT: freed by session_effect_free() */
};

/* Where a ring's descriptors go. */
enum path_state {
	PATH_STOPPED,
	PATH_DIRECT,
	PATH_SHADOW,
	PATH_DRAINING, /* relayed; what is in flight completes, nothing more is taken */
	PATH_QUIETING, /* direct; the back-end hears no kicks and completes what it has */
	PATH_LEAVING,  /* GET_VRING_BASE was asked by us */
	PATH_SETTLING, /* it was answered; what the back-end has read completes */
};

/* What a ring is stopped for. */
enum path_goal {
	GOAL_STOP, /* the front-end asked */
	GOAL_DIRECT,
	GOAL_SHADOW,
	GOAL_SWAP, /* it goes on at another back-end */
	GOAL_STAY, /* direct, after a move that was given up */
};

struct queue_state {
	struct sm path;
	enum path_goal goal;
	bool left_direct; /* LEAVING, and it was direct before */
	bool resubmit;    /* the record came from the front-end: what it has in flight is to be
			   * submitted again when the ring is attached */
	bool absorbed;    /* its configuration was kept from the back-end: it is to be sent at the
			     start */
	uint64_t moves;   /* between direct and shadow, complete */
	uint64_t move_began_ns;
	uint64_t longest_pause_us; /* from the last chain taken to the ring at work again */
	bool seen;                 /* the back-end has heard of this ring */
	bool started;              /* kick given, not stopped by GET_VRING_BASE */
	bool enabled;
	bool stop_due;       /* GET_VRING_BASE came for requests the lost back-end had: it is
			      * answered when the next one has completed them */
	unsigned int parked; /* of those, as long as there is no next one */
	bool enable_held;    /* SET_VRING_ENABLE came before SET_FEATURES */
	bool disable_held;   /* SET_VRING_ENABLE 0 waits until the relayed ring is drained */
	bool has_kick, has_call, has_err;
	bool addressed; /* SET_VRING_ADDR came */
	bool endian_given;
	uint32_t endian;
	uint16_t back_base; /* split: where this back-end stopped the ring last, 0: never yet */
	uint32_t held_enable;
	uint32_t size; /* descriptors */
	uint32_t base; /* as SET_VRING_BASE or the reply to GET_VRING_BASE carried it */
	uint32_t flags;
	uint64_t desc, used, avail, log; /* user addresses, or IOVAs with ACCESS_PLATFORM */
};

struct feature_set {
	bool known;       /* the back-end was asked */
	uint64_t offered; /* by the back-end */
	uint64_t shown;   /* to the front-end */
	uint64_t acked;   /* by the front-end, as it sent them */
	uint64_t agreed;  /* of these, what it had been shown */
	uint64_t passed;  /* to the back-end */
};

struct iotlb_counts {
	uint64_t updates, misses, invalidations, failures;
};

enum session_mode {
	MODE_AUTO, /* relayed exactly while something synthesised needs it */
	MODE_DIRECT,
	MODE_SHADOW,
};

/* The back-end's life, as this session sees it. */
enum link_state {
	LINK_LIVE,
	LINK_AWAY,      /* lost: requests are answered from state, or wait */
	LINK_REPLAYING, /* a new one is told all there is to know */
	LINK_LEAVING,   /* rings drain, to go on at a candidate */
};

struct link {
	struct sm sm;
	uint64_t adopted_ns, lost_ns;
	uint32_t last_sent;  /* id of the last request to the back-end */
	unsigned int parked; /* requests in flight when it was lost */
	unsigned int deaths; /* in a row, each within a moment and with nothing completed */
	uint64_t completed;  /* when it was adopted, in chains */
	uint64_t replays, last_outage_us;
	struct wire_message *waiting; /* the front-end's, for the next back-end to answer, or
				       * until the rings on the move have arrived */
};

enum session_log {
	LOG_BY_BACKEND,
	LOG_WHERE_LACKING, /* by the daemon where the back-end can not */
	LOG_OURS,          /* by the daemon whatever the back-end can */
};

struct session_config {
	struct offers offers;
	enum session_mode mode;
	bool drop_inflight; /* what is in flight at a crash is not submitted again */
	bool keep_record;   /* an inflight record, where the back-end has none */
	enum session_log log;
	bool log_used_len;       /* mark what a completion says was written, not all that may be */
	enum wire_device device; /* UNKNOWN: guess */
};

struct session {
	struct session_config config;
	struct wire_agreement agreement;
	struct feature_set virtio, protocol;
	bool features_set;   /* SET_FEATURES was passed on since the last reset */
	bool full_base_seen; /* the back-end gave a packed ring base of 32 bits */
	bool announced;      /* a negotiation line was logged, for these acknowledgements: */
	uint64_t announced_virtio, announced_protocol;
	uint64_t queue_num;      /* GET_QUEUE_NUM, 0: not asked */
	uint64_t mem_slots;      /* GET_MAX_MEM_SLOTS, 0: not asked */
	uint32_t log_reply_size; /* bytes of the back-end's reply to SET_LOG_BASE: */
	uint8_t log_reply[SESSION_LOG_REPLY_MAX];
	uint64_t status;                  /* virtio device status as last set */
	struct wire_message *held_status; /* SET_STATUS 0 waiting for the rings to stop */
	struct queue_state queues[WIRE_QUEUES_MAX];
	struct regions regions;
	struct dirty dirty;
	bool log_ours;          /* the daemon marks what the back-end writes */
	bool features_repeated; /* the back-end has just these already: LOG_ALL alone changed */
	bool order_waits;       /* SET_FEATURES is answered when the rings have moved */
	enum session_mode mode; /* as configured, or as asked for since */
	struct arena arena;
	bool arena_given;                  /* the back-end has it in its memory */
	bool arena_refused;                /* no room for it: rings stay direct */
	bool record_ours;                  /* INFLIGHT_SHMFD is served here */
	struct wire_message *record_waits; /* SET_VRING_KICK, until the back-end gave its record */
	uint16_t record_queues, record_size; /* rings and descriptors a ring in the record */
	unsigned int holding;                /* rings on the move: the front-end waits meanwhile */
	unsigned int stayed;                 /* rings the last move had to leave where they were */
	struct link link;
	struct kept kept;
	struct postcopy postcopy;
	struct wire_message *postcopy_table; /* the back-end's answer, for the further pairs */
	unsigned int postcopy_pairs;         /* of those that still wait for it */
	struct iotlb_counts iotlb;
	struct iotlb translations;   /* in force, with ACCESS_PLATFORM */
	struct exchange exchange[2]; /* by wire_channel */
	/* by wire_channel, wire_direction and id; unknown ids at the last place */
	uint64_t counts[2][2][WIRE_FRONT_COUNT + 1];
	bool warned_unknown[2]; /* by wire_channel: one warning each */
	struct effect *effects; /* ring of what the shell has not taken */
	unsigned int effects_size, effects_first, effects_count;
	bool faulted;
	bool out_of_memory;
	uint64_t now_ns;
};

/* NULL: no memory. */
struct session *session_new(const struct session_config *config);

/*
 * Frees the session. Effects not taken and messages still kept must be taken
 * first: session_end() turns them into EFFECT_DROP.
 */
void session_end(struct session *session);
struct session *session_free(struct session *session);

/*
 * A whole message came from `port`; the session owns it from here. `now_ns` is
 * any monotonic time. Effects are then to be taken until there are none.
 */
void session_receive(struct session *session, enum session_port port, struct wire_message *message,
		     uint64_t now_ns);

/* The time, before any of the calls below that do not bring it. */
void session_clock(struct session *session, uint64_t now_ns);

/*
 * A ring's drain or recall is complete: `base` is what GET_VRING_BASE is to be
 * answered with.
 */
void session_drained(struct session *session, unsigned int queue, uint32_t base);

/*
 * The back-end has nothing of a watched, held or awaited ring in flight any more;
 * false: it still has after the time it was given, and the ring stays direct.
 */
void session_quiet(struct session *session, unsigned int queue, bool quiet);

/*
 * The back-end's connection is over. 0: the session goes on without one, until
 * session_back_adopted(). Otherwise it can not, and the diag says why. `completed`:
 * chains relayed so far.
 */
int session_back_lost(struct session *session, uint64_t now_ns, uint64_t completed,
		      struct diag *diag);

/* EFFECT_LOSE and EFFECT_STAND were carried out: where the ring goes on, chains in flight. */
void session_ring_lost(struct session *session, unsigned int queue, uint32_t base,
		       unsigned int parked);
void session_ring_stood(struct session *session, unsigned int queue, uint32_t base);

/*
 * Whether nobody waits for the lost back-end: the guest is paused, with all its rings
 * stopped and nothing in flight. Such a front-end is held without a limit.
 */
bool session_paused(const struct session *session);

/* PORT_BACK_MAIN is a new back-end, that candidate.h found fit. */
void session_back_adopted(struct session *session, uint64_t now_ns, uint64_t completed);

/* Moves to the candidate the shell has: EFFECT_SWAP follows when no ring is in the way. */
int session_swap(struct session *session, struct diag *diag);

/* The ring or its memory is broken, by the guest or by the back-end: the session ends. */
void session_ring_fault(struct session *session, unsigned int queue, bool guest, const char *text);

enum session_move {
	SESSION_MOVED = 0,   /* rings are on their way, or there already */
	SESSION_REFUSED = 1, /* the diag says why */
};

/* Moves every ring, and those started later, to this data path. Effects are then to be taken. */
int session_move(struct session *session, enum session_mode mode, struct diag *diag);

/* Whether another message from this port can be taken now (there is room to pair replies). */
bool session_wants(const struct session *session, enum session_port port);

/* The next effect, false: none. The caller owns its message and text. */
bool session_take_effect(struct session *session, struct effect *effect);
void session_effect_free(struct effect *effect);

/* The oldest request on a channel that is still without its reply; NULL: none. */
const struct exchange_entry *session_oldest(const struct session *session,
					    enum wire_channel channel);

/* Whether the guest's driver acknowledged a feature that it was offered. */
static inline bool session_agreed(const struct session *session, enum wire_virtio_bit bit)
{
	return (session->agreement.virtio_acked & WIRE_BIT(bit)) != 0;
}

static inline bool session_packed(const struct session *session)
{
	return session_agreed(session, WIRE_F_RING_PACKED);
}

/* Whether any ring is started. */
bool session_running(const struct session *session);

/* The device as configured, or as its features look. */
enum wire_device session_device(const struct session *session);

const char *session_port_name(enum session_port port);
enum wire_channel session_port_channel(enum session_port port);
