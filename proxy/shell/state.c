/* SPDX-License-Identifier: BSD-3-Clause */
#include "shell/state.h"

#include "control/value.h"
#include "session/resume.h"
#include "shell/fds.h"
#include "wire/encode.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VERSION 1
#define FOLDER  "/run/vhost-ferry"

void state_default_path(char path[STATE_PATH_MAX], const char *socket)
{
	size_t used = (size_t)snprintf(path, STATE_PATH_MAX, FOLDER "/");

	snprintf(path + used, STATE_PATH_MAX - used, "%s.state", socket ? socket : "descriptor");
	for (char *at = path + used; *at; at++)
		if (*at == '/')
			*at = '-';
}

/* When the process began, in ticks since the machine did: tells it from a later one. */
static unsigned long long began(pid_t pid)
{
	unsigned long long ticks = 0;
	char name[64], text[1024];
	const char *at;
	FILE *file;

	snprintf(name, sizeof(name), "/proc/%d/stat", (int)pid);
	file = fopen(name, "re");
	if (!file)
		return 0;
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	/* Its name is in brackets, and may hold anything. */
	at = strrchr(text, ')');
	for (unsigned int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	return at ? strtoull(at, NULL, 10) : ticks;
}

/* JSON has no number for all of 64 bits. */
static json_t *hex(uint64_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "0x%llx", (unsigned long long)value);
	return json_string(text);
}

static uint64_t from_hex(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? strtoull(text, NULL, 16) : 0;
}

static json_t *regions_of(const struct session *session)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < session->regions.count; i++) {
		const struct region *region = &session->regions.list[i];
		json_t *row;

		if (region->removed)
			continue;
		row = json_object();
		value_put(&row, "gpa", hex(region->at.gpa));
		value_put(&row, "size", hex(region->at.size));
		value_put(&row, "uva", hex(region->at.uva));
		value_put(&row, "offset", hex(region->at.mmap_offset));
		value_put(&row, "device", hex(region->file.device));
		value_put(&row, "inode", hex(region->file.inode));
		value_append(&list, row);
	}
	return list;
}

static json_t *written_of(const struct kept *kept)
{
	json_t *list = json_array();

	for (unsigned int at = 0; at < WIRE_CONFIG_MAX; at++)
		if (kept->is_written[at])
			value_append(&list, json_pack("[i,i]", (int)at, (int)kept->written[at]));
	return list;
}

static json_t *object_of(const struct session *session, pid_t front)
{
	const struct resume resume = session_remember(session);
	json_t *object = json_object();

	value_put(&object, "version", json_integer(VERSION));
	value_put(&object, "front_pid", json_integer(front));
	value_put(&object, "front_began", hex(began(front)));
	value_put(&object, "virtio_offered", hex(resume.virtio_offered));
	value_put(&object, "protocol_offered", hex(resume.protocol_offered));
	value_put(&object, "protocol_acked", hex(session->protocol.acked));
	value_put(&object, "queue_num", hex(resume.queue_num));
	value_put(&object, "mem_slots", hex(resume.mem_slots));
	value_put(&object, "owner", json_boolean(session->kept.owner));
	value_put(&object, "mtu", session->kept.mtu_given ? hex(session->kept.mtu) : json_null());
	value_put(&object, "config_written", written_of(&session->kept));
	value_put(&object, "regions", regions_of(session));
	return object;
}

static int failed(struct diag *diag, const char *path)
{
	return diag_set(diag, -errno, "state file %s: %s: give --state=PATH where it can be kept",
			path, strerror(errno));
}

int state_save(const char *path, const struct session *session, pid_t front, struct diag *diag)
{
	char fresh[STATE_PATH_MAX + 8];
	json_t *object = object_of(session, front);
	char *text = object ? json_dumps(object, JSON_INDENT(1)) : NULL;
	int fd, result = 0;

	json_decref(object);
	if (!text)
		return diag_set(diag, -ENOMEM, "state file %s: no memory", path);
	if (strncmp(path, FOLDER "/", strlen(FOLDER "/")) == 0)
		mkdir(FOLDER, 0700);
	snprintf(fresh, sizeof(fresh), "%s.new", path);
	fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) ||
	    rename(fresh, path) < 0)
		result = failed(diag, path);
	if (fd >= 0)
		close(fd);
	free(text);
	return result;
}

void state_remove(const char *path)
{
	unlink(path);
}

