/* SPDX-License-Identifier: BSD-3-Clause */
/* A table of text whose columns line up. One thread; a program without memory ends here. */
#pragma once

#include <stdio.h>

#define GRID_COLUMNS_MAX 16

struct grid {
	const char *alignment; /* one 'l' or 'r' a column */
	unsigned int columns;
	unsigned int cells; /* used, row by row */
	char **text;
	unsigned int width[GRID_COLUMNS_MAX];
};

/* `alignment` outlives the grid and has at most GRID_COLUMNS_MAX letters. */
void grid_begin(struct grid *grid, const char *alignment);

/* Adds a cell in printf's way; a row is full after as many as there are columns. */
__attribute__((format(printf, 2, 3))) void grid_add(struct grid *grid, const char *format, ...);

/* Adds a cell of each word of `words`, which are separated by single '|'. */
void grid_words(struct grid *grid, const char *words);

/* Prints all rows, `indent` in front of each, and empties the grid. */
void grid_end(struct grid *grid, const char *indent);
