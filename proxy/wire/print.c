/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire/print.h"

#include "base/bytes.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define BYTES_SHOWN 16u
#define MAC_SIZE    6u

static uint64_t load(const uint8_t *at, unsigned int width)
{
	uint64_t value = 0;

	memcpy(&value, at, width > sizeof(value) ? sizeof(value) : width);
	return value;
}

static void visit_one(const struct wire_field *field, const struct wire_message *message,
		      uint32_t base, const char *list, unsigned int item, wire_visit_fn visit,
		      void *context)
{
	struct wire_value value = {.field = field, .list = list, .item = item};
	uint32_t at = base + field->offset;
	uint32_t left;

	if (at >= message->header.size)
		return;
	left = message->header.size - at;
	if (field->format != WIRE_BYTES && left < field->width)
		return;
	value.bytes = message->payload + at;
	value.size = left < field->width ? left : field->width;
	value.number = load(value.bytes, field->width < value.size ? field->width : value.size);
	visit(&value, context);
}

static enum wire_payload_id layout(const struct wire_row *row, const struct wire_message *message)
{
	if (!row)
		return WIRE_PAYLOAD_OPAQUE;
	if (!wire_is_reply(message))
		return row->payload;
	/* An acknowledgement, or a refusal where a reply of its own was due. */
	if (message->header.size == 8 &&
	    (wire_payload(row->reply_payload)->least != 8 || wire_tail(row->reply_payload)))
		return WIRE_PAYLOAD_U64;
	return row->reply_payload;
}

void wire_visit(enum wire_channel channel, const struct wire_message *message, wire_visit_fn visit,
		void *context)
{
	enum wire_payload_id id = layout(wire_row(channel, message->header.id), message);
	const struct wire_tail *tail = wire_tail(id);
	const struct wire_field *field = NULL;

	while ((field = wire_field_next(id, field)))
		visit_one(field, message, 0, NULL, 0, visit, context);
	if (!tail)
		return;
	for (unsigned int i = 0; tail->offset + (i + 1u) * tail->stride <= message->header.size;
	     i++)
		while ((field = wire_element_next(id, field)))
			visit_one(field, message, tail->offset + i * tail->stride, tail->name, i,
				  visit, context);
}

static const char *named(const char *const *names, size_t count, uint64_t value)
{
	return value < count && names[value] ? names[value] : NULL;
}

static void print_bytes(const struct wire_value *value, char *text, size_t size)
{
	size_t used = 0;
	uint32_t shown = value->size < BYTES_SHOWN ? value->size : BYTES_SHOWN;

	text[0] = '\0';
	for (uint32_t i = 0; i < shown && used + 3 < size; i++)
		used += (size_t)snprintf(text + used, size - used, "%02x", value->bytes[i]);
	if (shown < value->size)
		snprintf(text + used, size - used, "..(%u bytes)", value->size);
}

void wire_value_print(const struct wire_value *value, enum wire_device device, char *text,
		      size_t size)
{
	static const char *const perms[] = {NULL, "RO", "WO", "RW"};
	static const char *const types[] = {NULL,          "miss",        "update",   "invalidate",
					    "access-fail", "batch-begin", "batch-end"};
	const uint8_t *b = value->bytes;
	const char *name = NULL;

	switch (value->field->format) {
	case WIRE_DEC:
		break;
	case WIRE_HEX:
		snprintf(text, size, "0x%" PRIx64, value->number);
		return;
	case WIRE_VIRTIO:
		wire_bits_print(WIRE_SPACE_VIRTIO, device, value->number, text, size);
		return;
	case WIRE_PROTOCOL:
		wire_bits_print(WIRE_SPACE_PROTOCOL, device, value->number, text, size);
		return;
	case WIRE_RING:
		snprintf(text, size, "%" PRIu64 "%s", value->number & WIRE_RING_INDEX_MASK,
			 value->number & WIRE_RING_NOFD ? "(nofd)" : "");
		return;
	case WIRE_MAC:
		if (value->size >= MAC_SIZE)
			snprintf(text, size, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2],
				 b[3], b[4], b[5]);
		return;
	case WIRE_PERM:
		name = named(perms, sizeof(perms) / sizeof(perms[0]), value->number);
		break;
	case WIRE_IOTLB_TYPE:
		name = named(types, sizeof(types) / sizeof(types[0]), value->number);
		break;
	case WIRE_BYTES:
		print_bytes(value, text, size);
		return;
	}
	if (name)
		snprintf(text, size, "%s", name);
	else
		snprintf(text, size, "%" PRIu64, value->number);
}

struct line {
	enum wire_device device;
	char *text;
	size_t size;
	size_t used;
};

__attribute__((format(printf, 2, 3))) static void line_add(struct line *line, const char *format,
							   ...)
{
	va_list args;
	int n;

	if (line->used >= line->size)
		return;
	va_start(args, format);
	n = vsnprintf(line->text + line->used, line->size - line->used, format, args);
	va_end(args);
	line->used += n < 0 ? 0 : (size_t)n;
}

static void line_field(const struct wire_value *value, void *context)
{
	struct line *line = context;
	char text[768];

	text[0] = '\0';
	wire_value_print(value, line->device, text, sizeof(text));
	if (value->list)
		line_add(line, " %s[%u].%s=%s", value->list, value->item, value->field->name, text);
	else
		line_add(line, " %s=%s", value->field->name, text);
}

void wire_print(enum wire_channel channel, enum wire_device device,
		const struct wire_message *message, char *text, size_t size)
{
	struct line line = {.device = device, .text = text, .size = size};
	char name[WIRE_NAME_MAX];

	line_add(&line, "%s%s%s", wire_name(channel, message->header.id, name),
		 wire_is_reply(message) ? " reply" : "",
		 wire_needs_reply(message) ? " need_reply" : "");
	wire_visit(channel, message, line_field, &line);
	if (message->fds.count)
		line_add(&line, " fds=%u", message->fds.count);
}
