/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire/hide.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BITS 64u

struct match {
	uint64_t virtio, protocol;
};

static struct match find(enum wire_device device, const char *name)
{
	return (struct match){
	    .virtio = wire_bits_named(WIRE_SPACE_VIRTIO, device, name),
	    .protocol = wire_bits_named(WIRE_SPACE_PROTOCOL, device, name),
	};
}

static int refuse_ambiguous(const struct match *match, const char *name, struct diag *diag)
{
	char text[192] = "";
	size_t used = 0;

	for (unsigned int bit = 0; bit < BITS && used < sizeof(text); bit++) {
		if (match->virtio & WIRE_BIT(bit))
			used +=
			    (size_t)snprintf(text + used, sizeof(text) - used, " virtio:%u", bit);
		if (used < sizeof(text) && (match->protocol & WIRE_BIT(bit)))
			used +=
			    (size_t)snprintf(text + used, sizeof(text) - used, " protocol:%u", bit);
	}
	return diag_set(diag, 1, "--hide=%s: several bits have this name, write one of:%s", name,
			text);
}

static int parse_bare(struct offers *offers, enum wire_device device, const char *name,
		      struct diag *diag)
{
	struct match match = find(device, name);
	uint64_t all = match.virtio | match.protocol;

	if (!all && name[0] >= '0' && name[0] <= '9')
		return diag_set(diag, 1,
				"--hide=%s: a number needs its kind: virtio:%s or protocol:%s",
				name, name, name);
	if (!all)
		return diag_set(diag, 1,
				"--hide=%s: no feature has this name: see vhost-ferry-probe", name);
	if ((match.virtio && match.protocol) || (all & (all - 1)))
		return refuse_ambiguous(&match, name, diag);
	offers->hide_virtio |= match.virtio;
	offers->hide_protocol |= match.protocol;
	return 0;
}

static int parse_kind(uint64_t *hide, enum wire_space space, enum wire_device device,
		      const char *name, const char *whole, struct diag *diag)
{
	struct match match = find(device, name);
	uint64_t bits = space == WIRE_SPACE_VIRTIO ? match.virtio : match.protocol;
	int bit = wire_bit_by_name(space, name);

	if (bits & (bits - 1))
		return refuse_ambiguous(&match, name, diag);
	if (bits)
		*hide |= bits;
	else if (bit >= 0)
		*hide |= WIRE_BIT(bit);
	else
		return diag_set(diag, 1, "--hide=%s: no such feature: give a name or a bit 0 to 63",
				whole);
	return 0;
}

static int parse_one(struct offers *offers, enum wire_device device, const char *item,
		     struct diag *diag)
{
	if (strncmp(item, "virtio:", 7) == 0)
		return parse_kind(&offers->hide_virtio, WIRE_SPACE_VIRTIO, device, item + 7, item,
				  diag);
	if (strncmp(item, "protocol:", 9) == 0)
		return parse_kind(&offers->hide_protocol, WIRE_SPACE_PROTOCOL, device, item + 9,
				  item, diag);
	return parse_bare(offers, device, item, diag);
}

int hide_parse(struct offers *offers, enum wire_device device, const char *list, struct diag *diag)
{
	char *copy = strdup(list), *rest = copy, *item;
	int result = copy ? 0 : diag_set(diag, 1, "--hide: no memory");

	while (!result && (item = strsep(&rest, ",")))
		result = parse_one(offers, device, item, diag);
	free(copy);
	return result;
}
