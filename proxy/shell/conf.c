/* SPDX-License-Identifier: BSD-3-Clause */
#include "shell/conf.h"

#include "wire/hide.h"

#include <popt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum option {
	OPT_SOCKET_PATH = 1,
	OPT_FD,
	OPT_FRONTEND_CONNECT,
	OPT_BACKEND_PATH,
	OPT_BACKEND_LISTEN,
	OPT_BACKEND_FD,
	OPT_INTERPOSE,
	OPT_DATA_PATH,
	OPT_SYNTHESIZE,
	OPT_DEVICE,
	OPT_HIDE,
	OPT_LOG_EXTENT,
	OPT_CONTROL,
	OPT_LOG_LEVEL,
	OPT_LOG_FORMAT,
	OPT_PRINT_CAPABILITIES,
	OPT_DATA_THREADS,
	OPT_POLL_US,
	OPT_BACKEND_TIMEOUT,
	OPT_RESUBMIT,
	OPT_STATE,
	OPT_VERSION,
	OPT_HELP,
	OPT_LATER, /* known to the interface, not in this version */
};

#define DATA_THREADS_MAX 64
#define POLL_US_MAX      1000000
#define TIMEOUT_S        30
#define TIMEOUT_S_MAX    (365 * 86400)

#define TEXT(name, value, help, argument)                                                          \
	{                                                                                          \
		name, 0, POPT_ARG_STRING, NULL, value, help, argument                              \
	}
#define PLAIN(name, value, help)                                                                   \
	{                                                                                          \
		name, 0, POPT_ARG_NONE, NULL, value, help, NULL                                    \
	}
#define LATER(name)                                                                                \
	{                                                                                          \
		name, 0, POPT_ARG_STRING | POPT_ARGFLAG_DOC_HIDDEN, NULL, OPT_LATER, NULL, NULL    \
	}

static const struct poptOption options[] = {
    TEXT("socket-path", OPT_SOCKET_PATH, "listen there for the front-end", "PATH"),
    TEXT("fd", OPT_FD, "socket for the front-end, listening or connected", "N"),
    TEXT("frontend-connect", OPT_FRONTEND_CONNECT,
	 "connect to the front-end that listens there, again and again", "PATH"),
    TEXT("backend-path", OPT_BACKEND_PATH, "connect to the back-end that listens there", "PATH"),
    TEXT("backend-listen", OPT_BACKEND_LISTEN, "listen there for the back-end", "PATH"),
    TEXT("backend-fd", OPT_BACKEND_FD, "socket for the back-end, listening or connected", "N"),
    TEXT("interpose", OPT_INTERPOSE,
	 "take over the socket of the back-end that listens there, give it back at the end",
	 "PATH"),
    TEXT("data-path", OPT_DATA_PATH, "auto, direct (guest and back-end share the rings) or shadow",
	 "MODE"),
    TEXT("synthesize", OPT_SYNTHESIZE, "auto, none, inflight, log: done in the back-end's place",
	 "LIST"),
    TEXT("data-threads", OPT_DATA_THREADS, "threads that relay rings (1)", "N"),
    TEXT("poll-us", OPT_POLL_US, "how long such a thread spins before it sleeps (0)", "N"),
    TEXT("backend-timeout", OPT_BACKEND_TIMEOUT,
	 "how long an absent back-end is waited for (30; 0: for ever)", "SECONDS"),
    TEXT("resubmit", OPT_RESUBMIT,
	 "yes or no: give requests in flight at a crash to the next back-end (yes)", "YESNO"),
    TEXT("state", OPT_STATE,
	 "where a restarted daemon finds what it needs to go on (under /run/vhost-ferry)", "PATH"),
    TEXT("device", OPT_DEVICE, "auto, net, blk, scsi, fs or vsock", "TYPE"),
    TEXT("hide", OPT_HIDE, "feature bits never shown: virtio:34,RING_PACKED,protocol:CONFIG",
	 "LIST"),
    TEXT("log-extent", OPT_LOG_EXTENT,
	 "chain or used-len: what of a completed chain is marked dirty", "EXTENT"),
    TEXT("control", OPT_CONTROL, "control socket for vhost-ferryctl", "PATH"),
    TEXT("log-level", OPT_LOG_LEVEL, "error, warn, info or debug", "LEVEL"),
    TEXT("log-format", OPT_LOG_FORMAT, "text or json", "FORMAT"),
    PLAIN("print-capabilities", OPT_PRINT_CAPABILITIES,
	  "print JSON as the QEMU back-end conventions ask, and end"),
    LATER("metrics"),
    LATER("capture"),
    PLAIN("version", OPT_VERSION, "print the version"),
    {"help", '?', POPT_ARG_NONE, NULL, OPT_HELP, "print this help", NULL},
    POPT_TABLEEND,
};

static int usage(struct diag *diag, const char *option, const char *value, const char *rule)
{
	return diag_set(diag, CONF_USAGE, "--%s=%s: %s", option, value, rule);
}

