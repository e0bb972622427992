/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line: what is wrong is said in one line, and nothing is left behind. */
#include "daemon_rig.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define OPTIONS_MAX 8
#define LONG_NAME                                                                                  \
	"a-name-that-makes-the-path-longer-than-the-one-hundred-and-seven-bytes-a-socket-path-"    \
	"can-have-which-is-not-much"

static unsigned int files(const struct rig *rig)
{
	unsigned int count = 0;
	DIR *dir = opendir(rig->folder);

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

/* "@" stands for the rig's folder. */
static void expand(const struct rig *rig, const char *option, char *text, size_t size)
{
	const char *at = strchr(option, '@');

	if (at)
		snprintf(text, size, "%.*s%s%s", (int)(at - option), option, rig->folder, at + 1);
	else
		snprintf(text, size, "%s", option);
}

/* A command line that is refused: its exit code, and what the one line says. */
struct refused {
	int code;
	const char *says;
	const char *options[OPTIONS_MAX];
};

static void spawn(struct rig *rig, const char *const *options)
{
	static char texts[OPTIONS_MAX][256];
	const char *expanded[OPTIONS_MAX + 1] = {NULL};

	for (unsigned int i = 0; i < OPTIONS_MAX && options[i]; i++) {
		expand(rig, options[i], texts[i], sizeof(texts[i]));
		expanded[i] = texts[i];
	}
	daemon_spawn(&rig->daemon, NULL, expanded);
}

static void refuse(struct rig *rig, const struct refused *refused)
{
	unsigned int before = files(rig);
	char log[4096];
	const char *end;
	int code;

	spawn(rig, refused->options);
	code = daemon_end_log(&rig->daemon, 0, log, sizeof(log));
	end = strchr(log, '\n');
	if (code != refused->code || !strstr(log, refused->says) || !end || end[1] ||
	    strncmp(log, "vhost-ferry: ", 13) != 0)
		fail_msg("%s %s: exit code %d, wanted %d and one line with \"%s\":\n%s",
			 refused->options[0] ? refused->options[0] : "(no option)",
			 refused->options[0] && refused->options[1] ? refused->options[1] : "",
			 code, refused->code, refused->says, log);
	assert_int_equal(files(rig), before);
}

static void refuse_all(void **state, const struct refused *refused, size_t count)
{
	for (size_t i = 0; i < count; i++)
		refuse(*state, &refused[i]);
}
#define REFUSE(state, cases) refuse_all(state, cases, sizeof(cases) / sizeof((cases)[0]))
#define BACK                 "--backend-path=@/back"
#define FRONT                "--socket-path=@/front"

static void a_wrong_option_is_bad_usage(void **state)
{
	static const struct refused cases[] = {
	    {2, "--nope: unknown option", {"--nope", FRONT, BACK}},
	    {2, "-x: unknown option", {"-x", FRONT, BACK}},
	    {2, "word: is no option", {FRONT, BACK, "word"}},
	    {2, "--socket-path: missing argument", {"--socket-path"}},
	    {2, "--version=3: option does not take", {"--version=3"}},
	};

	REFUSE(state, cases);
}

static void a_wrong_value_is_bad_usage(void **state)
{
	static const struct refused cases[] = {
	    {2, "--socket-path=: is no path", {"--socket-path=", BACK}},
	    {2, "--fd=x: is no descriptor", {"--fd=x", BACK}},
	    {2, "--fd=-1: is no descriptor", {"--fd=-1", BACK}},
	    {2, "--fd=3x: is no descriptor", {"--fd=3x", BACK}},
	    {2, "--backend-fd=: is no descriptor", {FRONT, "--backend-fd="}},
	    {2, "--data-path=fast: is no data path", {FRONT, BACK, "--data-path=fast"}},
	    {2, "--device=toaster: is no device type", {FRONT, BACK, "--device=toaster"}},
	    {2, "--log-level=loud: use", {FRONT, BACK, "--log-level=loud"}},
	    {2, "--log-format=xml: use", {FRONT, BACK, "--log-format=xml"}},
	    {2, "--synthesize=coffee: ", {FRONT, BACK, "--synthesize=coffee"}},
	    {2, "--synthesize=: is no list", {FRONT, BACK, "--synthesize="}},
	    {2,
	     "leave one of them out",
	     {FRONT, BACK, "--data-path=direct", "--synthesize=inflight"}},
	    {2, "leave one of them out", {FRONT, BACK, "--data-path=direct", "--synthesize=log"}},
	    {2, "--log-extent=all: use chain or used-len", {FRONT, BACK, "--log-extent=all"}},
	    {2, "must be a number from 1 to 64", {FRONT, BACK, "--data-threads=0"}},
	    {2, "must be a number from 1 to 64", {FRONT, BACK, "--data-threads=65"}},
	    {2, "must be a number from 1 to 64", {FRONT, BACK, "--data-threads=two"}},
	    {2, "must be a number from 0 to 1000000", {FRONT, BACK, "--poll-us=-1"}},
	    {2, "must be a number from 0 to 1000000", {FRONT, BACK, "--poll-us=1000001"}},
	    {2, "must be a number from 0 to 1000000", {FRONT, BACK, "--poll-us=5us"}},
	    {2, "--control=: is no path", {FRONT, BACK, "--control="}},
	    {2, "--hide=: is no list", {FRONT, BACK, "--hide="}},
	    {2, "no feature has this name", {FRONT, BACK, "--hide=VIRTUE"}},
	    {2, "a number needs its kind: virtio:34 or", {FRONT, BACK, "--hide=34"}},
	    {2, "--hide=virtio:64: no such", {FRONT, BACK, "--hide=virtio:64"}},
	    {2, "--hide=protocol:-1: no such", {FRONT, BACK, "--hide=protocol:-1"}},
	    {2, "no feature has this name", {FRONT, BACK, "--hide=CONFIG,,REPLY_ACK"}},
	};

	REFUSE(state, cases);
}

static void an_ambiguous_name_to_hide_is_refused_with_the_choices(void **state)
{
	static const struct refused cases[] = {
	    {2, "protocol:0 virtio:12 virtio:22", {FRONT, BACK, "--hide=MQ"}},
	    {2, "virtio:3 protocol:4", {FRONT, BACK, "--device=net", "--hide=mtu"}},
	};

	REFUSE(state, cases);
}

static void sides_that_do_not_fit_together_are_bad_usage(void **state)
{
	static const struct refused cases[] = {
	    {2, "no back-end: give", {NULL}},
	    {2, "no back-end: give", {FRONT}},
	    {2, "no front-end: give", {BACK}},
	    {2, "this side was given already", {FRONT, "--fd=3", BACK}},
	    {2, "this side was given already", {FRONT, BACK, "--backend-fd=3"}},
	    {2, "this side was given already", {FRONT, "--frontend-connect=@/x", BACK}},
	    {2, "this side was given already", {FRONT, BACK, "--backend-listen=@/x"}},
	    {2, "stands for both sides", {"--interpose=@/back", FRONT}},
	    {2, "stands for both sides", {"--interpose=@/back", "--backend-fd=4"}},
	    {2, "--control=@/b: ", {FRONT, BACK, "--control=a", "--control=@/b"}},
	    {2, "--interpose=@/back: ", {"--interpose=@/x", "--interpose=@/back"}},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct refused one = cases[i];
		char says[256];

		expand(*state, one.says, says, sizeof(says));
		one.says = says;
		refuse(*state, &one);
	}
}

static void options_of_later_issues_are_refused_by_name(void **state)
{
	static const char *const later[] = {
	    "--metrics=/tmp/x",
	    "--capture=/tmp/x",
	};
	static const char *const words[] = {
	    "--synthesize=log,postcopy",   "--synthesize=postcopy",
	    "--synthesize=auto,-postcopy", "--synthesize=iommu",
	    "--synthesize=reply-ack",      "--synthesize=inflight,mem-slots",
	};

	for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++) {
		struct refused one = {2, later[i], {FRONT, BACK, later[i]}};

		refuse(*state, &one);
	}
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		struct refused one = {2, words[i], {FRONT, BACK, words[i]}};

		refuse(*state, &one);
	}
}

