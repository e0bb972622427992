/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The values of the command line's options, each checked and put where it belongs.
 * CONF_OK, or CONF_USAGE with the line; only conf.c calls them.
 */
#pragma once

#include "shell/conf.h"

int conf_usage(struct diag *diag, const char *option, const char *value, const char *rule);

int conf_set_end(struct conf_end *end, enum conf_side side, const char *option, char *value,
		 struct diag *diag);
int conf_set_data_path(struct conf *conf, const char *value, struct diag *diag);
int conf_set_log_extent(struct conf *conf, const char *value, struct diag *diag);
int conf_set_synthesize(struct conf *conf, const char *value, struct diag *diag);
int conf_set_number(unsigned int *to, const char *option, const char *value, unsigned int least,
		    unsigned int most, struct diag *diag);
int conf_set_log(struct conf *conf, bool level, const char *value, struct diag *diag);
int conf_set_path(char **to, const char *option, const char *value, struct diag *diag);
int conf_set_hidden(char **list, const char *value, struct diag *diag);
int conf_set_device(struct conf *conf, const char *value, struct diag *diag);
int conf_set_resubmit(struct conf *conf, const char *value, struct diag *diag);
