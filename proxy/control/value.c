/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/value.h"

#include <stdlib.h>
#include <string.h>

static void spoil(json_t **container)
{
	json_decref(*container);
	*container = NULL;
}

void value_put(json_t **object, const char *key, json_t *value)
{
	if (!*object)
		json_decref(value);
	else if (json_object_set_new(*object, key, value) < 0)
		spoil(object);
}

void value_append(json_t **list, json_t *value)
{
	if (!*list)
		json_decref(value);
	else if (json_array_append_new(*list, value) < 0)
		spoil(list);
}

json_t *value_number(uint64_t number)
{
	if (number > INT64_MAX)
		return json_real((double)number);
	return json_integer((json_int_t)number);
}

void value_clean(char *text)
{
	for (char *at = text; *at; at++)
		if (*at < ' ' || *at > '~')
			*at = '?';
}

json_t *value_text(const char *text)
{
	json_t *value;
	char *copy;

	if (!text)
		return json_null();
	value = json_string(text);
	if (value)
		return value;
	copy = strdup(text);
	if (!copy)
		return NULL;
	value_clean(copy);
	value = json_string(copy);
	free(copy);
	return value;
}