static int set_end(struct conf_end *end, enum conf_side side, const char *option, char *value,
		   struct diag *diag)
{
	if (end->side != CONF_NONE)
		return usage(diag, option, value,
			     "this side was given already: give one option for each side");
	if (side == CONF_FD) {
		char *rest;
		long fd = strtol(value, &rest, 10);

		if (*value == '\0' || *rest != '\0' || fd < 0 || fd > 1 << 20)
			return usage(diag, option, value, "is no descriptor: give its number");
		end->fd = (int)fd;
	} else if (*value == '\0') {
		return usage(diag, option, value, "is no path: give one");
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

static int set_data_path(struct conf *conf, const char *value, struct diag *diag)
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
	return usage(diag, "data-path", value, "is no data path: use auto, direct or shadow");
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
		return usage(
		    diag, "synthesize", value,
		    "only inflight and log are done in the back-end's place yet: use auto, "
		    "none, inflight, log, -inflight, -log, or several of them");
	return usage(diag, "synthesize", value,
		     "is no list of auto, none, inflight, log, -inflight, -log");
}

static int set_log_extent(struct conf *conf, const char *value, struct diag *diag)
{
	static const char *const extents[] = {"chain", "used-len", NULL};
	int i = choice(extents, value);

	if (i < 0)
		return usage(diag, "log-extent", value, "use chain or used-len");
	conf->session.log_used_len = i == 1;
	return CONF_OK;
}

static int set_synthesize(struct conf *conf, const char *value, struct diag *diag)
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

static int set_number(unsigned int *to, const char *option, const char *value, unsigned int least,
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

static int set_log(struct conf *conf, int option, const char *value, struct diag *diag)
{
	static const char *const levels[] = {"error", "warn", "info", "debug", NULL};
	static const char *const formats[] = {"text", "json", NULL};
	int i;

	if (option == OPT_LOG_LEVEL) {
		i = choice(levels, value);
		if (i < 0)
			return usage(diag, "log-level", value, "use error, warn, info or debug");
		conf->log_level = (enum level)i;
		return CONF_OK;
	}
	i = choice(formats, value);
	if (i < 0)
		return usage(diag, "log-format", value, "use text or json");
	conf->log_json = i == 1;
	return CONF_OK;
}

static int set_path(char **to, const char *option, const char *value, struct diag *diag)
{
	if (*value == '\0')
		return usage(diag, option, value, "is no path: give one");
	if (*to)
		return usage(diag, option, value, "the option was given already: give it once");
	*to = strdup(value);
	return CONF_OK;
}

/* Given again, the lists add up. */
static int add_hidden(char **list, const char *value, struct diag *diag)
{
	char *longer = NULL;

	if (*value == '\0')
		return usage(diag, "hide", value, "is no list: give features by name or number");
	if (asprintf(&longer, "%s%s%s", *list ? *list : "", *list ? "," : "", value) < 0)
		return diag_set(diag, CONF_USAGE, "--hide=%s: no memory", value);
	free(*list);
	*list = longer;
	return CONF_OK;
}

static int set_device(struct conf *conf, const char *value, struct diag *diag)
{
	conf->session.device = wire_device_by_name(value);
	if (conf->session.device == WIRE_DEVICE_COUNT)
		return usage(
		    diag, "device", value,
		    "is no device type this version knows: use auto, net, blk, scsi, fs or vsock");
	return CONF_OK;
}

static int set_resubmit(struct conf *conf, const char *value, struct diag *diag)
{
	static const char *const answers[] = {"yes", "no", NULL};
	int i = choice(answers, value);

	if (i < 0)
		return usage(diag, "resubmit", value, "use yes or no");
	conf->session.drop_inflight = i == 1;
	return CONF_OK;
}

static int set_option(struct conf *conf, int option, char *value, char **hide, struct diag *diag)
{
	switch (option) {
	case OPT_SOCKET_PATH:
		return set_end(&conf->front, CONF_LISTEN, "socket-path", value, diag);
	case OPT_FD:
		return set_end(&conf->front, CONF_FD, "fd", value, diag);
	case OPT_FRONTEND_CONNECT:
		return set_end(&conf->front, CONF_CONNECT, "frontend-connect", value, diag);
	case OPT_BACKEND_PATH:
		return set_end(&conf->back, CONF_CONNECT, "backend-path", value, diag);
	case OPT_BACKEND_LISTEN:
		return set_end(&conf->back, CONF_LISTEN, "backend-listen", value, diag);
	case OPT_BACKEND_FD:
		return set_end(&conf->back, CONF_FD, "backend-fd", value, diag);
	case OPT_INTERPOSE:
		return set_path(&conf->interpose, "interpose", value, diag);
	case OPT_DATA_PATH:
		return set_data_path(conf, value, diag);
	case OPT_SYNTHESIZE:
		return set_synthesize(conf, value, diag);
	case OPT_DEVICE:
		return set_device(conf, value, diag);
	case OPT_HIDE:
		return add_hidden(hide, value, diag);
	case OPT_LOG_EXTENT:
		return set_log_extent(conf, value, diag);
	case OPT_CONTROL:
		return set_path(&conf->control, "control", value, diag);
	case OPT_LOG_LEVEL:
	case OPT_LOG_FORMAT:
		return set_log(conf, option, value, diag);
	case OPT_DATA_THREADS:
		return set_number(&conf->rings.threads, "data-threads", value, 1, DATA_THREADS_MAX,
				  diag);
	case OPT_POLL_US:
		return set_number(&conf->rings.poll_us, "poll-us", value, 0, POLL_US_MAX, diag);
	case OPT_BACKEND_TIMEOUT:
		return set_number(&conf->rings.backend_timeout_s, "backend-timeout", value, 0,
				  TIMEOUT_S_MAX, diag);
	case OPT_STATE:
		return set_path(&conf->state, "state", value, diag);
	case OPT_RESUBMIT:
		return set_resubmit(conf, value, diag);
	case OPT_PRINT_CAPABILITIES:
		conf->print_capabilities = true;
		return CONF_OK;
	}
	return diag_set(diag, CONF_USAGE, "option not in this version yet: see --help");
}

/* Direct for ever, or nothing that would ever need another path: what then can not be is not
 * offered. */
static int settle_path(struct conf *conf, struct diag *diag)
{
	bool direct = conf->session.mode == MODE_DIRECT;
	bool asked = conf->session.keep_record || conf->session.log != LOG_BY_BACKEND;

	if (direct && conf->synthesize_given && asked)
		return diag_set(
		    diag, CONF_USAGE,
		    "--synthesize needs the daemon in the data path, and --data-path=direct "
		    "keeps it out: leave one of them out");
	if (direct || conf->synthesize_none) {
		conf->session.keep_record = false;
		conf->session.log = LOG_BY_BACKEND;
	}
	conf->session.offers.watch_only =
	    direct || (conf->synthesize_none && conf->session.mode == MODE_AUTO);
	return CONF_OK;
}

static int check_ends(const struct conf *conf, struct diag *diag)
{
	bool front = conf->front.side != CONF_NONE, back = conf->back.side != CONF_NONE;

	if (conf->interpose && (front || back))
		return usage(diag, "interpose", conf->interpose,
			     "stands for both sides: leave the other side options out");
	if (conf->interpose)
		return CONF_OK;
	if (!back)
		return diag_set(diag, CONF_USAGE,
				"no back-end: give --backend-path, --backend-listen, --backend-fd "
				"or --interpose");
	/* Without a front-end option the socket may come by LISTEN_FDS: the shell looks. */
	return CONF_OK;
}

static int print_help(poptContext context)
{
	poptPrintHelp(context, stdout, 0);
	printf("\nBetween a vhost-user front-end (QEMU) and an unmodified back-end.\n"
	       "One of the front-end options (or LISTEN_FDS) and one of the back-end options, or\n"
	       "--interpose. Ends at SIGTERM. See vhost-ferry(8).\n");
	return CONF_DONE;
}

static int parse_all(struct conf *conf, poptContext context, char **hide, struct diag *diag)
{
	int option, result = CONF_OK;

	while (!result && (option = poptGetNextOpt(context)) > 0) {
		char *value = poptGetOptArg(context);

		if (option == OPT_HELP) {
			result = print_help(context);
		} else if (option == OPT_VERSION) {
			printf("vhost-ferry %s\n", FERRY_VERSION);
			result = CONF_DONE;
		} else if (option == OPT_LATER) {
			result = diag_set(diag, CONF_USAGE,
					  "%s: is not in this version yet: leave it out",
					  poptBadOption(context, 0));
		} else {
			result = set_option(conf, option, value, hide, diag);
		}
		free(value);
	}
	if (!result && option < -1)
		return diag_set(diag, CONF_USAGE, "%s: %s: see --help",
				poptBadOption(context, POPT_BADOPTION_NOALIAS),
				poptStrerror(option));
	if (!result && poptPeekArg(context))
		return diag_set(diag, CONF_USAGE, "%s: is no option: see --help",
				poptPeekArg(context));
	return result;
}

/* The conventions ask to ignore everything else, wrong options too. */
static bool asks_capabilities(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--print-capabilities") == 0)
			return true;
	return false;
}

int conf_parse(struct conf *conf, int argc, char **argv, struct diag *diag)
{
	poptContext context;
	char *hide = NULL;
	int result;

	*conf = (struct conf){.log_level = LEVEL_INFO,
			      .session = {.keep_record = true, .log = LOG_WHERE_LACKING},
			      .rings.threads = 1,
			      .rings.backend_timeout_s = TIMEOUT_S};
	if (asks_capabilities(argc, argv)) {
		conf->print_capabilities = true;
		return CONF_OK;
	}
	context = poptGetContext("vhost-ferry", argc, (const char **)argv, options, 0);
	result = parse_all(conf, context, &hide, diag);
	if (!result && hide && hide_parse(&conf->session.offers, conf->session.device, hide, diag))
		result = CONF_USAGE;
	if (!result)
		result = settle_path(conf, diag);
	if (!result)
		result = check_ends(conf, diag);
	free(hide);
	poptFreeContext(context);
	return result;
}

void conf_free(struct conf *conf)
{
	free(conf->front.path);
	free(conf->back.path);
	free(conf->interpose);
	free(conf->control);
	free(conf->state);
}
