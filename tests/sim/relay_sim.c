/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * relay_sim [--seed N] [--steps N] [--hostile]
 *
 * Invariants after every step: what the model expects came out, in order and
 * byte for byte; every descriptor is in exactly one place; no effect is left;
 * no more is kept than the exchange has places. With --hostile the peers break
 * rules: then nothing is expected but that a fault has a reason and ends the
 * session, and that no descriptor is lost.
 */
#include "sim.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS       1000000u
#define LIFE        3000u  /* steps a session lives about */
#define FD_NUMBERS  65536u /* used again once they came out */
#define EFFECTS_MAX 4096u

static uint64_t seed, state;
static unsigned long step;
static bool inside[FD_NUMBERS];
static unsigned int next_fd, fds_inside;
static struct {
	unsigned long sessions, sent, dropped, faults, fds;
} seen;

void sim_seed(uint64_t value)
{
	state = value * 0x9e3779b97f4a7c15ull + 1;
}

uint64_t sim_random(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545f4914f6cdd1dull;
}

unsigned int sim_pick(unsigned int n)
{
	return (unsigned int)((sim_random() >> 33) % n);
}

bool sim_once_in(unsigned int n)
{
	return sim_pick(n) == 0;
}

void sim_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\nrelay_sim: step %lu of --seed %llu\n", step, (unsigned long long)seed);
	exit(1);
}

static void number_fds(struct wire_message *message)
{
	for (unsigned int i = 0; i < message->fds.count; i++) {
		while (inside[next_fd])
			next_fd = (next_fd + 1) % FD_NUMBERS;
		inside[next_fd] = true;
		message->fds.entries[i].fd = (int)next_fd;
		next_fd = (next_fd + 1) % FD_NUMBERS;
		fds_inside++;
		seen.fds++;
	}
}

static void fds_came_out(const struct wire_message *message)
{
	for (unsigned int i = 0; i < message->fds.count; i++) {
		int fd = message->fds.entries[i].fd;

		if (fd < -1)
			continue; /* the shell's own, never inside */
		if (fd < 0 || !inside[fd])
			sim_fail("descriptor %d came out of id %u, and was not inside", fd,
				 message->header.id);
		inside[fd] = false;
		fds_inside--;
	}
}

/* The message came out at the port: it must be the next due there. */
static void is_due(struct model *model, enum session_port port, const struct wire_message *message)
{
	struct wire_message *due = NULL;

	for (unsigned int i = 0; i < model->expecting && !due; i++) {
		if (model->expected[i].port != port)
			continue;
		due = model->expected[i].message;
		model->expecting--;
		memmove(&model->expected[i], &model->expected[i + 1],
			(model->expecting - i) * sizeof(model->expected[0]));
	}
	if (!due)
		sim_fail("id %u went to the %s, and nothing was due there", message->header.id,
			 session_port_name(port));
	if (memcmp(&due->header, &message->header, sizeof(due->header)) != 0)
		sim_fail("to the %s: id %u flags 0x%x size %u, due was id %u flags 0x%x size %u",
			 session_port_name(port), message->header.id, message->header.flags,
			 message->header.size, due->header.id, due->header.flags, due->header.size);
	if (memcmp(due->payload, message->payload, due->header.size) != 0)
		sim_fail("id %u to the %s was changed", due->header.id, session_port_name(port));
	if (due->fds.count != message->fds.count)
		sim_fail("id %u has %u descriptors, due were %u", due->header.id,
			 message->fds.count, due->fds.count);
	for (unsigned int i = 0; i < due->fds.count; i++)
		if (due->fds.entries[i].fd != message->fds.entries[i].fd)
			sim_fail("descriptor %u of id %u is another's", i, due->header.id);
	wire_message_free(due);
}

static void nothing_is_due(const struct model *model)
{
	if (model->expecting)
		sim_fail("id %u never came to the %s", model->expected[0].message->header.id,
			 session_port_name(model->expected[0].port));
}

static void came_out(struct model *model, const struct effect *effect)
{
	if (effect->kind == EFFECT_DROP) {
		seen.dropped++;
	} else {
		seen.sent++;
		if (model)
			is_due(model, effect->port, effect->message);
	}
	fds_came_out(effect->message);
	wire_message_free(effect->message);
}

/* What the data path is asked only lends its message: another effect brings it out. */
static bool brings_out(const struct effect *effect)
{
	return effect->kind == EFFECT_SEND || effect->kind == EFFECT_SPLICE ||
	       effect->kind == EFFECT_DROP;
}

