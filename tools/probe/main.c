/* SPDX-License-Identifier: BSD-3-Clause */
/* vhost-ferry-probe: what a back-end can do, and what that means. See vhost-ferry-probe(1). */
#include "probe/ask.h"
#include "probe/report.h"

#include <popt.h>
#include <stdio.h>
#include <stdlib.h>

#define PROGRAM     "vhost-ferry-probe"
#define EXIT_FAILED 1
#define EXIT_USAGE  2
#define TIMEOUT_MAX 3600.0

struct options {
	int json;
	int version;
	double timeout; /* seconds */
	char *device;
	const char *path;
};

static int usage(struct diag *diag, const char *thing, const char *rule)
{
	return diag_set(diag, EXIT_USAGE, "%s: %s: see %s --help", thing, rule, PROGRAM);
}

static int check_options(const struct options *options, enum wire_device *device, struct diag *diag)
{
	*device = options->device ? wire_device_by_name(options->device) : WIRE_DEVICE_UNKNOWN;
	if (*device == WIRE_DEVICE_COUNT)
		return usage(diag, options->device,
			     "no device of that name: auto, net, blk, scsi, fs or vsock");
	/* Written so that a timeout that is not a number is refused too. */
	if (!(options->timeout > 0 && options->timeout <= TIMEOUT_MAX))
		return usage(diag, "--timeout", "must be more than 0 and at most 3600 seconds");
	if (!options->path)
		return usage(diag, "PATH", "missing, give the back-end's socket");
	return 0;
}

static int read_options(int argc, const char **argv, poptContext *context, struct options *options,
			struct diag *diag)
{
	const struct poptOption table[] = {
	    {"json", 'j', POPT_ARG_NONE, &options->json, 0, "print JSON", NULL},
	    {"timeout", 't', POPT_ARG_DOUBLE | POPT_ARGFLAG_SHOW_DEFAULT, &options->timeout, 0,
	     "give up after so long, for everything together", "SECONDS"},
	    {"device", 'd', POPT_ARG_STRING, &options->device, 0,
	     "take it for this device instead of guessing", "auto|net|blk|scsi|fs|vsock"},
	    {"version", 'V', POPT_ARG_NONE, &options->version, 0, "print the version", NULL},
	    POPT_AUTOHELP POPT_TABLEEND};
	int result;

	*context = poptGetContext(PROGRAM, argc, argv, table, 0);
	poptSetOtherOptionHelp(*context, "[OPTION...] PATH");
	result = poptGetNextOpt(*context);
	if (result < -1)
		return usage(diag, poptBadOption(*context, POPT_BADOPTION_NOALIAS),
			     poptStrerror(result));
	options->path = poptGetArg(*context);
	if (options->path && poptPeekArg(*context))
		return usage(diag, poptPeekArg(*context), "one PATH is enough");
	return 0;
}

static int probe(const struct options *options, enum wire_device device, struct diag *diag)
{
	struct answers answers;
	int result = ask_all(options->path, (int)(options->timeout * 1000), device, &answers, diag);

	if (options->json) {
		if (report_json(options->path, &answers, result ? diag->text : NULL))
			return diag_set(diag, EXIT_FAILED, "no memory for the report");
	} else if (answers.have_features) {
		report_text(options->path, &answers);
	}
	return result ? EXIT_FAILED : 0;
}

int main(int argc, char **argv)
{
	struct options options = {.timeout = 5};
	enum wire_device device;
	poptContext context;
	struct diag diag = {""};
	int result = read_options(argc, (const char **)argv, &context, &options, &diag);

	if (!result && options.version) {
		printf("%s %s\n", PROGRAM, FERRY_VERSION);
	} else {
		if (!result)
			result = check_options(&options, &device, &diag);
		if (!result)
			result = probe(&options, device, &diag);
	}
	if (fflush(stdout) != 0 && !result)
		result = diag_set(&diag, EXIT_FAILED, "stdout: can not be written");
	if (result)
		fprintf(stderr, "%s: %s\n", PROGRAM, diag.text);
	free(options.device);
	poptFreeContext(context);
	return result;
}
