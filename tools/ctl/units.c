/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl/units.h"

#include <inttypes.h>
#include <stdio.h>

const char *units_size(uint64_t bytes, char text[UNITS_TEXT_MAX])
{
	static const char *const names[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	uint64_t unit = 1024;
	unsigned int i = 0;

	if (bytes < 1024) {
		snprintf(text, UNITS_TEXT_MAX, "%" PRIu64 " bytes", bytes);
		return text;
	}
	while (i < 5 && bytes / unit >= 1024) {
		unit *= 1024;
		i++;
	}
	if (bytes % unit == 0)
		snprintf(text, UNITS_TEXT_MAX, "%" PRIu64 " %s", bytes / unit, names[i]);
	else
		snprintf(text, UNITS_TEXT_MAX, "%.1f %s", (double)bytes / (double)unit, names[i]);
	return text;
}

const char *units_time(double seconds, char text[UNITS_TEXT_MAX])
{
	uint64_t whole = seconds > 0 ? (uint64_t)seconds : 0;
	uint64_t minutes = whole / 60, hours = whole / 3600, days = whole / 86400;

	if (minutes == 0)
		snprintf(text, UNITS_TEXT_MAX, "%.1f s", seconds);
	else if (hours == 0)
		snprintf(text, UNITS_TEXT_MAX, "%" PRIu64 " min %" PRIu64 " s", minutes,
			 whole % 60);
	else if (days == 0)
		snprintf(text, UNITS_TEXT_MAX, "%" PRIu64 " h %" PRIu64 " min", hours,
			 minutes % 60);
	else
		snprintf(text, UNITS_TEXT_MAX, "%" PRIu64 " d %" PRIu64 " h", days, hours % 24);
	return text;
}

const char *units_micros(uint64_t micros, char text[UNITS_TEXT_MAX])
{
	if (micros >= 1000000)
		return units_time((double)micros / 1e6, text);
	if (micros >= 1000)
		snprintf(text, UNITS_TEXT_MAX, "%.1f ms", (double)micros / 1e3);
	else if (micros > 0)
		snprintf(text, UNITS_TEXT_MAX, "%" PRIu64 " us", micros);
	else
		snprintf(text, UNITS_TEXT_MAX, "none");
	return text;
}
