/* SPDX-License-Identifier: Apache-2.0 */
/* Cells by RFC 4180 as Python's csv module reads it, by a tsv's custom, or with no quotes. Taking
 * quotes off never makes a cell longer, so it is done where the cell lies. */
#include "data/table_row.h"

#include <string.h>

/* One cell from `at` on; *next is the separator behind it, or `end`. */
static sqz_text take_csv(char *at, char *end, char separator, char **next)
{
    char *out = at, *const begin = at;
    if (at < end && *at == '"') {
        for (at++; at < end; *out++ = *at++) {
            if (*at != '"') continue;
            if (++at == end || *at != '"') break; /* closed; else the second of two is kept */
        }
        for (; at < end && *at != separator; *out++ = *at++) continue; /* goes on without quotes */
        *next = at;
        return (sqz_text){begin, (size_t)(out - begin)};
    }
    *next = memchr(at, separator, (size_t)(end - at));
    if (!*next) *next = end;
    return (sqz_text){begin, (size_t)(*next - begin)};
}

/* Wholly in quotes, with none but doubled ones inside: they are taken off and halved. */
static sqz_text unquote_whole(char *cell, size_t n)
{
    const sqz_text as_it_is = {cell, n};
    if (n < 2 || cell[0] != '"' || cell[n - 1] != '"') return as_it_is;
    for (size_t i = 1; i < n - 1; i++) {
        if (cell[i] != '"') continue;
        if (i + 1 == n - 1 || cell[i + 1] != '"') return as_it_is;
        i++;
    }
    size_t out = 0;
    for (size_t i = 1; i < n - 1; i++) {
        cell[out++] = cell[i];
        i += cell[i] == '"';
    }
    return (sqz_text){cell, out};
}

sqz_status sqzi_row_split(char *row, size_t n, char separator, sqz_quotes quotes,
                          sqzi_buffer *cells, sqz_error *error)
{
    char *end = row + n;
    for (char *at = row;; at++) {
        char *next;
        sqz_text cell;
        if (quotes == SQZ_QUOTES_CSV) cell = take_csv(at, end, separator, &next);
        else {
            next = at < end ? memchr(at, separator, (size_t)(end - at)) : NULL;
            if (!next) next = end;
            cell = (sqz_text){at, (size_t)(next - at)};
            if (quotes == SQZ_QUOTES_AUTO) cell = unquote_whole(at, cell.n_bytes);
        }
        const sqz_status status = sqzi_buffer_append(cells, &cell, sizeof cell, error);
        if (status != SQZ_OK || next == end) return status;
        at = next;
    }
}
