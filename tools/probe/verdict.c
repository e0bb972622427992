/* SPDX-License-Identifier: BSD-3-Clause */
#include "probe/verdict.h"

#include "wire/offers.h"

#include <stdarg.h>
#include <stdio.h>

struct need {
	struct verdict_bit bit;
	enum wire_device only;   /* needed of this device alone; UNKNOWN: of any */
	enum wire_device except; /* not needed of this device; UNKNOWN: no exception */
};

struct row {
	const char *key;
	const char *title;
	unsigned int need_count;
	struct need needs[VERDICT_BITS_MAX];
	/* Flipped by the issue that makes the daemon do it. */
	enum verdict_daemon daemon;
	void (*explain)(const struct verdict_facts *facts, struct verdict *verdict);
};

#define VIRTIO(name)                                                                               \
	{                                                                                          \
		.bit = { WIRE_SPACE_VIRTIO, WIRE_F_##name }                                        \
	}
#define PROTOCOL(name)                                                                             \
	{                                                                                          \
		.bit = { WIRE_SPACE_PROTOCOL, WIRE_PF_##name }                                     \
	}
#define PROTOCOL_ONLY(name, device)                                                                \
	{                                                                                          \
		.bit = {WIRE_SPACE_PROTOCOL, WIRE_PF_##name}, .only = WIRE_DEVICE_##device         \
	}
#define PROTOCOL_EXCEPT(name, device)                                                              \
	{                                                                                          \
		.bit = {WIRE_SPACE_PROTOCOL, WIRE_PF_##name}, .except = WIRE_DEVICE_##device       \
	}

__attribute__((format(printf, 2, 3))) static void note(struct verdict_notes *notes,
						       const char *format, ...)
{
	va_list args;

	if (notes->count == VERDICT_NOTES_MAX)
		return;
	va_start(args, format);
	vsnprintf(notes->lines[notes->count++], DIAG_TEXT_MAX, format, args);
	va_end(args);
}

static bool offers(const struct verdict_facts *facts, const struct verdict_bit *bit)
{
	uint64_t bits = bit->space == WIRE_SPACE_VIRTIO ? facts->features : facts->protocol;

	return (bits & WIRE_BIT(bit->bit)) != 0;
}

static bool has_protocol(const struct verdict_facts *facts, enum wire_protocol_bit bit)
{
	return (facts->protocol & WIRE_BIT(bit)) != 0;
}

static bool can_precopy(const struct verdict_facts *facts)
{
	return (facts->features & WIRE_BIT(WIRE_F_VHOST_F_LOG_ALL)) &&
	       has_protocol(facts, WIRE_PF_LOG_SHMFD);
}

static void explain_precopy(const struct verdict_facts *facts, struct verdict *verdict)
{
	if (!can_precopy(facts))
		note(&verdict->notes, "QEMU refuses to migrate a guest with this device");
	/* What the daemon relays, it can log; protocol features carry the log to it. */
	if (facts->device != WIRE_DEVICE_VSOCK &&
	    (facts->features & WIRE_BIT(WIRE_F_PROTOCOL_FEATURES)))
		verdict->daemon = VERDICT_ADDS;
	if (facts->device == WIRE_DEVICE_FS && !has_protocol(facts, WIRE_PF_DEVICE_STATE)) {
		/* Nobody can make up what the back-end alone knows. */
		verdict->daemon = VERDICT_NEVER;
		note(&verdict->notes, "a file system's open files are state of the back-end: only "
				      "DEVICE_STATE carries them");
	}
	if (facts->device == WIRE_DEVICE_FS)
		note(&verdict->notes, "QEMU before 8.2 migrates no vhost-user file system, "
				      "whatever its back-end has");
	if (facts->device == WIRE_DEVICE_VSOCK)
		note(&verdict->notes,
		     "QEMU migrates no vhost-user vsock device, whatever its back-end has");
	if (verdict->has && !has_protocol(facts, WIRE_PF_REPLY_ACK))
		note(&verdict->notes, "without REPLY_ACK (protocol bit 3) the front-end can not "
				      "tell when logging has begun");
}

static const char *answer(int value)
{
	return value < 0 ? "not known" : value ? "yes" : "no";
}

static void explain_host(const struct verdict_host *host, struct verdict *verdict)
{
	if (host->sysctl == 1 || host->capability == 1 || host->device == 1)
		return;
	note(&verdict->notes,
	     "this host does not let the back-end open a userfaultfd (vm.unprivileged_userfaultfd: "
	     "%s, CAP_SYS_PTRACE: %s, /dev/userfaultfd: %s): allow one of the three%s",
	     answer(host->sysctl), answer(host->capability), answer(host->device),
	     verdict->has ? "" : ", it may then offer PAGEFAULT");
}

static void explain_postcopy(const struct verdict_facts *facts, struct verdict *verdict)
{
	if (verdict->has && has_protocol(facts, WIRE_PF_CONFIGURE_MEM_SLOTS))
		note(&verdict->notes,
		     "PAGEFAULT with CONFIGURE_MEM_SLOTS (protocol bit 15) is known to break: "
		     "qemu-storage-daemon 7.2 and 10.0 then lose the disk or the guest; hide bit "
		     "15 from the front-end (vhost-ferry --hide=protocol:CONFIGURE_MEM_SLOTS)");
	if (!can_precopy(facts))
		note(&verdict->notes,
		     "QEMU refuses a postcopy migration too for what precopy lacks");
	if (!verdict->has && facts->device == WIRE_DEVICE_NET)
		note(&verdict->notes,
		     "DPDK offers it when asked to: net_vhost with postcopy-support=1, Open "
		     "vSwitch with vhost-postcopy-support");
	explain_host(&facts->host, verdict);
}

static void explain_viommu(const struct verdict_facts *facts, struct verdict *verdict)
{
	bool platform = (facts->features & WIRE_BIT(WIRE_F_ACCESS_PLATFORM)) != 0;

	if (platform && !verdict->has)
		note(&verdict->notes, "QEMU refuses a back-end that offers ACCESS_PLATFORM without "
				      "the others, even where no vIOMMU is used");
	if (verdict->has && facts->device == WIRE_DEVICE_NET)
		note(&verdict->notes,
		     "known to corrupt frames with DPDK 22.11 and a guest that flushes lazily, as "
		     "Linux does by default: boot the guest with iommu.strict=1");
	if (!platform && facts->device == WIRE_DEVICE_NET)
		note(&verdict->notes, "DPDK offers it when asked to: net_vhost with "
				      "iommu-support=1, Open vSwitch with vhost-iommu-support");
}

static void explain_reconnect(const struct verdict_facts *facts, struct verdict *verdict)
{
	if (facts->device == WIRE_DEVICE_NET) {
		note(&verdict->notes, "a network device needs no inflight record: its rings go on "
				      "at the used index, frames on their way are lost");
		note(&verdict->notes, "packed rings that are direct do not: only the back-end "
				      "knows where (vhost-ferry --data-path=shadow)");
		return;
	}
	/* Nobody can make up what the back-end alone knows. */
	if (facts->device == WIRE_DEVICE_FS || facts->device == WIRE_DEVICE_VSOCK)
		verdict->daemon = VERDICT_NEVER;
	if (facts->device == WIRE_DEVICE_FS)
		note(&verdict->notes, "mounts and open files are state of the back-end: behind "
				      "vhost-ferry they get errors instead of a hang, and a new "
				      "mount works");
	if (facts->device == WIRE_DEVICE_VSOCK)
		note(&verdict->notes, "open streams are state of the back-end: behind vhost-ferry "
				      "new ones work");
	if (!verdict->has)
		note(&verdict->notes,
		     "requests in flight when the back-end dies are lost, unless it completes them "
		     "in order; the guest sees I/O errors or hangs");
}

static void explain_packed(const struct verdict_facts *facts, struct verdict *verdict)
{
	if (!verdict->has)
		note(&verdict->notes,
		     "start the guest's device without packed=on: split rings work");
}

static void explain_queues(const struct verdict_facts *facts, struct verdict *verdict)
{
	if (!verdict->has && facts->device == WIRE_DEVICE_NET)
		note(&verdict->notes, "QEMU with queues=2 or more connects and disconnects for "
				      "ever: use one queue pair");
	if (verdict->has && facts->queues == 1)
		note(&verdict->notes,
		     "it has 1 queue as it was started (qemu-storage-daemon: num-queues=N)");
	if (verdict->has && facts->queues > 1)
		note(&verdict->notes, "%lld queues", (long long)facts->queues);
}

static void explain_regions(const struct verdict_facts *facts, struct verdict *verdict)
{
	if (!verdict->has)
		note(&verdict->notes,
		     "8 regions at most, hot-plugged memory included; the front-end refuses more");
	else if (facts->slots >= 0)
		note(&verdict->notes, "%lld memory slots", (long long)facts->slots);
}

static const struct row rows[] = {
    {"precopy",
     "precopy migration",
     3,
     {VIRTIO(VHOST_F_LOG_ALL), PROTOCOL(LOG_SHMFD), PROTOCOL_ONLY(DEVICE_STATE, FS)},
     VERDICT_NOT_YET,
     explain_precopy},
    {"postcopy", "postcopy migration", 1, {PROTOCOL(PAGEFAULT)}, VERDICT_NOT_YET, explain_postcopy},
    {"viommu",
     "vIOMMU",
     3,
     {VIRTIO(ACCESS_PLATFORM), PROTOCOL(BACKEND_REQ), PROTOCOL(REPLY_ACK)},
     VERDICT_NOT_YET,
     explain_viommu},
    {"reconnect",
     "reconnection without loss",
     1,
     {PROTOCOL_EXCEPT(INFLIGHT_SHMFD, NET)},
     VERDICT_ADDS,
     explain_reconnect},
    {"packed-ring", "packed ring", 1, {VIRTIO(RING_PACKED)}, VERDICT_NEVER, explain_packed},
    {"multi-queue", "multi-queue", 1, {PROTOCOL(MQ)}, VERDICT_NEVER, explain_queues},
    {"memory-regions",
     "many memory regions",
     1,
     {PROTOCOL(CONFIGURE_MEM_SLOTS)},
     VERDICT_NOT_YET,
     explain_regions},
};
_Static_assert(sizeof(rows) / sizeof(rows[0]) == VERDICT_COUNT, "a verdict for each row");

static bool needed(const struct need *need, enum wire_device device)
{
	if (need->only != WIRE_DEVICE_UNKNOWN)
		return need->only == device;
	return need->except == WIRE_DEVICE_UNKNOWN || need->except != device;
}

static void judge(const struct row *row, const struct verdict_facts *facts, struct verdict *verdict)
{
	*verdict = (struct verdict){.key = row->key, .title = row->title, .daemon = row->daemon};
	for (unsigned int i = 0; i < row->need_count; i++)
		if (needed(&row->needs[i], facts->device) && !offers(facts, &row->needs[i].bit))
			verdict->missing[verdict->missing_count++] = row->needs[i].bit;
	verdict->has = verdict->missing_count == 0;
	row->explain(facts, verdict);
}

void verdict_all(const struct verdict_facts *facts, struct verdict verdicts[VERDICT_COUNT])
{
	for (unsigned int i = 0; i < VERDICT_COUNT; i++)
		judge(&rows[i], facts, &verdicts[i]);
}

static void note_hidden(enum wire_space space, uint64_t bits, const char *when,
			struct verdict_notes *notes)
{
	char names[160];

	if (!bits)
		return;
	wire_bits_print(space, WIRE_DEVICE_UNKNOWN, bits, names, sizeof(names));
	note(notes, "vhost-ferry %s: %s", when, names);
}

static void note_unknown(enum wire_space space, uint64_t bits, struct verdict_notes *notes)
{
	char names[160];

	if (!bits)
		return;
	wire_bits_print(space, WIRE_DEVICE_UNKNOWN, bits, names, sizeof(names));
	note(notes, "%s %s: not known to this version, vhost-ferry hides it",
	     space == WIRE_SPACE_VIRTIO ? "virtio" : "protocol", names);
}

/* What the daemon hides always, and what only where it may have to relay rings. */
static void note_offers(enum wire_space space, uint64_t bits, struct verdict_notes *notes)
{
	const struct offers watching = {.watch_only = true}, relaying = {.watch_only = false};
	uint64_t always = offers_hidden(&watching, space, bits);
	uint64_t relayed = offers_hidden(&relaying, space, bits) & ~always;

	note_hidden(space, always, "never shows a front-end", notes);
	note_hidden(space, relayed, "shows a front-end only while it never relays a ring", notes);
}

void verdict_bits(const struct verdict_facts *facts, struct verdict_notes *notes)
{
	notes->count = 0;
	if (!(facts->features & WIRE_BIT(WIRE_F_PROTOCOL_FEATURES)))
		note(notes, "PROTOCOL_FEATURES (virtio bit 30) is not offered, hence no protocol "
			    "feature is");
	if (facts->device == WIRE_DEVICE_BLK && !has_protocol(facts, WIRE_PF_CONFIG))
		note(notes, "CONFIG (protocol bit 9) is not offered: QEMU refuses such a disk");
	if (facts->device == WIRE_DEVICE_FS)
		note(notes, "virtiofsd ends when its front-end leaves, hence also when this probe "
			    "does: start it anew");
	note_unknown(WIRE_SPACE_VIRTIO, facts->features & ~wire_virtio_known(), notes);
	note_unknown(WIRE_SPACE_PROTOCOL, facts->protocol & ~wire_protocol_known(), notes);
	note_offers(WIRE_SPACE_VIRTIO, facts->features & wire_virtio_known(), notes);
	note_offers(WIRE_SPACE_PROTOCOL, facts->protocol & wire_protocol_known(), notes);
}

const char *verdict_daemon_key(enum verdict_daemon daemon)
{
	static const char *const keys[] = {"not-yet", "adds", "never"};

	return keys[daemon];
}

const char *verdict_daemon_text(enum verdict_daemon daemon)
{
	static const char *const texts[] = {"not yet in this version", "adds it",
					    "passes on what the back-end has"};

	return texts[daemon];
}

void verdict_bit_print(const struct verdict_bit *bit, char *text, size_t size)
{
	const char *name = wire_bit_name(bit->space, WIRE_DEVICE_UNKNOWN, bit->bit);

	snprintf(text, size, "%s (%s bit %u)", name ? name : "nameless",
		 bit->space == WIRE_SPACE_VIRTIO ? "virtio" : "protocol", bit->bit);
}
