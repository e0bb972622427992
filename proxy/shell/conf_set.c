/* SPDX-License-Identifier: BSD-3-Clause */
#include "shell/conf_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int conf_usage(struct diag *diag, const char *option, const char *value, const char *rule)
{
	return diag_set(diag, CONF_USAGE, "--%s=%s: %s", option, value, rule);
}

int conf_set_end(struct conf_end *end, enum conf_side side, const char *option, char *value,
		 struct diag *diag)
{
	if (end->side != CONF_NONE)
		return conf_usage(diag, option, value,
				  "this side was given already: give one option for each side");
	if (side == CONF_FD) {
		char *rest;
		long fd = strtol(value, &rest, 10);

		if (*value == '\0' || *rest != '\0' || fd < 0 || fd > 1 << 20)
			return conf_usage(diag, option, value, "is no descriptor: give its number");
		end->fd = (int)fd;
	} else if (*value == '\0') {
		return conf_usage(diag, option, value, "is no path: give one");
	} else {
		end->path = strdup(value);
	}
	end->side = side;
	return CONF_OK;
}

/* The index of `value` in a NULL-terminated list, -1: not there. */
static int choice(const char *const *list, const char *value)
{
	for (int i = 0; list[i]; i++)
		if (strcmp(list[i], value) == 0)
			return i;
	return -1;
}

int conf_set_data_path(struct conf *conf, const char *value, struct diag *diag)
{
	static const char *const modes[] = {"auto", "direct", "shadow", NULL};

	switch (choice(modes, value)) {
	case 0:
		conf->session.mode = MODE_AUTO;
		return CONF_OK;
	case 1:
		conf->session.mode = MODE_DIRECT;
		return CONF_OK;
	case 2:
		conf->session.mode = MODE_SHADOW;
		return CONF_OK;
	}
	return conf_usage(diag, "data-path", value, "is no data path: use auto, direct or shadow");
}

/* One word of the list; what an issue has not brought yet is refused by name. */
static int synthesize_one(struct conf *conf, const char *word, const char *value, struct diag *diag)
{
	static const char *const words[] = {"auto", "inflight", "-inflight", "log", "-log", NULL};
	static const char *const later[] = {"postcopy", "iommu", "reply-ack", "mem-slots", NULL};

	switch (choice(words, word)) {
	case 0:
		conf->session.keep_record = true;
		conf->session.log = LOG_WHERE_LACKING;
		return CONF_OK;
	case 1:
	case 2:
		conf->session.keep_record = word[0] != '-';
		return CONF_OK;
	case 3:
		conf->session.log = LOG_OURS;
		return CONF_OK;
	case 4:
		conf->session.log = LOG_BY_BACKEND;
		return CONF_OK;
	}
	if (choice(later, word + (word[0] == '-')) >= 0)
		return conf_usage(
		    diag, "synthesize", value,
		    "only inflight and log are done in the back-end's place yet: use auto, "
		    "none, inflight, log, -inflight, -log, or several of them");
	return conf_usage(diag, "synthesize", value,
			  "is no list of auto, none, inflight, log, -inflight, -log");
}

int conf_set_log_extent(struct conf *conf, const char *value, struct diag *diag)
{
	static const char *const extents[] = {"chain", "used-len", NULL};
	int i = choice(extents, value);

	if (i < 0)
		return conf_usage(diag, "log-extent", value, "use chain or used-len");
	conf->session.log_used_len = i == 1;
	return CONF_OK;
}

int conf_set_synthesize(struct conf *conf, const char *value, struct diag *diag)
{
	char *copy = strdup(value), *rest = copy, *word;
	int result = CONF_OK;

	conf->session.keep_record = false;
	conf->session.log = LOG_BY_BACKEND;
	conf->synthesize_given = true;
	conf->synthesize_none = strcmp(value, "none") == 0;
	while (!result && !conf->synthesize_none && (word = strsep(&rest, ",")))
		result = synthesize_one(conf, word, value, diag);
	free(copy);
	return result;
}

int conf_set_number(unsigned int *to, const char *option, const char *value, unsigned int least,
		    unsigned int most, struct diag *diag)
{
	char *rest;
	unsigned long number = strtoul(value, &rest, 10);

	if (value[0] < '0' || value[0] > '9' || *rest != '\0' || number < least || number > most)
		return diag_set(diag, CONF_USAGE, "--%s=%s: must be a number from %u to %u", option,
				value, least, most);
	*to = (unsigned int)number;
	return CONF_OK;
}

int conf_set_log(struct conf *conf, bool level, const char *value, struct diag *diag)
{
	static const char *const levels[] = {"error", "warn", "info", "debug", NULL};
	static const char *const formats[] = {"text", "json", NULL};
	int i;

	if (level) {
		i = choice(levels, value);
		if (i < 0)
			return conf_usage(diag, "log-level", value,
					  "use error, warn, info or debug");
		conf->log_level = (enum level)i;
		return CONF_OK;
	}
	i = choice(formats, value);
	if (i < 0)
		return conf_usage(diag, "log-format", value, "use text or json");
	conf->log_json = i == 1;
	return CONF_OK;
}

int conf_set_path(char **to, const char *option, const char *value, struct diag *diag)
{
	if (*value == '\0')
		return conf_usage(diag, option, value, "is no path: give one");
	if (*to)
		return conf_usage(diag, option, value,
				  "the option was given already: give it once");
	*to = strdup(value);
	return CONF_OK;
}

/* Given again, the lists add up. */
int conf_set_hidden(char **list, const char *value, struct diag *diag)
{
	char *longer = NULL;

	if (*value == '\0')
		return conf_usage(diag, "hide", value,
				  "is no list: give features by name or number");
	if (asprintf(&longer, "%s%s%s", *list ? *list : "", *list ? "," : "", value) < 0)
		return diag_set(diag, CONF_USAGE, "--hide=%s: no memory", value);
	free(*list);
	*list = longer;
	return CONF_OK;
}

int conf_set_device(struct conf *conf, const char *value, struct diag *diag)
{
	conf->session.device = wire_device_by_name(value);
	if (conf->session.device == WIRE_DEVICE_COUNT)
		return conf_usage(
		    diag, "device", value,
		    "is no device type this version knows: use auto, net, blk, scsi, fs or vsock");
	return CONF_OK;
}

int conf_set_resubmit(struct conf *conf, const char *value, struct diag *diag)
{
	static const char *const answers[] = {"yes", "no", NULL};
	int i = choice(answers, value);

	if (i < 0)
		return conf_usage(diag, "resubmit", value, "use yes or no");
	conf->session.drop_inflight = i == 1;
	return CONF_OK;
}
