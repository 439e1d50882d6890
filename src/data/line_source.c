/* SPDX-License-Identifier: Apache-2.0 */
/* One growing buffer. Taken records stay where they are until they are forgotten, so nothing is
 * copied but what a refill moves to the front. */
#include "data/line_source.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "data/text_bytes.h"

enum { READ_BYTES = 1 << 16 };
enum { CELL_START, PLAIN, QUOTED, QUOTE_SEEN };

/* The line end outside quotes, scanning on from where the last look stopped. The states are those
 * of Python's csv module; the row itself is cut by sqzi_row_split. */
static char *find_quoted_end(sqzi_line_source *lines)
{
    char *end = lines->data + lines->end;
    int state = lines->state;
    for (char *at = lines->data + lines->scanned; at < end; at++) {
        const char c = *at;
        if (state == QUOTED) {
            state = c == '"' ? QUOTE_SEEN : QUOTED;
            lines->inner_lines += c == '\n';
        } else if (c == '\n') {
            lines->state = CELL_START;
            return at;
        } else if (c == '"' && state != PLAIN)
            state = QUOTED; /* opens a cell, or is the second of two */
        else state = c == lines->separator ? CELL_START : PLAIN;
    }
    lines->state = state;
    return NULL;
}

static char *find_end(sqzi_line_source *lines)
{
    if (lines->scanned >= lines->end) return NULL;
    if (lines->separator) return find_quoted_end(lines);
    return memchr(lines->data + lines->scanned, '\n', lines->end - lines->scanned);
}

/* Drop UTF-8's mark; refuse what is no text. *known false: more bytes are needed to tell. */
static sqz_status start(sqzi_line_source *lines, bool *known, sqz_error *error)
{
    static const char mark[] = "\xEF\xBB\xBF";
    const char *first = lines->data + lines->begin;
    const size_t n = lines->end - lines->begin, of_mark = n < 3 ? n : 3;
    const char *what = sqzi_no_text(first, n, known);
    const bool marked = !of_mark || memcmp(first, mark, of_mark) == 0;
    if (marked && of_mark < 3) *known = false;
    *known |= lines->at_end;
    if (!*known) return SQZ_OK;
    lines->started = true;
    if (what)
        return sqzi_fail(error, SQZ_EFORMAT, 0, "%s: line 1: %s", lines->source->name, what);
    if (marked && of_mark == 3) {
        lines->begin += 3;
        lines->scanned = lines->begin;
    }
    return SQZ_OK;
}

/* What a record of this length is at the end of the input or a line. */
static void cut(sqzi_line_source *lines, size_t end, bool ended, sqzi_line *place)
{
    size_t n = end - lines->begin;
    *place = (sqzi_line){.begin = lines->begin,
                          .line = lines->lines + 1,
                          .too_long = lines->too_long || n > SQZ_MAX_RECORD_BYTES,
                          .open = !ended && lines->state == QUOTED};
    if (n && !place->open && lines->data[end - 1] == '\r') n--;
    place->n = place->too_long ? 0 : n;
    lines->n_ill_formed += !sqzi_is_utf8(lines->data + lines->begin, place->n);
    lines->lines += 1 + lines->inner_lines;
    lines->inner_lines = 0;
    lines->state = CELL_START;
    lines->too_long = false;
    lines->begin = lines->scanned = ended ? end + 1 : end;
}

sqz_status sqzi_source_take(sqzi_line_source *lines, sqzi_line *place, bool *taken,
                            sqz_error *error)
{
    *taken = false;
    if (!lines->started) {
        bool known = false;
        const sqz_status status = start(lines, &known, error);
        if (status != SQZ_OK || !known) return status;
    }
    const char *newline = find_end(lines);
    if (newline) {
        cut(lines, (size_t)(newline - lines->data), true, place);
        *taken = true;
        return SQZ_OK;
    }
    lines->scanned = lines->end;
    if (lines->end - lines->begin > SQZ_MAX_RECORD_BYTES) {
        lines->too_long = true; /* the rest of it is dropped as it comes */
        lines->scanned = lines->end = lines->begin;
    }
    if (!lines->at_end || (lines->end == lines->begin && !lines->too_long)) return SQZ_OK;
    cut(lines, lines->end, false, place);
    *taken = true;
    return SQZ_OK;
}

bool sqzi_source_ready(const sqzi_line_source *lines)
{
    return !lines->source->ready || lines->source->ready(lines->source->user);
}

static sqz_status make_room(sqzi_line_source *lines, sqz_error *error)
{
    if (lines->capacity - lines->end >= READ_BYTES) return SQZ_OK;
    const size_t capacity = lines->capacity ? 2 * lines->capacity : 2 * READ_BYTES;
    char *data = sqzi_allocate(lines->allocator, capacity);
    if (!data)
        return sqzi_fail(error, SQZ_ENOMEM, 0, "%s: no memory for %zu bytes of line %llu",
                         lines->source->name, capacity, (unsigned long long)lines->lines + 1);
    if (lines->end) memcpy(data, lines->data, lines->end);
    sqzi_release(lines->allocator, lines->data, lines->capacity);
    lines->data = data;
    lines->capacity = capacity;
    return SQZ_OK;
}

sqz_status sqzi_source_read(sqzi_line_source *lines, bool *more, sqz_error *error)
{
    *more = false;
    if (lines->at_end) return SQZ_OK;
    const sqz_status status = make_room(lines, error);
    if (status != SQZ_OK) return status;
    const ptrdiff_t n = lines->source->read(lines->source->user, lines->data + lines->end,
                                            lines->capacity - lines->end);
    if (n < 0)
        return sqzi_fail(error, SQZ_EIO, 0, "%s: cannot read: %s", lines->source->name,
                         strerror(errno));
    lines->end += (size_t)n;
    lines->at_end = n == 0;
    *more = n > 0;
    return SQZ_OK;
}

void sqzi_source_forget(sqzi_line_source *lines)
{
    if (!lines->begin) return;
    memmove(lines->data, lines->data + lines->begin, lines->end - lines->begin);
    lines->end -= lines->begin;
    lines->scanned -= lines->begin;
    lines->begin = 0;
}

void sqzi_source_free(sqzi_line_source *lines)
{
    sqzi_release(lines->allocator, lines->data, lines->capacity);
    lines->data = NULL;
    lines->begin = lines->end = lines->capacity = lines->scanned = 0;
}
