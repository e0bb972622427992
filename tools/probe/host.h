/* SPDX-License-Identifier: BSD-3-Clause */
/* What this host says of a process: its name, and whether it may use userfaultfd. */
#pragma once

#include "probe/verdict.h"

#include <sys/types.h>

/* Copies the process's name; "" where it is not to be seen. */
void host_process_name(pid_t pid, char *name, size_t size);

/* The three ways to a full userfaultfd, for the process; pid 0: only what is not its own. */
void host_userfaultfd(pid_t pid, struct verdict_host *host);