/* The file, the link and the stale socket are the rig's; the daemon may touch none of them. */
static void an_unreachable_path_is_a_run_time_failure(void **state)
{
	static const struct refused cases[] = {
	    {1, "/absent/back: No such file", {FRONT, "--backend-path=@/absent/back"}},
	    {1, "/file: is no socket", {FRONT, "--backend-path=@/file"}},
	    {1, "/no/front: can not listen", {"--socket-path=@/no/front", BACK}},
	    {1, "/file: exists and is no socket", {"--socket-path=@/file", BACK}},
	    {1, "/back: another process listens there", {"--socket-path=@/back", BACK}},
	    {1, "at most 107", {"--socket-path=@/" LONG_NAME, BACK}},
	    {1, "at most 107", {"--frontend-connect=@/" LONG_NAME, BACK}},
	    {1, "at most 107", {FRONT, "--backend-listen=@/" LONG_NAME}},
	    {1, "/no/back: can not listen", {FRONT, "--backend-listen=@/no/back"}},
	    {1, "descriptor 99: is no UNIX stream socket", {"--fd=99", BACK}},
	    {1, "descriptor 0: is no UNIX stream socket", {"--fd=0", BACK}},
	    {1, "descriptor 99: is no UNIX stream socket", {FRONT, "--backend-fd=99"}},
	    {1, "/absent: no back-end listens there", {"--interpose=@/absent"}},
	    {1, "/file: no back-end listens there", {"--interpose=@/file"}},
	    {1, "/no/control", {FRONT, BACK, "--control=@/no/control"}},
	    {1, "/file", {FRONT, BACK, "--control=@/file"}},
	    {1, "/front", {FRONT, BACK, "--control=@/front"}},
	    {1, "/no/control", {"--interpose=@/back", "--control=@/no/control"}},
	    {1, "/no/control", {FRONT, "--backend-listen=@/x", "--control=@/no/control"}},
	};
	struct rig *rig = *state;
	char file[RIG_PATH];
	struct stat before, after;
	struct client client;

	rig_path(rig, file, "file");
	close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_return_code(stat(rig->back, &before), errno);
	REFUSE(state, cases);
	assert_return_code(stat(rig->back, &after), errno);
	assert_int_equal(before.st_ino, after.st_ino);
	rig_front(&client, rig->back);
	client_close(&client);
}