/* A descriptor of our own for a file that the process has open; -1: it has it no more. */
static int find_file(pid_t pid, uint64_t device, uint64_t inode)
{
	char folder[64], name[512];
	struct dirent *entry;
	int found = -1;
	DIR *dir;

	snprintf(folder, sizeof(folder), "/proc/%d/fd", (int)pid);
	dir = opendir(folder);
	while (dir && found < 0 && (entry = readdir(dir))) {
		struct stat st;

		snprintf(name, sizeof(name), "%s/%s", folder, entry->d_name);
		if (stat(name, &st) < 0 || st.st_dev != device || st.st_ino != inode)
			continue;
		found = open(name, O_RDWR | O_CLOEXEC);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* As the front-end said it: the session can not tell. */
static void say(struct session *session, struct wire_message *message, uint64_t now_ns)
{
	if (message)
		session_receive(session, PORT_FRONT_MAIN, message, now_ns);
	else
		session->out_of_memory = true;
}

static int say_region(struct session *session, const json_t *row, pid_t front, uint64_t now_ns,
		      struct diag *diag)
{
	struct wire_region at = {.gpa = from_hex(row, "gpa"),
				 .size = from_hex(row, "size"),
				 .uva = from_hex(row, "uva"),
				 .mmap_offset = from_hex(row, "offset")};
	int fd = find_file(front, from_hex(row, "device"), from_hex(row, "inode"));
	struct wire_message *message;
	struct fd_entry entry;

	if (fd < 0)
		return diag_set(diag, -ENOENT,
				"memory region gpa 0x%llx: its file is not among those of process "
				"%d, or may not be opened: restart the front-end",
				(unsigned long long)at.gpa, (int)front);
	message = wire_request_region(WIRE_ADD_MEM_REG, 0, &at);
	fds_look(&entry, fd);
	if (message)
		fdset_push(&message->fds, &entry);
	else
		close(fd);
	say(session, message, now_ns);
	return 0;
}

static void say_config(struct session *session, const json_t *list, uint64_t now_ns)
{
	const json_t *row;
	size_t i;

	json_array_foreach((json_t *)list, i, row)
	{
		uint32_t at = (uint32_t)json_integer_value(json_array_get(row, 0));
		uint8_t byte = (uint8_t)json_integer_value(json_array_get(row, 1));

		if (at < WIRE_CONFIG_MAX)
			say(session, wire_request_config(WIRE_SET_CONFIG, 0, at, 1, 0, &byte),
			    now_ns);
	}
}

static int restore(struct session *session, const json_t *object, pid_t front, uint64_t now_ns,
		   struct diag *diag)
{
	const struct resume resume = {.virtio_offered = from_hex(object, "virtio_offered"),
				      .protocol_offered = from_hex(object, "protocol_offered"),
				      .queue_num = from_hex(object, "queue_num"),
				      .mem_slots = from_hex(object, "mem_slots")};
	uint64_t protocol = from_hex(object, "protocol_acked");
	const json_t *row;
	int result = 0;
	size_t i;

	session_resume(session, &resume, now_ns);
	if (protocol)
		say(session, wire_request_u64(WIRE_SET_PROTOCOL_FEATURES, 0, protocol), now_ns);
	if (json_is_true(json_object_get(object, "owner")))
		say(session, wire_request(WIRE_SET_OWNER, 0), now_ns);
	if (json_is_string(json_object_get(object, "mtu")))
		say(session, wire_request_u64(WIRE_NET_SET_MTU, 0, from_hex(object, "mtu")),
		    now_ns);
	say_config(session, json_object_get(object, "config_written"), now_ns);
	/* Without slots the front-end sends its memory at each start. */
	if (!(protocol & WIRE_BIT(WIRE_PF_CONFIGURE_MEM_SLOTS)))
		return 0;
	json_array_foreach(json_object_get(object, "regions"), i, row)
	{
		if (!result)
			result = say_region(session, row, front, now_ns, diag);
	}
	return result;
}

int state_load(const char *path, struct session *session, pid_t front, uint64_t now_ns,
	       struct diag *diag)
{
	json_error_t error;
	json_t *object;
	int result;

	if (access(path, R_OK) < 0)
		return diag_set(diag, -ENOENT, "state file %s: %s", path, strerror(errno));
	object = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
	if (!object)
		return diag_set(diag, -EINVAL, "state file %s: line %d: %s", path, error.line,
				error.text);
	if (json_integer_value(json_object_get(object, "version")) != VERSION)
		result = diag_set(diag, -EINVAL, "state file %s: is of another version", path);
	else if (json_integer_value(json_object_get(object, "front_pid")) != front ||
		 from_hex(object, "front_began") != began(front))
		result = diag_set(diag, -ESRCH, "state file %s: is of another front-end than %d",
				  path, (int)front);
	else
		result = restore(session, object, front, now_ns, diag);
	json_decref(object);
	return result;
}
