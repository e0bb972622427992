/* SPDX-License-Identifier: BSD-3-Clause */
#include "backend/options.h"

#include "wire/features.h"
#include "wire/message.h"

#include <errno.h>
#include <popt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FEATURES                                                                                   \
	(WIRE_BIT(WIRE_F_VERSION_1) | WIRE_BIT(WIRE_F_RING_INDIRECT_DESC) |                        \
	 WIRE_BIT(WIRE_F_RING_EVENT_IDX) | WIRE_BIT(WIRE_F_RING_PACKED) |                          \
	 WIRE_BIT(WIRE_F_VHOST_F_LOG_ALL) | WIRE_BIT(WIRE_F_PROTOCOL_FEATURES) |                   \
	 WIRE_BIT(DEVICE_F_BLK_SEG_MAX) | WIRE_BIT(DEVICE_F_BLK_BLK_SIZE) |                        \
	 WIRE_BIT(DEVICE_F_BLK_FLUSH) | WIRE_BIT(DEVICE_F_BLK_MQ))

#define PROTOCOL_FEATURES                                                                          \
	(WIRE_BIT(WIRE_PF_MQ) | WIRE_BIT(WIRE_PF_LOG_SHMFD) | WIRE_BIT(WIRE_PF_REPLY_ACK) |        \
	 WIRE_BIT(WIRE_PF_BACKEND_REQ) | WIRE_BIT(WIRE_PF_CONFIG) |                                \
	 WIRE_BIT(WIRE_PF_CONFIGURE_MEM_SLOTS))

/* "NAME" adds a bit, "-NAME" takes it out, "0x..." replaces all; a number is a bit's name too. */
static int apply(const char *option, enum wire_space space, char *item, uint64_t *bits,
		 struct diag *diag)
{
	bool out = item[0] == '-';
	int bit;

	if (strncmp(item, "0x", 2) == 0) {
		char *end;

		*bits = strtoull(item, &end, 16);
		if (*end)
			return diag_set(diag, -EINVAL, "--%s=%s: no number", option, item);
		return 0;
	}
	bit = wire_bit_by_name(space, item + out);
	if (bit < 0)
		return diag_set(diag, -EINVAL, "--%s=%s: no such bit", option, item + out);
	if (out)
		*bits &= ~WIRE_BIT(bit);
	else
		*bits |= WIRE_BIT(bit);
	return 0;
}

static int apply_list(const char *option, enum wire_space space, char *list, uint64_t *bits,
		      struct diag *diag)
{
	char *rest = NULL;
	int result = 0;

	for (char *item = list ? strtok_r(list, ",", &rest) : NULL; item && !result;
	     item = strtok_r(NULL, ",", &rest))
		result = apply(option, space, item, bits, diag);
	return result;
}

static int check(const struct options *options, int queues, int delay_us, long long size,
		 struct diag *diag)
{
	if (!options->socket_path == !options->connect)
		return diag_set(diag, -EINVAL, "give one of --socket-path=PATH and --connect=PATH");
	if (queues < 1 || queues > (int)WIRE_QUEUES_MAX)
		return diag_set(diag, -EINVAL, "--queues=%d: must be 1 to %u", queues,
				WIRE_QUEUES_MAX);
	if (delay_us < 0)
		return diag_set(diag, -EINVAL, "--delay-us=%d: must not be negative", delay_us);
	if (size < 512 || size % 512)
		return diag_set(diag, -EINVAL, "--size=%lld: must be a multiple of 512", size);
	return 0;
}

enum { OPTION_VERSION = 1 };

/* The paths that popt hands out live as long as the program. */
int options_parse(struct options *options, int argc, const char **argv, struct diag *diag)
{
	char *features = NULL, *protocol = NULL;
	int queues = 1, delay_us = 0, shuffle = 0, announce = 0, option, result = 0;
	long long size = 64 << 20;
	const struct poptOption table[] = {
	    {"socket-path", 0, POPT_ARG_STRING, &options->socket_path, 0, "listen there", "PATH"},
	    {"connect", 0, POPT_ARG_STRING, &options->connect, 0,
	     "connect to a front-end that listens there", "PATH"},
	    {"file", 0, POPT_ARG_STRING, &options->file, 0, "the disk, instead of memory", "PATH"},
	    {"size", 0, POPT_ARG_LONGLONG, &size, 0, "of a disk in memory (67108864)", "BYTES"},
	    {"queues", 0, POPT_ARG_INT, &queues, 0, "queues (1)", "N"},
	    {"delay-us", 0, POPT_ARG_INT, &delay_us, 0, "how long each request takes (0)", "N"},
	    {"shuffle", 0, POPT_ARG_NONE, &shuffle, 0, "complete in random order", NULL},
	    {"announce", 0, POPT_ARG_NONE, &announce, 0,
	     "send a config change at each start and want it acknowledged", NULL},
	    {"features", 0, POPT_ARG_STRING, &features, 0,
	     "change the bits offered: NAME, -NAME, or 0x for all of them", "LIST"},
	    {"protocol-features", 0, POPT_ARG_STRING, &protocol, 0, "likewise", "LIST"},
	    {"version", 0, POPT_ARG_NONE, NULL, OPTION_VERSION, "print the version", NULL},
	    POPT_AUTOHELP POPT_TABLEEND};
	poptContext context = poptGetContext("ferry-test-backend", argc, argv, table, 0);

	*options = (struct options){.features = FEATURES, .protocol_features = PROTOCOL_FEATURES};
	option = poptGetNextOpt(context);
	if (option == OPTION_VERSION) {
		printf("ferry-test-backend %s\n", FERRY_VERSION);
		result = OPTIONS_DONE;
	} else if (option < -1) {
		result =
		    diag_set(diag, -EINVAL, "%s: %s, see --help",
			     poptBadOption(context, POPT_BADOPTION_NOALIAS), poptStrerror(option));
	} else if (poptPeekArg(context)) {
		result = diag_set(diag, -EINVAL, "%s: no such argument, see --help",
				  poptPeekArg(context));
	}
	if (!result)
		result = check(options, queues, delay_us, size, diag);
	if (!result)
		result =
		    apply_list("features", WIRE_SPACE_VIRTIO, features, &options->features, diag);
	if (!result)
		result = apply_list("protocol-features", WIRE_SPACE_PROTOCOL, protocol,
				    &options->protocol_features, diag);
	options->queues = (unsigned int)queues;
	options->delay_us = (unsigned int)delay_us;
	options->size = (uint64_t)size;
	options->shuffle = shuffle;
	options->announce = announce;
	poptFreeContext(context);
	free(features);
	free(protocol);
	return result;
}