/* What it prints and its exit code. */
static int print(const char *options, char *text, size_t size)
{
	char command[1024];
	FILE *pipe;
	size_t got;

	snprintf(command, sizeof(command), "%s/vhost-ferry %s", getenv("FERRY_BIN"), options);
	pipe = popen(command, "re");
	assert_non_null(pipe);
	got = fread(text, 1, size - 1, pipe);
	text[got] = '\0';
	return WEXITSTATUS(pclose(pipe));
}

static void questions_about_the_program_are_answered(void **state)
{
	char text[16384];
	json_t *object;

	assert_int_equal(print("--version", text, sizeof(text)), 0);
	assert_memory_equal(text, "vhost-ferry ", 12);
	assert_int_equal(print("--help", text, sizeof(text)), 0);
	assert_non_null(strstr(text, "--interpose=PATH"));
	assert_non_null(strstr(text, "SIGTERM"));
	assert_int_equal(print("--print-capabilities --nonsense", text, sizeof(text)), 0);
	object = json_loads(text, 0, NULL);
	assert_true(json_is_object(object) && json_is_array(json_object_get(object, "features")));
	json_decref(object);
}

static void bits_are_hidden_by_name_and_by_number(void **state)
{
	struct rig *rig = *state;
	struct ends ends;

	rig_start(rig, "--data-path=direct --hide=virtio:34,CONFIG,protocol:mq --hide="
		       "RING_EVENT_IDX");
	ends_open(&ends, rig);
	assert_int_equal(ends_ask(&ends, WIRE_GET_FEATURES, rig_virtio()),
			 rig_virtio() & ~(WIRE_BIT(34) | WIRE_BIT(29)));
	assert_int_equal(ends_ask(&ends, WIRE_GET_PROTOCOL_FEATURES, rig_protocol()),
			 rig_protocol() & ~(WIRE_BIT(9) | WIRE_BIT(0)));
	ends_close(&ends);
}

static void every_line_of_the_json_log_is_json(void **state)
{
	struct rig *rig = *state;
	unsigned int lines = 0;
	char log[32768], *line, *rest = log;

	rig_start(rig, "--log-format=json --log-level=debug");
	rig_serves(rig);
	assert_int_equal(daemon_end_log(&rig->daemon, SIGTERM, log, sizeof(log)), 0);
	while ((line = strsep(&rest, "\n")) && *line) {
		json_t *object = json_loads(line, 0, NULL);

		if (!json_is_string(json_object_get(object, "message")) ||
		    !json_is_string(json_object_get(object, "level")))
			fail_msg("not a line of the log: %s", line);
		json_decref(object);
		lines++;
	}
	assert_true(lines > 8);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)
	const struct CMUnitTest tests[] = {
	    CASE(a_wrong_option_is_bad_usage),
	    CASE(a_wrong_value_is_bad_usage),
	    CASE(an_ambiguous_name_to_hide_is_refused_with_the_choices),
	    CASE(sides_that_do_not_fit_together_are_bad_usage),
	    CASE(options_of_later_issues_are_refused_by_name),
	    CASE(an_unreachable_path_is_a_run_time_failure),
	    CASE(questions_about_the_program_are_answered),
	    CASE(bits_are_hidden_by_name_and_by_number),
	    CASE(every_line_of_the_json_log_is_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
