/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl/grid.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define GAP "  "

static void *need(void *memory)
{
	if (memory)
		return memory;
	fputs("vhost-ferryctl: no memory for a table\n", stderr);
	exit(1);
}

void grid_begin(struct grid *grid, const char *alignment)
{
	*grid = (struct grid){.alignment = alignment, .columns = (unsigned int)strlen(alignment)};
}

static void take(struct grid *grid, char *text)
{
	unsigned int column = grid->cells % grid->columns;
	unsigned int width = (unsigned int)strlen(text);

	grid->text = need(realloc(grid->text, (grid->cells + 1) * sizeof(grid->text[0])));
	grid->text[grid->cells++] = text;
	if (width > grid->width[column])
		grid->width[column] = width;
}

void grid_add(struct grid *grid, const char *format, ...)
{
	char *text = NULL;
	va_list args;
	int result;

	va_start(args, format);
	result = vasprintf(&text, format, args);
	va_end(args);
	take(grid, need(result < 0 ? NULL : text));
}

void grid_words(struct grid *grid, const char *words)
{
	for (;;) {
		size_t length = strcspn(words, "|");

		grid_add(grid, "%.*s", (int)length, words);
		if (!words[length])
			return;
		words += length + 1;
	}
}

/* Empty cells at the end of a row leave no blanks behind. */
static void print_row(const struct grid *grid, char *const *row, const char *indent)
{
	unsigned int last = grid->columns;

	while (last > 0 && row[last - 1][0] == '\0')
		last--;
	fputs(indent, stdout);
	for (unsigned int i = 0; i < last; i++) {
		int width = (int)grid->width[i];

		if (grid->alignment[i] == 'l')
			width = i + 1 == last ? 0 : -width;
		printf("%s%*s", i ? GAP : "", width, row[i]);
	}
	putchar('\n');
}

void grid_end(struct grid *grid, const char *indent)
{
	for (unsigned int i = 0; i + grid->columns <= grid->cells; i += grid->columns)
		print_row(grid, &grid->text[i], indent);
	for (unsigned int i = 0; i < grid->cells; i++)
		free(grid->text[i]);
	free(grid->text);
	grid->text = NULL;
	grid->cells = 0;
}
