/* SPDX-License-Identifier: BSD-3-Clause */
#include "probe/report.h"

#include "probe/config.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

static json_t *bit_names(enum wire_space space, enum wire_device device, uint64_t bits)
{
	json_t *names = json_array();

	for (unsigned int bit = 0; bit < 64; bit++) {
		const char *name = wire_bit_name(space, device, bit);

		if (!(bits & WIRE_BIT(bit)))
			continue;
		json_array_append_new(names, name ? json_string(name) : json_sprintf("bit%u", bit));
	}
	return names;
}

static json_t *number_or_null(int64_t value)
{
	return value < 0 ? json_null() : json_integer(value);
}

static json_t *answer(int value)
{
	return value < 0 ? json_null() : json_boolean(value);
}

static json_t *notes_array(const struct verdict_notes *notes)
{
	json_t *lines = json_array();

	for (unsigned int i = 0; i < notes->count; i++)
		json_array_append_new(lines, json_string(notes->lines[i]));
	return lines;
}

static json_t *config_object(const struct answers *answers)
{
	const struct config_field *field = NULL;
	char hex[2 * WIRE_CONFIG_MAX + 1] = "";
	json_t *values;
	char text[64];

	if (!answers->config_size)
		return json_null();
	for (size_t i = 0; i < answers->config_size; i++)
		snprintf(hex + 2 * i, 3, "%02x", answers->config[i]);
	values = json_object();
	while ((field = config_next(answers->facts.device, answers->config_size, field))) {
		config_print(field, answers->config, text, sizeof(text));
		json_object_set_new(
		    values, field->name,
		    field->kind == CONFIG_NUMBER
			? json_integer((json_int_t)config_number(field, answers->config))
			: json_string(text));
	}
	return json_pack("{s:I, s:s, s:o}", "size", (json_int_t)answers->config_size, "hex", hex,
			 "fields", values);
}

static json_t *verdict_object(const struct verdict *verdict)
{
	json_t *missing = json_array();

	for (unsigned int i = 0; i < verdict->missing_count; i++) {
		const struct verdict_bit *bit = &verdict->missing[i];

		json_array_append_new(
		    missing,
		    json_pack("{s:s, s:s, s:i}", "name",
			      wire_bit_name(bit->space, WIRE_DEVICE_UNKNOWN, bit->bit), "space",
			      bit->space == WIRE_SPACE_VIRTIO ? "virtio" : "protocol", "bit",
			      (int)bit->bit));
	}
	return json_pack("{s:s, s:s, s:s, s:o, s:s, s:o}", "name", verdict->key, "title",
			 verdict->title, "verdict", verdict->has ? "has" : "lacks", "missing",
			 missing, "daemon", verdict_daemon_key(verdict->daemon), "notes",
			 notes_array(&verdict->notes));
}

static json_t *capabilities(const struct verdict_facts *facts)
{
	struct verdict verdicts[VERDICT_COUNT];
	json_t *array = json_array();

	verdict_all(facts, verdicts);
	for (unsigned int i = 0; i < VERDICT_COUNT; i++)
		json_array_append_new(array, verdict_object(&verdicts[i]));
	return array;
}

static json_t *host_object(const struct verdict_host *host)
{
	return json_pack("{s:o, s:o, s:o}", "unprivileged_userfaultfd", answer(host->sysctl),
			 "cap_sys_ptrace", answer(host->capability), "dev_userfaultfd",
			 answer(host->device));
}

static json_t *whole_object(const char *path, const struct answers *answers)
{
	const struct verdict_facts *facts = &answers->facts;
	struct verdict_notes notes;

	verdict_bits(facts, &notes);
	return json_pack(
	    "{s:s, s:i, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "path",
	    path, "pid", (int)answers->pid, "process", answers->process, "device",
	    wire_device_name(facts->device), "features",
	    bit_names(WIRE_SPACE_VIRTIO, facts->device, facts->features), "features_value",
	    json_sprintf("0x%" PRIx64, facts->features), "protocol_features",
	    bit_names(WIRE_SPACE_PROTOCOL, facts->device, facts->protocol),
	    "protocol_features_value", json_sprintf("0x%" PRIx64, facts->protocol), "queues",
	    number_or_null(facts->queues), "mem_slots", number_or_null(facts->slots), "status",
	    number_or_null(answers->status), "config", config_object(answers), "capabilities",
	    capabilities(facts), "host", host_object(&facts->host), "notes", notes_array(&notes));
}

int report_json(const char *path, const struct answers *answers, const char *error)
{
	json_t *whole;
	int result;

	if (answers->have_features)
		whole = whole_object(path, answers);
	else
		whole = json_pack("{s:s}", "path", path);
	if (!whole)
		return -ENOMEM;
	json_object_set_new(whole, "error", error ? json_string(error) : json_null());
	result = json_dumpf(whole, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
	json_decref(whole);
	putchar('\n');
	return result ? -ENOMEM : 0;
}
