/* SPDX-License-Identifier: BSD-3-Clause */
#include "shell/conf.h"

#include "shell/conf_set.h"
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

static int set_option(struct conf *conf, int option, char *value, char **hide, struct diag *diag)
{
	switch (option) {
	case OPT_SOCKET_PATH:
		return conf_set_end(&conf->front, CONF_LISTEN, "socket-path", value, diag);
	case OPT_FD:
		return conf_set_end(&conf->front, CONF_FD, "fd", value, diag);
	case OPT_FRONTEND_CONNECT:
		return conf_set_end(&conf->front, CONF_CONNECT, "frontend-connect", value, diag);
	case OPT_BACKEND_PATH:
		return conf_set_end(&conf->back, CONF_CONNECT, "backend-path", value, diag);
	case OPT_BACKEND_LISTEN:
		return conf_set_end(&conf->back, CONF_LISTEN, "backend-listen", value, diag);
	case OPT_BACKEND_FD:
		return conf_set_end(&conf->back, CONF_FD, "backend-fd", value, diag);
	case OPT_INTERPOSE:
		return conf_set_path(&conf->interpose, "interpose", value, diag);
	case OPT_DATA_PATH:
		return conf_set_data_path(conf, value, diag);
	case OPT_SYNTHESIZE:
		return conf_set_synthesize(conf, value, diag);
	case OPT_DEVICE:
		return conf_set_device(conf, value, diag);
	case OPT_HIDE:
		return conf_set_hidden(hide, value, diag);
	case OPT_LOG_EXTENT:
		return conf_set_log_extent(conf, value, diag);
	case OPT_CONTROL:
		return conf_set_path(&conf->control, "control", value, diag);
	case OPT_LOG_LEVEL:
	case OPT_LOG_FORMAT:
		return conf_set_log(conf, option == OPT_LOG_LEVEL, value, diag);
	case OPT_DATA_THREADS:
		return conf_set_number(&conf->rings.threads, "data-threads", value, 1,
				       DATA_THREADS_MAX, diag);
	case OPT_POLL_US:
		return conf_set_number(&conf->rings.poll_us, "poll-us", value, 0, POLL_US_MAX,
				       diag);
	case OPT_BACKEND_TIMEOUT:
		return conf_set_number(&conf->rings.backend_timeout_s, "backend-timeout", value, 0,
				       TIMEOUT_S_MAX, diag);
	case OPT_STATE:
		return conf_set_path(&conf->state, "state", value, diag);
	case OPT_RESUBMIT:
		return conf_set_resubmit(conf, value, diag);
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
		return conf_usage(diag, "interpose", conf->interpose,
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
