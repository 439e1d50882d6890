/* SPDX-License-Identifier: Apache-2.0 */
/* One growing buffer over stdin. Taken records stay where they are until they are forgotten, so
 * nothing is copied but what a refill moves to the front. */
#include "source.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READ_BYTES = 1 << 16 };
enum { FIELD_START, PLAIN, QUOTED, QUOTE_SEEN }; /* csv */

/* The newline that ends the record, scanning on from where the last look stopped. */
static char *find_end(cli_source *source)
{
    if (!source->data) return NULL;
    char *at = source->data + source->scanned, *end = source->data + source->end;
    if (!source->csv)
        return source->scanned < source->end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
    for (; at < end; at++) {
        const char c = *at;
        if (source->quotes == QUOTED) source->quotes = c == '"' ? QUOTE_SEEN : QUOTED;
        else if (c == '\n') {
            source->quotes = FIELD_START;
            return at;
        } else if (c == '"' && source->quotes != PLAIN)
            source->quotes = QUOTED; /* opens a field, or is the second of two */
        else source->quotes = c == ',' ? FIELD_START : PLAIN;
    }
    return NULL;
}

bool cli_source_take(cli_source *source, cli_place *place)
{
    char *newline = find_end(source);
    const size_t end = newline ? (size_t)(newline - source->data) : source->end;
    if (!newline) {
        source->scanned = source->end;
        if (end - source->begin > CLI_MAX_RECORD) { /* the rest of it is dropped as it comes */
            source->too_long = true;
            source->scanned = source->end = source->begin;
        }
        if (!source->at_end || (end == source->begin && !source->too_long)) return false;
    }
    *place = (cli_place){source->begin, source->too_long ? 0 : end - source->begin,
                         source->too_long || end - source->begin > CLI_MAX_RECORD};
    source->too_long = false;
    source->begin = source->scanned = newline ? end + 1 : end;
    if (!newline) source->end = source->begin;
    return true;
}

bool cli_source_ready(void)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&input, 1, 0) > 0;
}

bool cli_source_read(cli_source *source)
{
    if (source->at_end) return false;
    if (source->capacity - source->end < READ_BYTES) {
        source->capacity = source->capacity ? source->capacity * 2 : 2 * READ_BYTES;
        source->data = cli_allocate(source->data, source->capacity);
    }
    ssize_t n;
    do n = read(STDIN_FILENO, source->data + source->end, source->capacity - source->end);
    while (n < 0 && errno == EINTR);
    if (n < 0) cli_die(CLI_BAD_FILE, "cannot read stdin: %s", strerror(errno));
    source->end += (size_t)n;
    source->at_end = n == 0;
    return n > 0;
}

void cli_source_forget(cli_source *source)
{
    if (!source->begin) return;
    memmove(source->data, source->data + source->begin, source->end - source->begin);
    source->end -= source->begin;
    source->scanned -= source->begin;
    source->begin = 0;
}
