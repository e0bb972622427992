/* SPDX-License-Identifier: BSD-3-Clause */
#include "probe/report.h"

#include "probe/config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define WIDTH 78
#define LABEL 18 /* columns of the left margin */

#define VERDICT_LABEL 35

/* Words one after the other, broken before the right margin. */
struct paragraph {
	int margin;
	int column;
};

static void put_word(struct paragraph *paragraph, const char *word)
{
	int length = (int)strlen(word);

	if (paragraph->column > paragraph->margin) {
		if (paragraph->column + 1 + length > WIDTH) {
			printf("\n%*s", paragraph->margin, "");
			paragraph->column = paragraph->margin;
		} else {
			putchar(' ');
			paragraph->column++;
		}
	}
	fputs(word, stdout);
	paragraph->column += length;
}

static void put_words(struct paragraph *paragraph, const char *text)
{
	while (*text) {
		size_t length = strcspn(text, " ");
		char word[DIAG_TEXT_MAX];

		if (length >= sizeof(word))
			length = sizeof(word) - 1;
		memcpy(word, text, length);
		word[length] = '\0';
		put_word(paragraph, word);
		text += length;
		text += strspn(text, " ");
	}
}

static void put_line(int margin, const char *label, const char *text)
{
	struct paragraph paragraph = {margin, margin};

	if (*text)
		printf("%-*s", margin, label);
	else
		fputs(label, stdout);
	put_words(&paragraph, text);
	putchar('\n');
}

static void put_bits(const char *label, enum wire_space space, enum wire_device device,
		     uint64_t bits)
{
	struct paragraph paragraph = {LABEL, LABEL};
	char word[64];

	snprintf(word, sizeof(word), "0x%" PRIx64, bits);
	printf("%-*s%s\n%*s", LABEL, label, word, LABEL, "");
	if (!bits)
		put_word(&paragraph, "none");
	for (unsigned int bit = 0; bit < 64; bit++) {
		const char *name = wire_bit_name(space, device, bit);

		if (!(bits & WIRE_BIT(bit)))
			continue;
		snprintf(word, sizeof(word), "%s(%u)", name ? name : "bit", bit);
		put_word(&paragraph, word);
	}
	putchar('\n');
}

static void put_number(const char *label, int64_t value, const char *missing)
{
	char text[64];

	snprintf(text, sizeof(text), "%" PRId64, value);
	put_line(LABEL, label, value < 0 ? missing : text);
}

static void put_config(const struct answers *answers)
{
	const struct config_field *field = NULL;
	struct paragraph paragraph = {LABEL, LABEL};
	char value[64], word[128];
	bool any = false;

	if (!answers->config_size) {
		put_line(LABEL, "config space", "none to be had");
		return;
	}
	printf("%-*s", LABEL, "config space");
	while ((field = config_next(answers->facts.device, answers->config_size, field))) {
		config_print(field, answers->config, value, sizeof(value));
		snprintf(word, sizeof(word), "%s=%s", field->name, value);
		put_word(&paragraph, word);
		any = true;
	}
	for (size_t i = 0; !any && i < answers->config_size; i += 4) {
		size_t n = answers->config_size - i < 4 ? answers->config_size - i : 4;

		for (size_t k = 0; k < n; k++)
			snprintf(word + 2 * k, sizeof(word) - 2 * k, "%02x",
				 answers->config[i + k]);
		put_word(&paragraph, word);
	}
	putchar('\n');
}

static void put_notes(int margin, const struct verdict_notes *notes)
{
	for (unsigned int i = 0; i < notes->count; i++)
		put_line(margin, "", notes->lines[i]);
}

static void put_verdict(const struct verdict *verdict)
{
	char label[64];
	char missing[VERDICT_BITS_MAX * 64];
	size_t used = 0;

	missing[0] = '\0';
	for (unsigned int i = 0; i < verdict->missing_count; i++) {
		char name[64];

		verdict_bit_print(&verdict->missing[i], name, sizeof(name));
		used += (size_t)snprintf(missing + used, sizeof(missing) - used, "%s%s",
					 i ? ", " : "", name);
	}
	snprintf(label, sizeof(label), "%-26s  %s", verdict->title, verdict->has ? "has" : "lacks");
	put_line(VERDICT_LABEL, label, missing);
	if (!verdict->has)
		printf("    vhost-ferry: %s\n", verdict_daemon_text(verdict->daemon));
	put_notes(4, &verdict->notes);
}

static void put_verdicts(const struct verdict_facts *facts)
{
	struct verdict verdicts[VERDICT_COUNT];
	struct verdict_notes notes;

	verdict_all(facts, verdicts);
	verdict_bits(facts, &notes);
	putchar('\n');
	for (unsigned int i = 0; i < VERDICT_COUNT; i++)
		put_verdict(&verdicts[i]);
	if (!notes.count)
		return;
	printf("\nnotes\n");
	put_notes(4, &notes);
}

void report_text(const char *path, const struct answers *answers)
{
	const struct verdict_facts *facts = &answers->facts;
	char text[128];

	put_line(LABEL, "back-end", path);
	if (answers->pid) {
		snprintf(text, sizeof(text), "%d %s", answers->pid, answers->process);
		put_line(LABEL, "process", text);
	}
	put_line(LABEL, "looks like",
		 facts->device == WIRE_DEVICE_UNKNOWN
		     ? "no device this program can tell: name it with --device"
		     : wire_device_name(facts->device));
	put_bits("virtio features", WIRE_SPACE_VIRTIO, facts->device, facts->features);
	put_bits("protocol features", WIRE_SPACE_PROTOCOL, facts->device, facts->protocol);
	put_number("queues", facts->queues, "not told (MQ is not offered)");
	put_number("memory slots", facts->slots, "8 (CONFIGURE_MEM_SLOTS is not offered)");
	if (answers->status >= 0)
		put_number("status", answers->status, "");
	put_config(answers);
	put_verdicts(facts);
}