static void drain(struct session *session, struct model *model)
{
	struct effect effect;
	unsigned int count = 0;

	while (session_take_effect(session, &effect)) {
		if (++count > EFFECTS_MAX)
			sim_fail("more than %u effects of one message", EFFECTS_MAX);
		if (effect.kind == EFFECT_FAULT) {
			if (!effect.text || !effect.text[0])
				sim_fail("a fault without a reason");
			if (model)
				sim_fail("a legal peer is at fault: %s", effect.text);
			if (!session->faulted)
				sim_fail("a fault that does not end the session");
			seen.faults++;
		}
		if (brings_out(&effect))
			came_out(model, &effect);
		session_effect_free(&effect);
	}
	if (session->out_of_memory)
		sim_fail("out of memory");
	if (session->exchange[0].count > EXCHANGE_MAX || session->exchange[1].count > EXCHANGE_MAX)
		sim_fail("the exchange has more than its places");
}

/* The answerers are slow at first and must answer once much is owed. */
static struct wire_message *choose(const struct session *session, const struct model *model,
				   enum session_port *port)
{
	static const enum session_port answerer[] = {PORT_BACK_MAIN, PORT_FRONT_BACKEND};
	static const enum session_port requester[] = {PORT_FRONT_MAIN, PORT_BACK_BACKEND};
	unsigned int channel = sim_once_in(4);

	if (model->count[channel] > sim_pick(SIM_QUEUED)) {
		*port = answerer[channel];
		return peers_reply(model, *port);
	}
	*port = requester[channel];
	if (!session_wants(session, *port))
		return NULL;
	return peers_request(model, *port);
}

static void legal_step(struct session *session, struct model *model)
{
	enum session_port port;
	struct wire_message *message = choose(session, model, &port);

	if (!message)
		return;
	number_fds(message);
	model_receive(model, port, message);
	session_receive(session, port, message, step);
	drain(session, model);
	nothing_is_due(model);
}

/*
 * The model serves only to find messages that get far into the session; it
 * follows as long as both peers keep to the rules.
 */
static bool hostile_step(struct session *session, struct model *model)
{
	bool damaged = sim_once_in(60);
	enum session_port port;
	struct wire_message *message = choose(session, model, &port);

	if (!message)
		return true;
	if (damaged) {
		message = peers_damage(message);
		if (sim_once_in(8))
			port = sim_pick(PORT_COUNT);
	}
	number_fds(message);
	if (!damaged) {
		model_receive(model, port, message);
		session_receive(session, port, message, step);
		drain(session, model);
		nothing_is_due(model);
		return true;
	}
	session_receive(session, port, message, step);
	drain(session, NULL);
	return false;
}

/* After the first damage the model knows nothing any more: what comes is legal by chance only. */
static void rampage(struct session *session, struct model *model)
{
	for (unsigned int n = sim_pick(100); n > 0; n--) {
		enum session_port port;
		struct wire_message *message = choose(session, model, &port);

		if (!message)
			continue;
		if (sim_once_in(2))
			message = peers_damage(message);
		if (sim_once_in(8))
			port = sim_pick(PORT_COUNT);
		if (!session_wants(session, port)) {
			wire_message_free(message);
			continue;
		}
		number_fds(message);
		session_receive(session, port, message, step++);
		drain(session, NULL);
	}
}

static void one_session(unsigned long steps, bool hostile)
{
	static struct model model;
	struct session_config config = {.device = WIRE_DEVICE_NET,
					.offers.watch_only = sim_once_in(2)};
	unsigned long until = step + 1 + sim_pick(2 * LIFE);
	struct session *session = session_new(&config);

	if (!session)
		sim_fail("no memory");
	seen.sessions++;
	model_init(&model, session);
	for (; step < steps && step < until; step++) {
		if (!hostile) {
			legal_step(session, &model);
		} else if (!hostile_step(session, &model)) {
			rampage(session, &model);
			break;
		}
	}
	session_end(session);
	drain(session, NULL);
	if (fds_inside)
		sim_fail("%u descriptors are lost", fds_inside);
	session_free(session);
	model_clear(&model);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"seed", required_argument, NULL, 's'},
						{"steps", required_argument, NULL, 'n'},
						{"hostile", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	unsigned long steps = STEPS;
	bool hostile = false;
	int option;

	seed = 1;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 's')
			seed = strtoull(optarg, NULL, 0);
		else if (option == 'n')
			steps = strtoul(optarg, NULL, 0);
		else if (option == 'h')
			hostile = true;
		else
			return 2;
	}
	sim_seed(seed);
	while (step < steps)
		one_session(steps, hostile);
	printf("seed %llu: %lu steps, %lu sessions, %lu messages sent, %lu dropped, "
	       "%lu faults, %lu descriptors\n",
	       (unsigned long long)seed, step, seen.sessions, seen.sent, seen.dropped, seen.faults,
	       seen.fds);
	return 0;
}
