/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a source cut into records: at line ends, where quotes count at those outside
 * them. */
#ifndef SQZI_LINE_SOURCE_H
#define SQZI_LINE_SOURCE_H

#include <squeezebert/data.h>

#include "base/memory.h"

/* Set source, allocator and, where quotes count, the separator of cells; zero the rest. */
typedef struct sqzi_line_source {
    const sqz_rows_source *source;
    const sqz_allocator *allocator;
    char separator; /* '\0': quotes mean nothing */
    char *data;
    size_t begin, end, capacity; /* unread bytes: [begin, end) */
    size_t scanned;              /* no record ends before here */
    uint64_t lines;              /* ended before begin */
    uint64_t inner_lines;        /* ended inside the record that begins there */
    uint64_t n_ill_formed;       /* records that are no UTF-8 */
    int state;                   /* where the scan of quotes stands */
    bool started, at_end, too_long;
} sqzi_line_source;

/* A record's bytes are data + begin; data may move while more is read. The line end is not part of
 * it. */
typedef struct sqzi_line {
    size_t begin, n;
    uint64_t line;
    bool too_long;
    bool open; /* the input ends inside a quote */
} sqzi_line;

/* The next record that is complete in memory, blank or not: *taken tells whether there is one.
 * SQZ_EFORMAT: the input is no text (text_bytes.h). */
SQZ_NODISCARD sqz_status sqzi_source_take(sqzi_line_source *lines, sqzi_line *place, bool *taken,
                                          sqz_error *error);
/* Read more: waits. At the end of the input *more is false, and what is left, if anything, is a
 * record too. SQZ_EIO, SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_source_read(sqzi_line_source *lines, bool *more, sqz_error *error);
/* Could sqzi_source_read go on without waiting? */
bool sqzi_source_ready(const sqzi_line_source *lines);
/* Forget what was taken; places are invalid after. */
void sqzi_source_forget(sqzi_line_source *lines);
void sqzi_source_free(sqzi_line_source *lines);

#endif
