/* SPDX-License-Identifier: BSD-3-Clause */
/* The list of --hide: feature bits by name or number. Pure. */
#pragma once

#include "base/diag.h"
#include "wire/offers.h"

/*
 * Adds the bits of "virtio:34,RING_PACKED,protocol:CONFIG" to `offers`. A bare
 * name that several bits have is refused with their numbers, unless `device`
 * tells which is meant. 0, or 1 with the line.
 */
int hide_parse(struct offers *offers, enum wire_device device, const char *list, struct diag *diag);
