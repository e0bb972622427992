/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * JSON values that are made of what the daemon holds.
 *
 * Running out of memory is sticky: an object or list that could not take a value
 * becomes NULL, takes nothing more, and makes what it is put into NULL as well,
 * so that only the finished value has to be looked at. Pure; any thread, each
 * value one owner at a time.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>

/* Both own `value` from then on, also when they fail. */
void value_put(json_t **object, const char *key, json_t *value);
void value_append(json_t **list, json_t *value);

/*
 * A number. Jansson's integers are signed: what a peer set above 2^63 becomes a
 * real, rounded to 53 bits, rather than a negative number.
 */
json_t *value_number(uint64_t number);

/* Text of any origin; bytes that are no UTF-8 become '?'. NULL is null. */
json_t *value_text(const char *text);

/* Makes one printable ASCII line of `text` in place: anything else becomes '?'. */
void value_clean(char *text);
